"""Health: one check for each thing that agentlab needs, each with what to do where it fails."""

import importlib.util
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from agentlab.resolving import Resolved
from agentlab.settings import Settings
from ingest.addresses import without_user

PACKAGES = ("agentlab", "ingest", "finetune", "serve")
VERSIONS = ("torch", "transformers", "langchain", "langgraph", "lancedb", "weaviate-client")
LEAST_FREE_BYTES = 2 * 1024**3
OTHER_EMBEDDER = "it is searched by its own; agentlab store reembed embeds it anew with this one"


@dataclass(frozen=True)
class Check:
    """What was looked at, whether it is fine, and what to do where it is not."""

    name: str
    state: Literal["ok", "note", "problem"]
    detail: str
    advice: str = ""


def checks(resolved: Resolved, *, probe: bool = True) -> Iterator[Check]:
    """Run every check; `probe` adds a real tool call, which loads the model."""
    settings = resolved.settings
    runs: list[tuple[str, Callable[[Settings], Check]]] = [
        ("versions", lambda _: check_python()),
        ("packages", lambda _: check_one_folder()),
        ("settings", lambda _: check_settings(resolved)),
        ("disk", check_disk),
        ("embedder", check_embedder),
        ("model", check_model),
        ("library", check_library),
        ("web search", check_web),
        ("OCR", check_ocr),
        ("GPU", check_gpu),
    ]
    if settings.store == "weaviate":
        runs[6:6] = [("server", check_server), ("collection", check_collection)]
    if probe:
        runs.append(("tool call", check_tool_call))
    for name, run in runs:
        try:
            yield run(settings)
        except Exception as error:  # noqa: BLE001 - a check that fails is a finding, not a crash
            yield Check(name, "problem", str(error) or type(error).__name__)


def check_python() -> Check:
    """Name the interpreter and the libraries that matter."""
    found = [f"{name} {metadata.version(name)}" for name in VERSIONS]
    return Check("versions", "ok", f"Python {platform.python_version()}, {', '.join(found)}")


def check_one_folder() -> Check:
    """See that no other distribution shadows one of the four packages."""
    folders = {name: _folder_of(name) for name in PACKAGES}
    if len(set(folders.values())) == 1:
        return Check("packages", "ok", f"all four in {folders['agentlab']}")
    strays = [f"{name} is in {place}" for name, place in folders.items()]
    return Check(
        "packages",
        "problem",
        "another distribution owns one of the names: " + ", ".join(strays),
        "uninstall the other one, or use a virtual environment of its own",
    )


def check_settings(resolved: Resolved) -> Check:
    """Name the file that was read, and variables that mean nothing."""
    if resolved.unknown_variables:
        names = ", ".join(resolved.unknown_variables)
        return Check("settings", "problem", f"{names}: no such setting", "see `agentlab config`")
    return Check("settings", "ok", str(resolved.file or "no agentlab.toml here, defaults in force"))


def check_disk(settings: Settings) -> Check:
    """See that home and cache can be written and have room for models."""
    for folder in (settings.home, settings.cache):
        place = folder
        try:
            place = next(each for each in (folder, *folder.parents) if each.exists())
            free = shutil.disk_usage(place).free
            if free < LEAST_FREE_BYTES:
                detail = f"{free / 1e9:.1f} GB free in {place}"
                advice = "free some space, or set another home or cache"
                return Check("disk", "problem", detail, advice)
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            detail = f"{place} cannot be written ({error.strerror})"
            advice = "change its owner or permissions, or set another home or cache"
            return Check("disk", "problem", detail, advice)
    return Check("disk", "ok", f"home {settings.home}, cache {settings.cache}")


def check_embedder(settings: Settings) -> Check:
    """See whether the embedding model is on this machine, or which endpoint serves it."""
    if settings.embedder_backend == "openai":
        where = without_user(settings.embedder_endpoint[0] or "OpenAI")
        return Check("embedder", "ok", f"{settings.embedder} at {where}")
    return _check_folder("embedder", settings.embedder, settings)


def check_model(settings: Settings) -> Check:
    """See whether the language model is on this machine, or which endpoint serves it."""
    from agentlab.model import choose_engine

    engine = choose_engine(settings)
    if engine == "openai":
        if not settings.base_url and not settings.endpoint_key:
            advice = "set OPENAI_API_KEY, or base_url for another endpoint"
            return Check("model", "problem", "OpenAI needs a key and none is set", advice)
        where = without_user(settings.base_url or "OpenAI")
        return Check("model", "ok", f"{settings.model} at {where}")
    if engine == "vllm":
        from serve.server import require_vllm

        require_vllm(Path(sys.executable))
    return _check_folder("model", settings.model, settings)


def check_server(settings: Settings) -> Check:
    """See whether the Weaviate server answers, is ready, and is new enough."""
    from agentlab.library import store_config
    from ingest.stores.weaviate_health import inspect_server

    found = inspect_server(store_config(settings))
    detail = f"Weaviate {found.version} at {found.url}"
    if not found.ready:
        advice = "wait until it has started, or look at its log"
        return Check("server", "problem", f"{detail} answers, but is not ready", advice)
    if not found.compresses:
        advice = "agentlab store compose prints a file that starts a newer one"
        return Check("server", "note", f"{detail} is old: it does not compress vectors", advice)
    return Check("server", "ok", f"{detail} is ready")


