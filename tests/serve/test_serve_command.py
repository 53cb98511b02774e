"""The command and the variables that vLLM is started with."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from serve.command import vllm_argv, vllm_environment
from serve.config import ServerConfig


def config(**changes: object) -> ServerConfig:
    base = {"model": Path("/models/m"), "name": "starter", "log": Path("/tmp/log"), "python": "py"}
    return ServerConfig(**{**base, **changes})  # type: ignore[arg-type]


def test_a_gpu_server_is_one_command_bound_to_this_machine() -> None:
    assert vllm_argv(config(), port=8123) == [
        *("py", "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", "/models/m", "--served-model-name", "starter"),
        *("--host", "127.0.0.1", "--port", "8123"),
        *("--dtype", "auto"),
        *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
        *("--gpu-memory-utilization", "0.9"),
    ]


def test_a_cpu_server_is_eager_and_in_bf16() -> None:
    argv = vllm_argv(config(device="cpu", context=2048), port=1)

    assert "--enforce-eager" in argv
    assert argv[argv.index("--dtype") + 1] == "bfloat16"
    assert argv[argv.index("--max-model-len") + 1] == "2048"
    assert "--gpu-memory-utilization" not in argv


def test_compiling_can_be_asked_for_and_refused() -> None:
    assert "--enforce-eager" not in vllm_argv(config(device="cpu", compiled=True), port=1)
    assert "--enforce-eager" in vllm_argv(config(compiled=False), port=1)


def test_our_template_and_parser_are_passed_on() -> None:
    argv = vllm_argv(config(chat_template=Path("/t.jinja"), tool_parser="llama3_json"), port=1)

    assert argv[argv.index("--chat-template") + 1] == "/t.jinja"
    assert argv[argv.index("--tool-call-parser") + 1] == "llama3_json"


def test_adapters_are_listed_by_name() -> None:
    adapters = {"a": Path("/x"), "b": Path("/y")}
    argv = vllm_argv(config(adapters=adapters, adapter_rank=64), port=1)

    assert argv[argv.index("--enable-lora") :] == [
        *("--enable-lora", "--max-loras", "2", "--max-lora-rank", "64"),
        *("--lora-modules", "a=/x", "b=/y"),
    ]


def test_several_gpus_share_the_model() -> None:
    argv = vllm_argv(config(tensor_parallel=4), port=1)

    assert argv[argv.index("--tensor-parallel-size") + 1] == "4"


def test_the_cpu_cache_and_the_threads_are_variables() -> None:
    variables = vllm_environment(config(device="cpu", cpu_cache_gib=2, threads=1))

    assert variables["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert variables["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in vllm_environment(config(device="cpu"))


def test_nothing_is_reported_to_anyone() -> None:
    variables = vllm_environment(config())

    assert variables["VLLM_NO_USAGE_STATS"] == "1"
    assert variables["HF_HUB_OFFLINE"] == "1"


def test_adapters_can_be_changed_while_it_runs_only_where_there_are_some() -> None:
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in vllm_environment(config())
    with_one = vllm_environment(config(adapters={"a": Path("/x")}))
    assert with_one["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="gpu_memry"):
        config(gpu_memry=0.5)


def test_an_adapter_cannot_take_the_name_of_the_model() -> None:
    with pytest.raises(ValidationError, match="another one"):
        config(adapters={"starter": Path("/x")})
