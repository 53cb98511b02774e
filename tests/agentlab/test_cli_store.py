"""`agentlab store` as a person uses it, and the compose files that it prints."""

import json

import pytest
import yaml
from ingest_fakes import WordEmbedder, hurry
from weaviate_fake import running

from agentlab import library
from agentlab.cli.main import run


@pytest.fixture
def papers(tmp_path, monkeypatch):
    """Two files in a library that embeds without a model."""
    hurry(monkeypatch)
    monkeypatch.setattr(library, "open_keeping_embedder", lambda *_, **__: WordEmbedder())
    monkeypatch.setattr(library, "embedder_name", lambda _: "words")
    monkeypatch.setenv("AGENTLAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "papers").mkdir()
    for name in ("boats", "trains"):
        (tmp_path / "papers" / f"{name}.md").write_text(f"# Rules of {name}\n\nThe desk is open.\n")
    assert run(["ingest", "papers"]) == 0
    return tmp_path / "papers"


def test_a_library_goes_to_a_tenant_of_a_weaviate_and_is_used_there(papers, monkeypatch, capsys):
    with running(api_key="right") as fake:
        monkeypatch.setenv("WEAVIATE_API_KEY", "right")
        copy = ["store", "copy", "--to", "weaviate", "--to-url", fake.url, "--to-tenant", "north"]
        capsys.readouterr()
        assert run(copy) == 0
        out = capsys.readouterr().out
        assert f"2 documents, 2 passages are in library at {fake.url}, tenant north" in out
        assert "2 written now; 0 were there before" in out
        assert "2 passages byte for byte" in out
        assert run([*copy, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["written"] == 0

        monkeypatch.setenv("WEAVIATE_URL", fake.url)
        monkeypatch.setenv("AGENTLAB_STORE", "weaviate")
        assert run(["docs", "list", "--tenant", "north", "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)) == 2
        assert run(["ingest", "papers", "--tenant", "north", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["embedded"] == 0
        assert run(["docs", "list"]) == 6
        assert "--tenant" in capsys.readouterr().err
        assert run(["docs", "list", "--tenant", "south"]) == 0
        assert "empty" in capsys.readouterr().err
        back = ["store", "copy", "--tenant", "north", "--to", "lancedb", "--to-collection", "kept"]
        assert run(back) == 0
        assert "2 written now" in capsys.readouterr().out
    monkeypatch.setenv("AGENTLAB_STORE", "lancedb")
    monkeypatch.setenv("AGENTLAB_COLLECTION", "kept")
    assert run(["docs", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--to", "weaviate"], 2, "needs `url`"),
        (["--to", "lancedb"], 6, "onto itself"),
        (["--to", "lancedb", "--to-tenant", "x"], 2, "--to-tenant does not go with --to lancedb"),
        (["--to", "weaviate", "--to-folder", "x"], 2, "--to-folder does not go"),
        (["--to", "lancedb", "--to-collection", "a/b"], 2, "--to-collection 'a/b'"),
        (
            ["--to", "weaviate", "--to-url", "http://w", "--to-tenant", "a b"],
            2,
            "--to-tenant 'a b'",
        ),
    ],
)
def test_what_cannot_be_copied_is_told_with_its_value(papers, capsys, arguments, code, said):
    capsys.readouterr()
    assert run(["store", "copy", *arguments]) == code
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_compose_file_starts_a_guarded_weaviate_that_keeps_its_data(nodes, capsys):
    assert run(["store", "compose", "--nodes", str(nodes)]) == 0
    value = yaml.safe_load(capsys.readouterr().out)
    services = value["services"].values()
    assert len(services) == nodes
    assert len({each["image"] for each in services}) == 1
    volumes = [each["volumes"][0].partition(":") for each in services]
    assert {name for name, _, _ in volumes} == set(value["volumes"])
    for service, (_, _, mount) in zip(services, volumes, strict=True):
        name, _, version = service["image"].rpartition(":")
        assert name == "cr.weaviate.io/semitechnologies/weaviate"
        assert version.count(".") == 2
        settings = service["environment"]
        assert settings["PERSISTENCE_DATA_PATH"] == mount
        assert settings["AUTHENTICATION_APIKEY_ALLOWED_KEYS"].startswith("${WEAVIATE_API_KEY:?")
        assert settings["AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED"] == "false"
        assert all(isinstance(each, str) for each in settings.values())
        assert service["healthcheck"]["test"][-1].endswith("/v1/.well-known/ready")
        assert all(each.startswith("127.0.0.1:") for each in service["ports"])
    published = [port for each in services for port in each["ports"]]
    assert len({port.rsplit(":", 1)[0] for port in published}) == len(published)
    assert "127.0.0.1:8080:8080" in published


def test_three_nodes_find_each_other(capsys):
    assert run(["store", "compose", "--nodes", "3"]) == 0
    services = yaml.safe_load(capsys.readouterr().out)["services"]
    names = {each["environment"]["CLUSTER_HOSTNAME"] for each in services.values()}
    for name, service in services.items():
        settings = service["environment"]
        assert settings["CLUSTER_HOSTNAME"] == name
        assert set(settings["RAFT_JOIN"].split(",")) == names
        assert settings["RAFT_BOOTSTRAP_EXPECT"] == "3"
        gossip = settings["CLUSTER_GOSSIP_BIND_PORT"]
        assert int(settings["CLUSTER_DATA_BIND_PORT"]) == int(gossip) + 1
        if name != "node1":
            assert settings["CLUSTER_JOIN"] == f"node1:{gossip}"


def test_the_compose_files_start_a_server_that_is_new_enough(capsys):
    from ingest.stores.weaviate_schema import ROTATIONAL_FROM, numbers_of

    assert run(["store", "compose"]) == 0
    (service,) = yaml.safe_load(capsys.readouterr().out)["services"].values()
    assert numbers_of(service["image"].rpartition(":")[2]) >= ROTATIONAL_FROM


def test_a_library_is_embedded_anew_and_the_next_ingest_finds_it_unchanged(
    papers, monkeypatch, capsys
):
    monkeypatch.setattr(library, "embedder_name", lambda settings: settings.embedder)
    monkeypatch.setattr(
        library, "open_keeping_embedder", lambda settings, **_: WordEmbedder(settings.embedder)
    )
    monkeypatch.setenv("AGENTLAB_EMBEDDER", "words")
    capsys.readouterr()
    assert run(["store", "reembed"]) == 0
    assert capsys.readouterr().out.startswith("nothing to do: 2 documents, 2 passages")
    monkeypatch.setenv("AGENTLAB_EMBEDDER", "other")
    assert run(["ingest", "papers"]) == 6
    assert "agentlab store reembed" in " ".join(capsys.readouterr().err.split())
    assert run(["store", "reembed", "--dry-run"]) == 0
    said = "2 documents, 2 passages: from words to other; nothing was changed\n"
    assert capsys.readouterr().out == said
    assert run(["store", "reembed", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 2
    assert run(["ingest", "papers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unchanged"] == 2
    monkeypatch.setenv("AGENTLAB_EMBEDDER", "words")
    assert run(["store", "reembed", "--embedder", "other", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["needed"] is False

    # What is removed is removed under the embedder that the library has.
    assert run(["docs", "rm", "boats"]) == 0
    monkeypatch.setenv("AGENTLAB_EMBEDDER", "other")
    assert run(["ingest", "papers/trains.md", "--json"]) == 0
    capsys.readouterr()
    assert run(["store", "reembed", "--dry-run"]) == 0
    said = "nothing to do: 1 document, 1 passage embedded with other\n"
    assert capsys.readouterr().out == said
