"""Hub: a model's files in the hub's own cache on this machine, or downloaded into it."""

from collections.abc import Callable, Iterator
from pathlib import Path

from serve.errors import ModelFolderError
from serve.whole import checked

TIMEOUT_S = 5.0
FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "tokenizer*", "1_Pooling/*")
_PREFIX = "models--"


class HubUnavailableError(Exception):
    """The hub has no answer, so the next source is asked."""


def snapshot(name: str) -> Path | None:
    """Return the folder of a model that lies whole in the hub's cache; the hub is not asked."""
    from huggingface_hub.errors import HFValidationError

    try:
        return _in_cache(name)
    except HFValidationError:
        return None


def snapshots() -> Iterator[tuple[str, Path]]:
    """Give the names and folders of the whole models in the hub's cache."""
    from huggingface_hub import constants

    for folder in sorted(Path(constants.HF_HUB_CACHE).expanduser().glob(f"{_PREFIX}*")):
        name = folder.name.removeprefix(_PREFIX).replace("--", "/", 1)
        if found := snapshot(name):
            yield name, found


def fetch(name: str, progress: Callable[[str], None]) -> Path:
    """Return a model's folder in the hub's cache, downloaded where the hub answers at once.

    Raises HubUnavailableError.
    """
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        found = _in_cache(name)
    except HFValidationError as error:
        raise HubUnavailableError(f"{name!r} is no name of a model") from error
    if found:
        return found
    if constants.HF_HUB_OFFLINE:
        raise HubUnavailableError("offline, as HF_HUB_OFFLINE says, and not in its cache")
    try:
        # The question which tells quickly whether a hub answers: downloads retry for a long time.
        HfApi().model_info(name, timeout=TIMEOUT_S)
        progress(f"downloading {name} from the hub")
        return Path(snapshot_download(name, allow_patterns=list(FILES), etag_timeout=TIMEOUT_S))
    except Exception as error:  # the hub's client lets its transport's own errors through
        said = next(iter(str(error).splitlines()), "")
        raise HubUnavailableError(said or type(error).__name__) from error


def _in_cache(name: str) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(name, allow_patterns=list(FILES), local_files_only=True)
        return checked(Path(found))
    except (OSError, ModelFolderError):
        return None  # not there, or a download that was cut off
