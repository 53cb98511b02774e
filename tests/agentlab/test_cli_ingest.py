"""`agentlab ingest` and `agentlab search` on real files, the bad ones among them."""

import inspect
import json
from datetime import UTC, datetime

import fpdf
import pytest

from agentlab.cli.ingest import ingest
from agentlab.cli.main import run
from agentlab.ingest_report import draw_report
from agentlab.settings import Settings
from ingest.config import IngestConfig
from ingest.events import Report
from ingest.tuning import Tuning

SENTENCE = "Employees may book up to three hotel nights without approval."


@pytest.fixture(scope="module")
def library(tmp_path_factory, minilm_folder):
    """A folder with one good PDF and two bad ones, and the settings to read it with."""
    folder = tmp_path_factory.mktemp("library")
    papers = folder / "papers"
    papers.mkdir()
    pdf = fpdf.FPDF()
    pdf.set_title("Travel Handbook")
    pdf.set_author("Ada Weber")
    pdf.set_creation_date(datetime(2021, 3, 1, tzinfo=UTC))
    pdf.add_page()
    pdf.set_font("helvetica", size=11)
    pdf.multi_cell(0, 6, f"{SENTENCE} Longer stays need the consent of the desk in Tarn.")
    pdf.output(str(papers / "travel.pdf"))
    (papers / "notes.pdf").write_text("not a PDF at all")
    (papers / "empty.pdf").touch()
    (folder / "agentlab.toml").write_text(f'home = "home"\nembedder = "{minilm_folder}"\n')
    return folder


@pytest.fixture
def inside(library, monkeypatch):
    monkeypatch.chdir(library)


def test_a_path_that_does_not_exist_ends_with_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["ingest", "nowhere"]) == 2
    assert capsys.readouterr().err == ("agentlab: nowhere does not exist: check the path.\n")