def check_collection(settings: Settings) -> Check:
    """See whether the collection on the Weaviate server fits the settings."""
    from agentlab.library import embedder_name, store_config
    from ingest.stores.weaviate_health import inspect_server, made_by

    config = store_config(settings)
    found = inspect_server(config).collection
    name, tenant, wanted = settings.collection, settings.weaviate_tenant, embedder_name(settings)
    if found is None:
        return Check(
            "collection", "note", f"no {name!r} yet", "agentlab ingest PATH makes it, or store copy"
        )
    if not (found.ours and found.self_provided):
        detail = f"{name!r} is not agentlab's, or does not take vectors that are brought along"
        return Check("collection", "problem", detail, "set another collection")
    if found.tenants != bool(tenant):
        detail = f"{name!r} is kept {'by tenants' if found.tenants else 'without tenants'}"
        advice = "name one: --tenant, or weaviate_tenant" if found.tenants else "name no tenant"
        return Check("collection", "problem", detail, f"{advice}; or set another collection")
    if found.tenant_there is False:
        advice = "agentlab ingest PATH makes it; else correct the name"
        return Check("collection", "note", f"no tenant {tenant!r} in {name!r} yet", advice)
    embedder = made_by(config)
    if embedder not in {None, wanted}:
        detail = f"{name!r} was embedded with {embedder}, the embedder now is {wanted}"
        return Check("collection", "note", detail, OTHER_EMBEDDER)
    size = f", vectors of {found.dimension} numbers" if found.dimension else ""
    copies = f", on {found.replicas} nodes" if found.replicas > 1 else ""
    whose = f" of tenant {tenant!r}" if tenant else ""
    detail = f"{name!r}: {found.objects:,} objects{whose}{size}{copies}"
    return Check("collection", "ok", detail)


def check_library(settings: Settings) -> Check:
    """Open the store and count what it holds."""
    from agentlab.library import embedder_name, store_config
    from ingest.collection import made_by
    from ingest.stores import open_store

    store = open_store(store_config(settings))
    try:
        documents = store.documents()
        passages = store.count()
        tuning, embedder = store.note("tuning"), made_by(store)
    finally:
        store.close()
    if not documents:
        return Check("library", "note", "empty", "agentlab ingest PATH reads documents into it")
    detail = f"{len(documents)} documents, {passages} passages ({settings.store})"
    if settings.alpha != "auto":
        detail += f", alpha {settings.alpha:.2g} as set"
    elif tuning:
        detail += f", alpha {tuning['alpha']:.2g} as tuned"
    if embedder not in {None, embedder_name(settings)}:
        return Check("library", "note", f"{detail}, embedded with {embedder}", OTHER_EMBEDDER)
    return Check("library", "ok", detail)


def check_web(settings: Settings) -> Check:
    """Name the web search in force; asking it would spend somebody's quota."""
    from agentlab.tools.providers import choose_provider

    provider = choose_provider(settings)
    if provider is None:
        return Check("web search", "note", "off", "--web auto switches it on")
    return Check("web search", "ok", f"{settings.web}: {provider.name}")


def check_ocr(_: Settings) -> Check:
    """Look for tesseract, which only scans need."""
    from ingest.ocr import Ocr

    obstacle = Ocr().obstacle
    if obstacle:
        return Check("OCR", "note", f"{obstacle.detail}: scans are left out", obstacle.remedy)
    return Check("OCR", "ok", "tesseract reads English")


def check_gpu(_: Settings) -> Check:
    """Look for a GPU and for vLLM; neither is needed."""
    import torch

    vllm = "with vLLM" if importlib.util.find_spec("vllm") else "without vLLM"
    if not torch.cuda.is_available():
        threads = torch.get_num_threads()
        cores = f"{threads} core{'' if threads == 1 else 's'}"
        return Check("GPU", "note", f"none, {vllm}: models run on {cores}")
    return Check("GPU", "ok", f"{torch.cuda.get_device_name(0)}, {vllm}")


def check_tool_call(settings: Settings) -> Check:
    """Ask the model something that needs a search, and see whether it calls a tool."""
    from agentlab.model import open_model
    from agentlab.prompts import TOOLS, system_prompt

    prompt = system_prompt(card="1 document: Travel Handbook (hotels, trains)", today="2026-01-05")
    question = "What does the Travel Handbook say about hotels?"
    model = open_model(settings)
    try:
        reply = model.chat.bind_tools(TOOLS).invoke([("system", prompt), ("user", question)])
    finally:
        model.close()
    if reply.tool_calls:
        call = reply.tool_calls[0]
        return Check("tool call", "ok", f"{settings.model} called {call['name']}({call['args']})")
    return Check(
        "tool call",
        "problem",
        f"{settings.model} called no tool and wrote {str(reply.content)[:60]!r}",
        "use a model that can call tools (the starter model can), or tune this one",
    )


def _check_folder(name: str, model: str, settings: Settings) -> Check:
    from agentlab.model import find_model
    from serve.whole import checked

    folder = find_model(model, settings)
    if folder is None:
        return Check(name, "problem", f"{model} is not here yet", f"agentlab models pull {model}")
    return Check(name, "ok", f"{model} in {checked(folder)}")


def _folder_of(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent.parent if spec and spec.origin else None
