"""Parsing: each file has one outcome, in order, whatever it does to its reader."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_pdfs import write_bomb, write_forms_within_forms, write_hostile
from ingest_fakes import write_pdf

import ingest.parsing
from ingest.config import IngestConfig
from ingest.documents import Document
from ingest.errors import DocumentError, GoneError, IngestError
from ingest.outcomes import from_json, to_json
from ingest.parsing import read_documents
from ingest.pdf import read_pdf

HOSTILE = """
import os, pathlib, re, signal, time

read = pathlib.Path.read_bytes

def read_bytes(path):
    if path.stem in ("asleep", "busy", "crash"):
        path.with_suffix(".pid").write_text(str(os.getpid()) + "\\n")
    if path.stem == "asleep":
        time.sleep(3600)
    if path.stem == "busy":
        re.match("(a+)+$", "a" * 60 + "b")
    if path.stem == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    return read(path)

pathlib.Path.read_bytes = read_bytes
"""

SCRIPT = """
import sys
from pathlib import Path
from ingest.config import IngestConfig
from ingest.parsing import read_documents

config = IngestConfig(timeout_s=float(sys.argv[1]))
for path, outcome in read_documents([Path(sys.argv[2])], config):
    print(path.name, type(outcome).__name__)
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder whose files asleep.pdf, busy.pdf and crash.pdf do to a reader what they say."""
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "sitecustomize.py").write_text(HOSTILE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "early"))
    for name in ("asleep", "busy", "crash"):
        write_good(tmp_path / f"{name}.pdf")
    return tmp_path


def write_good(path: Path) -> Path:
    return write_pdf(path, [[("Leave", f"{path.stem}: thirty days a year for everyone.")]])


def outcomes(paths: list[Path], **config: object) -> list[str]:
    """Name each file's outcome, "ok" or the reason."""
    read = list(read_documents(paths, IngestConfig.model_validate(config)))
    assert [path for path, _ in read] == paths
    return ["ok" if isinstance(each, Document) else each.reason for _, each in read]


def only(path: Path, **config: object) -> Document | DocumentError:
    [(_, outcome)] = read_documents([path], IngestConfig.model_validate(config))
    return outcome


def children() -> list[int]:
    """Find the processes that this one has started and that read files."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            ours = parent == os.getpid() and b"parsing_worker" in (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if ours:
            found.append(int(folder.name))
    return found


def wait_for_pid(marker: Path) -> int:
    # Several readers may write it: what was seen whole is what counts.
    while not (pid := marker.read_text() if marker.exists() else "").endswith("\n"):
        time.sleep(0.02)
    return int(pid)


def wait_for_end(pid: int) -> None:
    """Wait until a process is gone, or only remembered by a parent that does not ask for it."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        while stat.read_text().rsplit(")", 1)[1].split()[0] != "Z":
            time.sleep(0.02)
    except OSError:
        return


