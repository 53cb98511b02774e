"""The doctor at a Weaviate: what it is like, whether the collection fits, and what to do."""

from dataclasses import replace

import numpy as np
import pytest
from weaviate_fake import running

from agentlab import health, library
from agentlab.cli.main import run
from agentlab.resolving import Resolved
from agentlab.settings import Settings
from ingest.documents import Chunk, chunk_id
from ingest.stores import open_store

PASSAGE = Chunk(
    id=chunk_id("a.pdf", "d" * 64, 1, 0, 4, "test"),
    text="Text",
    document="d" * 64,
    source="a.pdf",
    title="A",
    page=1,
    start=0,
    end=4,
    heading="",
    embedder="words",
)


@pytest.fixture
def fake():
    with running() as server:
        yield server


@pytest.fixture
def settings(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "embedder_name", lambda _: "words")
    return Settings(home=tmp_path, web="off", store="weaviate", weaviate_url=fake.url)


def fill(settings, embedder="words"):
    store = open_store(library.store_config(settings))
    store.write([replace(PASSAGE, embedder=embedder)], np.ones((1, 8), dtype=np.float32))
    store.put_note("state", {"embedder": embedder, "finished": True})
    store.close()


def test_a_server_in_good_health_is_named_with_what_it_holds(fake, settings):
    check = health.check_server(settings)
    assert (check.state, check.detail) == ("ok", f"Weaviate 1.34.0 at {fake.url} is ready")
    assert health.check_collection(settings).state == "note"
    fill(settings)
    check = health.check_collection(settings)
    assert (check.state, check.detail) == ("ok", "'library': 1 objects, vectors of 8 numbers")


def test_a_server_that_is_not_ready_is_a_problem(fake, settings):
    fake.faults.unready = True
    check = health.check_server(settings)
    assert check.state == "problem"
    assert "is not ready" in check.detail
    assert "look at its log" in check.advice


@pytest.mark.parametrize(
    ("version", "state", "said"), [("1.31.4", "note", "is old"), ("1.26.0", "problem", "too old")]
)
def test_an_old_server_is_told_with_how_to_start_a_newer_one(settings, version, state, said):
    with running(version=version) as old:
        resolved = Resolved(settings.model_copy(update={"weaviate_url": old.url}), {})
        found = {each.name: each for each in health.checks(resolved, probe=False)}
    assert found["server"].state == state
    assert said in found["server"].detail
    assert "agentlab store compose" in found["server"].detail + found["server"].advice


def test_a_collection_of_somebody_else_is_a_problem(fake, settings):
    fill(settings)
    fake.schema["Library"]["description"] = "somebody's books"
    check = health.check_collection(settings)
    assert (check.state, check.advice) == ("problem", "set another collection")


def test_a_collection_that_makes_its_own_vectors_is_a_problem(fake, settings):
    fill(settings)
    vector = fake.schema["Library"]["vectorConfig"]["default"]
    vector["vectorizer"] = {"text2vec-transformers": {}}
    assert "brought along" in health.check_collection(settings).detail


def test_a_collection_of_another_embedder_is_named_with_what_to_do(settings):
    fill(settings, "older")
    check = health.check_collection(settings)
    assert check.state == "note"
    assert "agentlab store reembed" in check.advice
    assert "embedded with older, the embedder now is words" in check.detail


def test_tenants_that_do_not_fit_are_a_problem_and_a_new_one_is_a_note(settings):
    north = settings.model_copy(update={"weaviate_tenant": "north"})
    fill(north)
    check = health.check_collection(settings)
    assert check.state == "problem"
    assert "--tenant" in check.advice
    assert "1 objects of tenant 'north'" in health.check_collection(north).detail
    south = health.check_collection(settings.model_copy(update={"weaviate_tenant": "south"}))
    assert (south.state, south.detail) == ("note", "no tenant 'south' in 'library' yet")
    plain = settings.model_copy(update={"collection": "plain"})
    fill(plain)
    check = health.check_collection(plain.model_copy(update={"weaviate_tenant": "north"}))
    assert "without tenants" in check.detail


def test_a_cluster_tells_on_how_many_nodes_the_collection_is(settings):
    with running(nodes=3) as fake:
        shared = settings.model_copy(update={"weaviate_url": fake.url, "weaviate_replicas": 3})
        fill(shared)
        assert health.check_collection(shared).detail.endswith("on 3 nodes")


def test_the_doctor_names_a_server_that_is_away_and_what_starts_one(
    fake, settings, monkeypatch, capsys
):
    fake.stop_grpc()
    monkeypatch.setenv("WEAVIATE_URL", fake.url)
    monkeypatch.setenv("AGENTLAB_STORE", "weaviate")
    assert run(["doctor", "--fast", "--home", str(settings.home), "--web", "off"]) == 1
    out = capsys.readouterr().out
    assert "✗ server" in out
    assert "not by gRPC" in " ".join(out.split())
