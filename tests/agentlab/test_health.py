"""The doctor: every finding is ok, a note or a problem with something to do about it."""

from errno import EACCES
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from langchain_core.messages import AIMessage

from agentlab import health
from agentlab.cli.main import run
from agentlab.library import store_config
from agentlab.resolving import Resolved
from agentlab.settings import Settings
from ingest.documents import Chunk
from ingest.stores import open_store
from ingest.tuning import Tuning


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache", web="off")


def findings(settings):
    return {check.name: check for check in health.checks(Resolved(settings, {}), probe=False)}


def test_the_four_packages_lie_in_one_folder():
    check = health.check_one_folder()
    assert check.state == "ok"
    assert str(Path(health.__file__).parent.parent) in check.detail


def test_a_shadowed_package_is_a_problem(monkeypatch):
    monkeypatch.setattr(health, "_folder_of", lambda name: Path("/x" if name == "ingest" else "/y"))
    check = health.check_one_folder()
    assert check.state == "problem"
    assert "ingest is in /x" in check.detail
    assert "virtual environment" in check.advice


def test_a_model_that_is_not_here_names_the_command_that_fetches_it(settings):
    check = health.check_embedder(settings)
    assert check.state == "problem"
    assert check.advice == f"agentlab models pull {settings.embedder}"