def run_script(tmp_path: Path, path: Path, timeout_s: float = 100) -> "subprocess.Popen[str]":
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = str(Path(ingest.parsing.__file__).parents[1])
    early = os.environ.get("PYTHONPATH")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [early, root]))}
    return subprocess.Popen(
        [sys.executable, str(script), str(timeout_s), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_each_file_has_its_outcome_in_the_order_given(tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing else")
    (tmp_path / "notes.txt").write_text("Ask the desk before you book a room.")
    os.mkfifo(tmp_path / "pipe.pdf")
    good = write_good(tmp_path / "good.pdf")
    paths = [
        tmp_path / "broken.pdf",
        good,
        tmp_path / "gone.pdf",
        tmp_path / "pipe.pdf",
        tmp_path / "notes.txt",
    ]
    assert outcomes(paths) == ["corrupt", "ok", "missing", "unsupported", "ok"]


def test_a_document_is_the_same_as_if_it_were_read_here(tmp_path: Path) -> None:
    path = write_good(tmp_path / "good.pdf")
    assert only(path) == read_pdf(path)


def test_many_files_keep_their_order_with_several_readers(tmp_path: Path) -> None:
    paths = [write_good(tmp_path / f"{number}.pdf") for number in range(12)]
    for path, outcome in read_documents(paths, IngestConfig(workers=3)):
        assert isinstance(outcome, Document)
        assert f"{path.stem}: thirty" in outcome.pages[0].text


def test_only_a_few_files_are_read_ahead(tmp_path: Path) -> None:
    taken: list[int] = []

    def paths() -> Iterator[Path]:
        for number in range(50):
            taken.append(number)
            yield tmp_path / f"{number}.pdf"

    reading = read_documents(paths(), IngestConfig(workers=1))
    next(reading)
    assert len(taken) <= 3
    reading.close()


def test_a_file_that_takes_too_long_ends_with_its_reader(tmp_path: Path) -> None:
    slow = write_forms_within_forms(tmp_path / "slow.pdf")
    good = write_good(tmp_path / "good.pdf")
    assert outcomes([slow, good], workers=1, timeout_s=3, memory_mb=8192) == ["timeout", "ok"]


def test_a_time_that_no_system_can_wait_is_as_good_as_the_longest(tmp_path: Path) -> None:
    assert outcomes([write_good(tmp_path / "good.pdf")], timeout_s=1e15) == ["ok"]


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_bomb, write_forms_within_forms])
def test_a_file_that_takes_all_memory_costs_itself_alone(tmp_path: Path, write: object) -> None:
    assert callable(write)
    greedy, good = write(tmp_path / "greedy.pdf"), write_good(tmp_path / "good.pdf")
    assert outcomes([good, greedy, good], workers=1, memory_mb=256) == ["ok", "too_large", "ok"]


@pytest.mark.slow
def test_memory_that_runs_out_in_python_is_told_with_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "greedy.txt"
    path.write_text("a\n\n" * 2_000_000)
    outcome = only(path, memory_mb=256)
    assert "takes more memory than 256 MB (memory_mb)" in str(outcome)


def test_a_crash_is_told_with_its_signal_and_costs_its_file_alone(hostile: Path) -> None:
    good = write_good(hostile / "good.pdf")
    paths = [good, hostile / "crash.pdf", good]
    read = [outcome for _, outcome in read_documents(paths, IngestConfig(workers=1))]
    assert [isinstance(each, Document) for each in read] == [True, False, True]
    assert "it makes its reader crash (SIGSEGV)" in str(read[1])


def test_a_reader_that_does_not_let_go_is_ended(hostile: Path) -> None:
    outcome = only(hostile / "busy.pdf", timeout_s=1)
    assert isinstance(outcome, TimeoutError)
    assert "not read after 1 s (timeout_s); split it" in str(outcome)


def test_no_reader_is_left_when_all_is_read(tmp_path: Path) -> None:
    assert outcomes([write_good(tmp_path / "good.pdf")]) == ["ok"]
    assert children() == []


def test_no_reader_is_left_when_the_loop_is_left_early(hostile: Path) -> None:
    paths = [write_good(hostile / "good.pdf"), *[hostile / "asleep.pdf"] * 9]
    reading = read_documents(paths, IngestConfig(workers=2))
    next(reading)
    wait_for_pid(hostile / "asleep.pid")
    assert children()
    reading.close()
    assert children() == []


def test_a_script_needs_no_guard_around_its_main_part(tmp_path: Path) -> None:
    process = run_script(tmp_path, write_good(tmp_path / "good.pdf"))
    assert process.communicate() == ("good.pdf Document\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_readers_end_with_their_owner(hostile: Path, number: signal.Signals) -> None:
    process = run_script(hostile, hostile / "asleep.pdf")
    reader = wait_for_pid(hostile / "asleep.pid")
    process.send_signal(number)
    process.communicate()
    wait_for_end(reader)
    assert process.returncode == -number


@pytest.mark.slow
def test_a_reader_that_cannot_see_its_owner_die_ends_by_its_own_alarm(hostile: Path) -> None:
    process = run_script(hostile, hostile / "busy.pdf", timeout_s=2)
    reader = wait_for_pid(hostile / "busy.pid")
    process.kill()
    process.communicate()
    wait_for_end(reader)


def test_a_reader_that_cannot_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('no such library')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(IngestError, match=r"did not start \(.*no such library\)"):
        only(write_good(tmp_path / "good.pdf"))


def test_a_machine_that_can_start_no_process_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(IngestError, match=r"\(No such file or directory\): end some others"):
        only(write_good(tmp_path / "good.pdf"))


def test_a_locked_file_opens_with_the_password_that_fits(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "locked.pdf", [[("", "Thirty days.")]], password="quillon")
    assert outcomes([path]) == ["encrypted"]
    assert "give its password (--password)" in str(only(path))
    wrong = only(path, passwords=("wrong",))
    assert "none of those given opens it" in str(wrong)
    assert "wrong" not in str(wrong)
    assert outcomes([path], passwords=("wrong", "quillon")) == ["ok"]


def test_passwords_are_not_shown_nor_part_of_the_fingerprint() -> None:
    config = IngestConfig(passwords=("quillon",))
    assert "quillon" not in repr(config)
    assert config.fingerprint("words") == IngestConfig(workers=1, timeout_s=5).fingerprint("words")


def test_the_fingerprint_of_pdf_names_how_scans_are_read() -> None:
    other = IngestConfig(ocr="never")
    assert other.fingerprint("words") != IngestConfig().fingerprint("words")
    assert other.fingerprint("words", kind="text") == IngestConfig().fingerprint(
        "words", kind="text"
    )
    german = IngestConfig(ocr_languages="deu+eng").fingerprint("words")
    assert german != IngestConfig().fingerprint("words")


def test_an_outcome_survives_the_way_between_processes() -> None:
    told = from_json(to_json(GoneError("a\udce4.pdf", "it does not exist")))
    assert isinstance(told, GoneError)
    assert (told.source, told.detail) == ("a\udce4.pdf", "it does not exist")
    assert told.advice == GoneError.remedy


@pytest.mark.parametrize("ocr", ["never", "auto"])
def test_hostile_files_each_have_the_outcome_that_they_should(tmp_path: Path, ocr: str) -> None:
    expected = write_hostile(tmp_path)
    read = outcomes(list(expected), ocr=ocr)
    assert dict(zip(expected, read, strict=True)) == expected


def test_real_files_each_have_an_outcome(shared_pdfs: Path) -> None:
    paths = sorted(shared_pdfs.glob("*.pdf"))
    read = outcomes(paths, ocr="never", passwords=("openpassword",))
    assert dict(zip((path.name for path in paths), read, strict=True)) == {
        path.name: "no_text" if path.name == "grayscale-image.pdf" else "ok" for path in paths
    }