def test_an_empty_folder_says_what_to_give(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert run(["ingest", "empty"]) == 2
    assert "no file that can be read in empty" in capsys.readouterr().err


def test_an_empty_query_is_wrong_usage(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AGENTLAB_HOME", str(tmp_path / "home"))
    assert run(["search", " "]) == 2
    assert "The query is empty" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_languages_that_tesseract_cannot_have_are_wrong_usage(capsys):
    assert run(["ingest", ".", "--ocr-languages", "../eng"]) == 2
    assert "'../eng' is not tesseract's names" in capsys.readouterr().err


def test_what_the_options_are_left_at_is_what_the_package_does():
    options = inspect.signature(ingest).parameters
    config = IngestConfig()
    assert options["ocr"].default == config.ocr
    assert options["ocr_languages"].default == config.ocr_languages
    assert options["workers"].default == config.workers
    assert options["timeout"].default == config.timeout_s
    assert options["memory"].default == config.memory_mb
    assert Settings().chunk_tokens == config.chunk_tokens


@pytest.mark.slow
def test_a_library_is_filled_filled_again_and_searched(inside, capsys):
    assert run(["search", "anything"]) == 5
    assert "run agentlab ingest PATH first" in capsys.readouterr().err

    assert run(["ingest", "papers"]) == 1
    out, err = capsys.readouterr()
    assert "read 1 document: 1 page, 1 passage; 2 left out" in out
    assert "the library holds 1 document, 1 passage" in out
    assert "left out: papers/notes.pdf (unsupported)" in err
    assert "left out: papers/empty.pdf (unsupported)" in err
    assert "convert it to one of them" in err
    assert "Traceback" not in err

    assert run(["ingest", "papers/travel.pdf"]) == 0
    assert "1 unchanged" in capsys.readouterr().out

    assert run(["search", "hotel nights", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["query"], found["alpha"], found["mmr"]) == ("hotel nights", 0.5, None)
    assert found["alpha_from"] == "default"
    assert set(found["evidence"]) == {"strength", "score", "meaning"}
    hit = found["passages"][0]
    assert (hit["page"], hit["page_label"], hit["source"]) == (1, "", "papers/travel.pdf")
    assert SENTENCE in hit["text"]
    assert (hit["holds"], hit["lacks"]) == (["hotel", "nights"], [])
    assert [hit["text"][start:end] for start, end in hit["spans"]] == ["hotel", "nights"]

    assert run(["search", "hotel nights"]) == 0
    out = capsys.readouterr().out
    assert "library match:" in out
    assert "score: 0.5 meaning + 0.5 words" in out

    for narrower in (["--source", "Travel Handbook"], ["--kind", "pdf"], ["--page", "1"]):
        assert run(["search", "hotel nights", "--mmr", "0.7", *narrower]) == 0
    capsys.readouterr()
    assert run(["search", "hotel nights", "--kind", "docx"]) == 5
    assert "The library holds no such file of kind docx." in capsys.readouterr().err
    assert run(["search", "hotel nights", "--source", "Travel Handbok"]) != 0
    assert "Did you mean 'Travel Handbook'?" in capsys.readouterr().err
    for elsewhere in ("2", "iv"):
        assert run(["search", "hotel nights", "--page", elsewhere]) == 5
        assert "No match." in capsys.readouterr().err

    fitting = ["--since", "2021", "--until", "2021-03", "--meta", "author=weber"]
    wide = ["--two-step", "always", "--rerank", "late", "--parents", "page"]
    assert run(["search", "hotel nights of the Travel Handbook", "--json", *fitting, *wide]) == 0
    hit = json.loads(capsys.readouterr().out)["passages"][0]
    assert hit["why"][0] == "its document: like the question as a whole"
    assert hit["why"][1].startswith("its best sentences: ")
    assert run(["search", "hotel nights", "--date", "2020"]) == 5
    assert run(["search", "hotel nights", "--meta", "colour=red"]) == 2
    assert "No document has metadata 'colour': known are author, " in capsys.readouterr().err
    assert run(["search", "hotel nights", "--two-step", "perhaps"]) == 2
    assert run(["docs", "show", "Travel Handbook"]) == 0
    assert "metadata  author=Ada Weber" in capsys.readouterr().out


@pytest.mark.slow
def test_a_locked_pdf_is_read_with_its_password_which_is_kept_nowhere(inside, library, capsys):
    pdf = fpdf.FPDF()
    pdf.set_encryption(owner_password="owner", user_password="Quillon-73")
    pdf.add_page()
    pdf.set_font("helvetica", size=11)
    pdf.multi_cell(0, 6, f"{SENTENCE} Nobody else may read this.")
    pdf.output("locked.pdf")

    assert run(["ingest", "locked.pdf"]) == 1
    assert "locked by a password; give its password (--password)" in capsys.readouterr().err
    assert run(["ingest", "locked.pdf", "--password", "wrong"]) == 1
    assert run(["ingest", "locked.pdf", "--password", "no", "--password", "Quillon-73"]) == 0
    assert "read 1 document" in capsys.readouterr().out
    kept = [path for path in (library / "home").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"Quillon-73" in path.read_bytes()]


@pytest.mark.parametrize(
    ("alpha", "questions", "told"),
    [
        (0.3, 100, "is tuned to this library: 0.3 meaning + 0.7 words"),
        (0.3, 100, "0.80, with equal weights 0.71"),
        (0.5, 100, "on 100 questions made from this library no other weight is clearly better"),
        (0.5, 8, ""),
    ],
)
def test_the_report_tells_what_a_tuning_chose_and_gained(capsys, alpha, questions, told):
    tuning = Tuning(alpha, even=0.712, tuned=0.804, questions=questions, passages=900, embedder="m")
    draw_report(Report(1, 9, 900, 0, (), (), 1, 900, 2.0, tuning=tuning))
    out = capsys.readouterr().out
    assert told in out
    assert ("search" in out) is bool(told)