def test_a_model_in_the_hubs_cache_is_here(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    place = tmp_path / "hub" / f"models--{settings.embedder.replace('/', '--')}"
    folder = place / "snapshots" / "abc123"
    folder.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc123")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text("{}")
    check = health.check_embedder(settings)
    assert (check.state, check.detail) == ("ok", f"{settings.embedder} in {folder}")


def test_a_home_that_cannot_be_written_is_a_problem(settings, tmp_path):
    assert health.check_disk(settings).state == "ok"
    (tmp_path / "home").write_text("a file where the folder should be")
    check = health.check_disk(settings)
    assert check.state == "problem"
    assert f"{tmp_path / 'home'} cannot be written" in check.detail
    assert "set another home" in check.advice


def test_an_endpoint_for_embeddings_needs_no_folder(settings):
    changes = {"embedder_backend": "openai", "embedder_url": "http://127.0.0.1:9/v1"}
    check = health.check_embedder(settings.model_copy(update=changes))
    assert check.state == "ok"
    assert check.detail == f"{settings.embedder} at http://127.0.0.1:9/v1"


def test_an_endpoint_needs_no_folder(settings):
    served = settings.model_copy(update={"base_url": "http://127.0.0.1:9/v1", "model": "big"})
    assert health.check_model(served).detail == "big at http://127.0.0.1:9/v1"


def test_openai_without_a_key_is_a_problem(settings):
    keyless = settings.model_copy(update={"engine": "openai"})
    check = health.check_model(keyless)
    assert (check.state, check.detail) == ("problem", "OpenAI needs a key and none is set")
    keyed = keyless.model_copy(update={"openai_api_key": "k"})
    assert health.check_model(keyed).state == "ok"


def test_an_engine_that_uses_no_endpoint_needs_the_model_here(settings):
    changes = {"engine": "transformers", "base_url": "http://127.0.0.1:9/v1", "model": "big"}
    check = health.check_model(settings.model_copy(update=changes))
    assert (check.state, check.detail) == ("problem", "big is not here yet")


def test_vllm_that_is_not_installed_is_a_problem(settings, monkeypatch):
    monkeypatch.setattr("serve.server.find_spec", lambda _: None)
    check = findings(settings.model_copy(update={"engine": "vllm"}))["model"]
    assert check.state == "problem"
    assert "vLLM is not installed" in check.detail


def test_an_adapter_is_no_model(settings, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    changes = {"engine": "transformers", "model": str(tmp_path)}
    check = findings(settings.model_copy(update=changes))["model"]
    assert check.state == "problem"
    assert "is a LoRA adapter, not a whole model" in check.detail


def test_a_home_out_of_reach_is_a_problem(settings, monkeypatch):
    exists = Path.exists

    def refused(path):
        if path == settings.home:
            raise PermissionError(EACCES, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", refused)
    check = findings(settings)["disk"]
    assert check.state == "problem"
    assert check.detail == f"{settings.home} cannot be written (Permission denied)"


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(settings, monkeypatch):
    def fail():
        raise RuntimeError("no metadata")

    monkeypatch.setattr(health, "check_python", fail)
    checks = findings(settings)
    assert checks["versions"] == health.Check("versions", "problem", "no metadata")
    assert checks["packages"].state == "ok"


def test_an_empty_library_is_a_note_with_the_next_step(settings):
    check = health.check_library(settings)
    assert (check.state, check.detail) == ("note", "empty")
    assert "agentlab ingest" in check.advice


def test_the_library_tells_which_weight_its_search_has(settings):
    store = open_store(store_config(settings))
    chunk = Chunk("1", "Three nights.", "d", "a.pdf", "A", 1, 0, 13, "", "m")
    store.write([chunk], np.ones((1, 4), dtype=np.float32))
    assert health.check_library(settings).detail == "1 documents, 1 passages (lancedb)"
    store.put_note("tuning", Tuning(0.3, 0.7, 0.8, 100, 900, "m").to_dict())
    assert health.check_library(settings).detail.endswith("(lancedb), alpha 0.3 as tuned")
    fixed = settings.model_copy(update={"alpha": 0.5})
    assert health.check_library(fixed).detail.endswith("(lancedb), alpha 0.5 as set")


def test_a_weaviate_that_does_not_answer_is_a_problem(settings):
    down = settings.model_copy(
        update={"store": "weaviate", "weaviate_url": "http://127.0.0.1:9", "cache": settings.cache}
    )
    resolved = Resolved(down, {})
    found = {check.name: check for check in health.checks(resolved, probe=False)}
    assert found["library"].state == "problem"
    assert "127.0.0.1:9" in found["library"].detail


def test_tesseract_that_is_not_there_is_a_note_with_how_to_install_it(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    check = health.check_ocr(settings)
    assert (check.name, check.state) == ("OCR", "note")
    assert check.detail == "tesseract is not on the PATH: scans are left out"
    assert "apt install tesseract-ocr" in check.advice


def test_tesseract_that_is_there_is_named(settings, tmp_path, monkeypatch):
    program = tmp_path / "tesseract"
    program.write_text("#!/bin/sh\necho eng\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert health.check_ocr(settings).state == "ok"


def test_web_search_names_its_provider_and_a_missing_key(settings):
    assert health.check_web(settings).state == "note"
    keyed = settings.model_copy(update={"web": "auto", "serper_api_key": "k"})
    assert "serper" in health.check_web(keyed).detail.lower()
    resolved = Resolved(settings.model_copy(update={"web": "serpapi"}), {})
    found = {check.name: check for check in health.checks(resolved, probe=False)}
    assert found["web search"].state == "problem"
    assert "SERPAPI_API_KEY" in found["web search"].detail


def test_unknown_variables_are_a_problem(settings):
    check = health.check_settings(Resolved(settings, {}, unknown_variables=("AGENTLAB_MODLE",)))
    assert check.state == "problem"


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (
            AIMessage(
                "", tool_calls=[{"name": "search_documents", "args": {"query": "x"}, "id": "1"}]
            ),
            "ok",
        ),
        (AIMessage("I do not know."), "problem"),
    ],
)
def test_the_probe_tells_whether_the_model_calls_a_tool(settings, monkeypatch, reply, state):
    closed = []
    chat = SimpleNamespace(bind_tools=lambda tools: SimpleNamespace(invoke=lambda _: reply))
    opened = SimpleNamespace(chat=chat, close=lambda: closed.append(True))
    monkeypatch.setattr("agentlab.model.open_model", lambda settings: opened)
    assert health.check_tool_call(settings).state == state
    assert closed


def test_the_command_ends_with_1_where_something_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTLAB_CACHE", str(tmp_path / "cache"))
    assert run(["doctor", "--fast", "--home", str(tmp_path / "home"), "--web", "off"]) == 1
    out = capsys.readouterr().out
    assert "✓ packages" in out
    assert "✗ embedder" in out
    assert "agentlab models pull" in out
