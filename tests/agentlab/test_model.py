"""Which engine and which folder a model gets, and what importing agentlab costs."""

import subprocess
import sys
from pathlib import Path

import pytest

import agentlab
from agentlab.model import choose_engine, find_model, open_model, starter_adapter
from agentlab.settings import Settings


def make_settings(tmp_path: Path, **values: object) -> Settings:
    return Settings(home=tmp_path, cache=tmp_path / "cache", **values)


def test_the_package_exports_what_it_says() -> None:
    assert agentlab.__all__ == ["Agent", "Answer", "Settings"]
    assert agentlab.Settings is Settings
    with pytest.raises(AttributeError, match="Agents"):
        agentlab.Agents  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "langchain", "pydantic")
    code = f"import sys, agentlab; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_address_makes_the_engine_an_endpoint(tmp_path: Path) -> None:
    assert choose_engine(make_settings(tmp_path, base_url="http://localhost:1/v1")) == "openai"


def test_a_named_engine_is_taken_as_it_is(tmp_path: Path) -> None:
    values = {"engine": "transformers", "base_url": "http://localhost:1/v1"}
    assert choose_engine(make_settings(tmp_path, **values)) == "transformers"


def test_without_vllm_a_model_runs_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert choose_engine(make_settings(tmp_path)) == "transformers"


def test_finding_a_model_fetches_nothing(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    assert find_model("starter", settings) is None
    assert find_model("some/model", settings) is None
    assert find_model(str(tmp_path), settings) == tmp_path


def test_a_local_address_needs_no_key_and_has_limits(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, base_url="http://localhost:1/v1", model="m", timeout_s=7)
    opened = open_model(settings)
    assert (opened.engine, opened.name, opened.adapter) == ("openai", "m", None)
    assert opened.chat.request_timeout == 7
    assert opened.chat.max_retries == 2


def test_an_adapter_without_weights_is_no_adapter() -> None:
    adapter = starter_adapter()
    assert adapter is None or (adapter / "adapter_model.safetensors").stat().st_size > 1000
