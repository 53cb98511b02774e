"""`agentlab ingest --sync`, `--dry-run`, `--watch` and `agentlab docs` as a person uses them."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pypdf
import pytest
from ingest_fakes import WordEmbedder, hurry, write_pdf

from agentlab import library
from agentlab.cli.ingest import concerns, keep_in_step
from agentlab.cli.main import run

NAMES = ("boats", "trains", "bikes", "meals", "hotels", "sauna")


@pytest.fixture
def papers(tmp_path, monkeypatch):
    """Six files, and a library that embeds without a model."""
    hurry(monkeypatch)

    monkeypatch.setattr(library, "open_keeping_embedder", lambda *_, **__: WordEmbedder())
    monkeypatch.setattr(library, "embedder_name", lambda _: "words")
    monkeypatch.setenv("AGENTLAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "papers"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.md").write_text(f"# Rules of {name}\n\nThe desk for {name} is open.\n")
    return folder


def test_a_plan_is_shown_then_followed(papers, capsys):
    assert run(["ingest", "papers", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "new      papers/boats.md" in out
    assert "6 files to deal with; 0 unchanged; nothing was changed" in out
    assert run(["docs", "list"]) == 0
    assert "The library is empty" in capsys.readouterr().err

    assert run(["ingest", "papers"]) == 0
    assert "read 6 documents: 6 parts, 6 passages" in capsys.readouterr().out
    (papers / "boats.md").rename(papers / "ships.md")
    (papers / "bikes.md").unlink()
    assert run(["ingest", "papers", "--sync", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "moved    papers/boats.md -> papers/ships.md" in out
    assert "remove   papers/bikes.md" in out
    assert run(["ingest", "papers", "--sync"]) == 0
    assert "1 moved; 1 removed; 4 unchanged" in capsys.readouterr().out


def test_another_size_of_passages_has_all_files_cut_anew(papers, capsys, monkeypatch):
    (papers / "boats.md").write_text(f"# Boats\n\n{'The desk for boats is open at nine. ' * 9}\n")
    assert run(["ingest", "papers"]) == 0
    assert "6 passages" in capsys.readouterr().out
    monkeypatch.setenv("AGENTLAB_CHUNK_TOKENS", "32")
    assert run(["ingest", "papers", "--dry-run"]) == 0
    assert "6 files to deal with; 0 unchanged" in capsys.readouterr().out
    assert run(["ingest", "papers"]) == 0
    assert "read 6 documents: 6 parts, 8 passages" in capsys.readouterr().out


def test_report_and_plan_are_json_on_stdout(papers, capsys):
    (papers / "bad.pdf").write_text("no PDF at all")
    assert run(["ingest", "papers", "--json", "--dry-run"]) == 0
    assert len(json.loads(capsys.readouterr().out)["new"]) == 7
    assert run(["ingest", "papers", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["documents"], report["parts"], report["exit_code"]) == (6, 6, 1)
    assert report["skipped"][0]["reason"] == "unsupported"
    assert run(["ingest", "papers", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["unchanged"], len(report["still_failing"])) == (6, 1)


def test_what_still_fails_is_told_in_short_and_tried_again_on_request(papers, capsys):
    (papers / "bad.pdf").write_text("no PDF at all")
    assert run(["ingest", "papers"]) == 1
    assert "left out: papers/bad.pdf (unsupported)" in capsys.readouterr().err
    assert run(["ingest", "papers"]) == 1
    out, err = capsys.readouterr()
    assert "6 unchanged; 1 still failing" in out
    assert "still failing, not tried again: papers/bad.pdf (unsupported)" in err
    assert run(["ingest", "papers", "--retry-failed"]) == 1
    assert "left out: papers/bad.pdf" in capsys.readouterr().err


def test_a_sync_that_would_remove_much_ends_with_6_and_says_how_to_go_on(papers, capsys):
    assert run(["ingest", "papers"]) == 0
    for name in NAMES[:3]:
        (papers / f"{name}.md").unlink()
    assert run(["ingest", "papers", "--sync"]) == 6
    assert "--allow-removals" in capsys.readouterr().err
    assert run(["ingest", "papers", "--sync", "--dry-run"]) == 0
    assert "--allow-removals" in capsys.readouterr().err
    assert run(["ingest", "papers", "--sync", "--allow-removals"]) == 0
    assert "3 removed" in capsys.readouterr().out


def test_headings_are_listed_under_the_labels_of_their_pages(papers, capsys):
    plain = write_pdf(papers / "plain.pdf", [[("One", "First words.")], [("Two", "More words.")]])
    writer = pypdf.PdfWriter(plain)
    plain.unlink()
    writer.set_page_label(0, 1, "/r", start=9)
    writer.write(papers / "book.pdf")
    run(["ingest", "papers"])
    capsys.readouterr()
    assert run(["docs", "show", "book.pdf", "--json"]) == 0
    two = json.loads(capsys.readouterr().out)["headings"][-1]
    assert two == {"heading": "Two", "page": 2, "page_label": "x"}
    assert run(["docs", "show", "book.pdf"]) == 0
    assert capsys.readouterr().out.endswith("p. x (2nd page)  Two\n")


def test_a_long_title_of_one_word_is_listed_by_its_beginning(papers, capsys):
    title = "Dienstreisekostenabrechnungsformularverzeichnis"
    (papers / "long.md").write_text(f"# {title}\n\nForms are kept for ten years.\n")
    run(["ingest", "papers/long.md"])
    capsys.readouterr()
    assert run(["docs", "list"]) == 0
    assert f" {title[:33]}... " in capsys.readouterr().out


def test_documents_are_listed_shown_and_removed(papers, capsys):
    (papers / "bad.pdf").write_text("no PDF at all")
    run(["ingest", "papers"])
    capsys.readouterr()
    assert run(["docs", "list"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == "id title kind pages passages when state path".split()
    assert len(rows) == 7
    assert "failed (unsupported)" in rows[0]
    assert rows[1].endswith(str(papers / "bikes.md"))
    assert run(["docs", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {each["state"] for each in listed} == {"verified", "quarantined"}

    assert run(["docs", "show", listed[2]["id"][:8]]) == 0
    assert f"path      {papers / 'boats.md'}" in capsys.readouterr().out
    assert run(["docs", "show", "bad.pdf"]) == 0
    assert "why       not a PDF" in capsys.readouterr().out
    (papers / "long.md").write_text("# Long\n\n## One\n\nFirst words.\n\n## Two\n\nMore words.\n")
    run(["ingest", "papers"])
    capsys.readouterr()
    assert run(["docs", "show", "Long", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {each["heading"] for each in shown["headings"]} & {"One", "Two"}

    assert run(["docs", "rm", "Rules of boats"]) == 0
    out, err = capsys.readouterr()
    assert out == "removed Rules of boats: 1 passages\n"
    assert "ingesting it or its folder again brings it back" in err
    assert run(["docs", "show", "Rules of boats"]) == 2
    assert "There is no document 'Rules of boats'" in capsys.readouterr().err
    assert run(["ingest", "papers"]) == 1
    assert "read 1 document" in capsys.readouterr().out


def test_a_file_that_holds_the_same_is_named_when_its_twin_is_removed(papers, capsys):
    (papers / "ships.md").write_bytes((papers / "boats.md").read_bytes())
    assert run(["ingest", "papers"]) == 0
    assert run(["docs", "rm", str(papers / "boats.md")]) == 0
    said = capsys.readouterr().err
    assert f"{papers / 'ships.md'} holds the same, and is not searched either" in said
    (papers / "boats.md").unlink()
    assert run(["ingest", "papers"]) == 0
    assert "read 1 document" in capsys.readouterr().out


def test_a_number_that_is_too_long_for_a_page_is_no_match(papers, monkeypatch, capsys):
    monkeypatch.setattr(library, "open_embedder", lambda *_, **__: WordEmbedder())
    monkeypatch.setenv("AGENTLAB_READER", "false")
    run(["ingest", "papers"])
    assert run(["search", "boats", "--page", "1"]) == 0
    for long in ("20240131123", "9" * 5000):
        assert run(["search", "boats", "--page", long]) == 5
        assert "No match." in capsys.readouterr().err


def test_a_running_ingest_is_named_to_whoever_will_not_wait(papers, capsys):
    run(["ingest", "papers"])
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import sys; from pathlib import Path; from ingest.lock import Lock\n"
                "lock = Lock(Path(sys.argv[1])); lock.take(); print('held', flush=True); input()"
            ),
            str(papers.parent / "home" / "store" / "library"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert holder.stdout.readline() == "held\n"
    capsys.readouterr()
    assert run(["ingest", "papers", "--no-wait"]) == 6
    assert f"is being changed by process {holder.pid}" in capsys.readouterr().err
    assert run(["docs", "rm", "Rules of boats", "--no-wait"]) == 6
    assert run(["docs", "list"]) == 0
    holder.kill()  # as with kill -9: who is dead holds nothing
    holder.communicate()
    assert run(["ingest", "papers", "--no-wait"]) == 0


def test_a_watched_folder_is_read_at_first_and_whenever_it_changes(papers):
    rounds = queue.Queue()
    stop = threading.Event()

    def read_once():
        names = sorted(path.name for path in papers.iterdir())
        rounds.put(names)
        if len(names) == 7:
            raise OSError("a round that fails")
        return 0

    watching = threading.Thread(
        target=keep_in_step, args=([papers], read_once), kwargs={"stop": stop}
    )
    watching.start()
    try:
        assert len(rounds.get(timeout=60)) == 6
        (papers / "pets.md").write_text("Pets.")
        assert "pets.md" in rounds.get(timeout=60)
        (papers / "boats.md").unlink()
        (papers / "trains.md").unlink()
        while len(rounds.get(timeout=60)) != 5:
            pass
    finally:
        stop.set()
        watching.join(timeout=60)
    assert not watching.is_alive()


def test_a_watch_goes_on_when_a_name_appears_that_is_not_utf8(papers, capsys):
    bad = os.fsencode(papers) + b"/caf\xe9.md"
    rounds = queue.Queue()
    stop = threading.Event()
    watching = threading.Thread(
        target=keep_in_step,
        args=([papers], lambda: rounds.put([each.name for each in papers.iterdir()])),
        kwargs={"stop": stop},
    )
    watching.start()
    try:
        rounds.get(timeout=60)
        try:
            Path(os.fsdecode(bad)).write_text("The cafe.")
        except OSError:
            pytest.skip("this file system takes only names in UTF-8")
        assert os.fsdecode(b"caf\xe9.md") in rounds.get(timeout=60)
        (papers / "pets.md").write_text("Pets.")
        while "pets.md" not in rounds.get(timeout=60):
            pass
    finally:
        stop.set()
        watching.join(timeout=60)
    assert not watching.is_alive()


@pytest.fixture
def watched():
    """What starts a watch of a path, and gives the queue of what each of its rounds saw."""
    stop = threading.Event()
    threads = []

    def start(path, see):
        rounds = queue.Queue()
        watching = threading.Thread(
            target=keep_in_step, args=([path], lambda: rounds.put(see())), kwargs={"stop": stop}
        )
        threads.append(watching)
        watching.start()
        return rounds

    yield start
    stop.set()
    for each in threads:
        each.join(timeout=60)
        assert not each.is_alive()


def test_a_watched_file_that_is_saved_by_a_rename_is_seen_each_time(tmp_path, watched):
    path = tmp_path / "boats.md"
    path.write_text("one")
    rounds = watched(path, path.read_text)
    assert rounds.get(timeout=60) == "one"
    for text in ("two", "three"):
        (tmp_path / "boats.new").write_text(text)
        (tmp_path / "boats.new").rename(path)
        while rounds.get(timeout=20) != text:
            pass


@pytest.mark.parametrize("kept", [True, False])
def test_a_watched_folder_that_another_takes_the_place_of_is_seen_again(tmp_path, watched, kept):
    folder = tmp_path / "rules"
    folder.mkdir()
    rounds = watched(folder, lambda: sorted(each.name for each in folder.glob("*")))
    assert rounds.get(timeout=60) == []
    if kept:
        folder.rename(tmp_path / "before")
        assert rounds.get(timeout=20) == []
    else:
        folder.rmdir()  # the next one may well get its number on the disk
    folder.mkdir()
    names = []
    for name in ("boats.md", "trains.md"):
        (folder / name).touch()
        names.append(name)
        while rounds.get(timeout=20) != names:
            pass


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b.pdf", True),
        ("a/B.MD", True),
        ("a/folder", True),
        ("a/.b.pdf", False),
        ("a/~$b.docx", False),
        ("a/b.png", False),
    ],
)
def test_only_changes_of_files_that_are_read_start_a_round(path, expected):
    assert concerns(path) is expected


def test_a_folder_with_a_point_in_its_name_is_followed_in_and_out(tmp_path):
    inside = tmp_path / "rules" / "v1.2"
    outside = tmp_path / "v1.2"
    inside.mkdir(parents=True)
    (inside / "boats.md").write_text("Boats.")
    inside.rename(outside)
    rounds = queue.Queue()
    stop = threading.Event()
    watching = threading.Thread(
        target=keep_in_step,
        args=([inside.parent], lambda: rounds.put(inside.exists())),
        kwargs={"stop": stop},
    )
    watching.start()
    try:
        assert rounds.get(timeout=60) is False
        outside.rename(inside)
        assert rounds.get(timeout=60) is True
        inside.rename(outside)
        assert rounds.get(timeout=60) is False
    finally:
        stop.set()
        watching.join(timeout=60)


def test_nothing_is_loaded_to_see_that_nothing_has_changed(papers, monkeypatch, capsys):
    assert run(["ingest", "papers"]) == 0

    def unwanted(*_, **__):
        raise AssertionError("the embedder was loaded")

    monkeypatch.setattr(library, "open_keeping_embedder", unwanted)
    assert run(["ingest", "papers", "--sync"]) == 0
    assert "6 unchanged" in capsys.readouterr().out
    (papers / "boats.md").unlink()
    assert run(["ingest", "papers", "--sync", "--dry-run"]) == 0
    assert "remove   papers/boats.md" in capsys.readouterr().out


@pytest.mark.parametrize("backend", ["torch", "onnx", "openai"])
def test_the_embedder_is_named_as_it_names_itself(backend, monkeypatch):
    from agentlab.late_embedder import LateEmbedder
    from agentlab.settings import Settings
    from ingest.embedding.endpoint import EndpointEmbedder

    settings = Settings(embedder="words", embedder_backend=backend)
    name = library.embedder_name(settings)
    if backend == "openai":
        assert name == EndpointEmbedder(model="words", base_url=None, api_key="key").name
    late = LateEmbedder(name, lambda: WordEmbedder(name))
    assert late.encode(["pier"]).shape == (1, late.dimension)
    assert (late.count_tokens("a pier"), late.max_tokens) == (2, 256)
    with pytest.raises(RuntimeError, match="names itself other"):
        LateEmbedder(name, lambda: WordEmbedder("other")).encode(["pier"])


def test_watching_and_a_dry_run_exclude_each_other(papers, capsys):
    assert run(["ingest", "papers", "--watch", "--dry-run"]) == 2
    assert "--watch changes the library" in capsys.readouterr().err
