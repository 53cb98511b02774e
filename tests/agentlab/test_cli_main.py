"""The command line as a whole: quick to help, heavy with nothing, and clear when it fails."""

import errno
import json
import subprocess
import sys

import pytest

from agentlab.cli import failures
from agentlab.cli.main import run
from agentlab.errors import BackendDownError, BudgetError, KeyRejectedError, SettingsError
from ingest.errors import PathMissingError, StoreAccessError, StoreUnreachableError
from serve.errors import ModelFetchError, ModelNotFoundError, ServerFailedError, ServerTimeoutError

HEAVY = "torch transformers langchain langchain_core langgraph weaviate lancedb pyarrow peft trl"
COMMANDS = ("ingest", "chat", "ask", "search", "demo", "evaluate", "doctor", "config")


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTLAB_HOME", str(tmp_path / "home"))


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from agentlab.cli.main import run; run(['--help']);"
        f"print([m for m in {HEAVY.split()!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_text(command, capsys):
    assert run([command, "--help"]) == 0
    assert f"agentlab {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["ask"], ["ingest"], ["nosuch"], ["ask", "--nosuch", "x"]])
def test_wrong_usage_ends_with_2(command, capsys):
    assert run(command) == 2
    assert "Usage" in capsys.readouterr().err


def test_a_misspelt_setting_is_one_line_and_ends_with_2(tmp_path, capsys):
    (tmp_path / "agentlab.toml").write_text('modle = "x"\n')
    assert run(["config"]) == 2
    said = capsys.readouterr().err
    assert "Did you mean 'model'?" in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1


def test_debug_shows_the_traceback_wherever_it_stands(tmp_path, capsys):
    (tmp_path / "agentlab.toml").write_text('modle = "x"\n')
    assert run(["config", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_settings_file_that_is_missing_ends_with_2(capsys):
    assert run(["config", "--config", "none.toml"]) == 2
    assert "none.toml does not exist" in capsys.readouterr().err


def test_config_shows_origins_and_no_secret(monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-very-secret-key-1234")
    monkeypatch.setenv("AGENTLAB_WEB", "off")
    monkeypatch.setenv("AGENTLAB_MODLE", "x")
    assert run(["config"]) == 0
    out, err = capsys.readouterr()
    assert "****1234" in out
    assert "very-secret" not in out
    assert "AGENTLAB_WEB" in out
    assert "AGENTLAB_MODLE is set but is no setting" in err


def test_config_as_json_can_be_read_back(monkeypatch, capsys):
    monkeypatch.setenv("AGENTLAB_MAX_STEPS", "7")
    assert run(["config", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["max_steps"] == {"value": 7, "origin": "AGENTLAB_MAX_STEPS"}


def test_config_can_explain_each_setting(capsys):
    assert run(["config", "--explain"]) == 0
    said = " ".join(capsys.readouterr().out.split())  # a long path leaves little room beside it
    assert "Wall-clock budget of one question." in said


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("x"), 1),
        (SettingsError("x"), 2),
        (PathMissingError("x"), 2),
        (ModelNotFoundError("x"), 2),
        (KeyRejectedError("x"), 3),
        (StoreAccessError("x"), 3),
        (BackendDownError("x"), 4),
        (StoreUnreachableError("x"), 4),
        (ServerFailedError("x"), 4),
        (ServerTimeoutError("x"), 4),
        (ModelFetchError("x"), 4),
        (BudgetError("x"), 124),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(error, code):
    assert failures.exit_code(error) == code


def test_a_full_disk_is_told_with_its_place():
    said = failures.explain(OSError(errno.ENOSPC, "No space left on device", "/data/x"))
    assert said == "No space is left on the disk (/data/x): free some and run the command again."


def test_a_limit_on_the_size_of_files_is_told_with_what_raises_it():
    said = failures.explain(OSError(errno.EFBIG, "File too large"))
    assert said.startswith("A file would grow beyond the limit: raise it (ulimit -f)")


def test_an_unexpected_error_points_to_debug():
    assert "--debug" in failures.explain(RuntimeError("odd"))


def test_nothing_but_python_is_needed_to_name_the_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("agentlab ")
