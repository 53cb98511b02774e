import json
import multiprocessing
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("peft")

import torch
from peft import LoraConfig, get_peft_model
from peft.peft_model import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune import export
from finetune.errors import ModelError
from finetune.export import merge

WEIGHTS = "model.safetensors"


@pytest.fixture
def adapter(tiny_base: Path, tmp_path: Path) -> Callable[[int], Path]:
    """A function that makes an adapter with random weights from a seed."""

    def make(seed: int) -> Path:
        torch.manual_seed(seed)
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32),
            LoraConfig(
                r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False
            ),
        )
        model.save_pretrained(str(tmp_path / "starter"))
        return tmp_path / "starter"

    return make


def test_the_merged_model_says_what_base_and_adapter_say(
    tiny_base: Path, adapter: Callable[[int], Path], tmp_path: Path
) -> None:
    folder = adapter(1)
    merged = merge(tiny_base, folder, tmp_path / "models", chat_template=None)
    ids = torch.randint(3, 400, (2, 20))
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    plain = base(ids).logits
    expected = PeftModel.from_pretrained(base, str(folder)).eval()(ids).logits
    model = AutoModelForCausalLM.from_pretrained(merged)
    assert model.dtype == torch.bfloat16
    got = model.float()(ids).logits
    assert (expected - plain).abs().max() > 0.1
    assert (got - expected).abs().max() < 0.05 * (expected - plain).abs().max()


def test_a_base_with_a_temperature_and_no_sampling_merges(
    tiny_base: Path, adapter: Callable[[int], Path], tmp_path: Path
) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "published")
    (base / "generation_config.json").write_text('{"temperature": 0.6}', encoding="utf-8")
    merged = merge(base, adapter(1), tmp_path / "models", chat_template=None)
    written = json.loads((merged / "generation_config.json").read_text(encoding="utf-8"))
    assert (written["temperature"], written["do_sample"]) == (0.6, True)


def test_the_update_is_added_in_fp32_and_rounded_once(
    tiny_base: Path, adapter: Callable[[int], Path], tmp_path: Path
) -> None:
    folder = adapter(1)
    merged = load_file(merge(tiny_base, folder, tmp_path, chat_template=None) / WEIGHTS)
    name = "model.layers.1.mlp.up_proj"
    update = load_file(folder / "adapter_model.safetensors")
    a, b = (update[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    expected = load_file(tiny_base / WEIGHTS)[f"{name}.weight"].float() + (b @ a) * 8 / 4
    assert torch.equal(merged[f"{name}.weight"], expected.to(torch.bfloat16))


def test_the_merged_folder_serves_alone_with_the_given_template(
    tiny_base: Path, adapter: Callable[[int], Path], tmp_path: Path
) -> None:
    template = "{% for m in messages %}<{{ m.content }}>{% endfor %}"
    merged = merge(tiny_base, adapter(1), tmp_path / "models", chat_template=template)
    assert (merged / "chat_template.jinja").read_text() == template
    tokenizer = AutoTokenizer.from_pretrained(merged)
    talk = [{"role": "user", "content": "hi"}]
    assert tokenizer.apply_chat_template(talk, tokenize=False) == "<hi>"
    assert {path.name for path in merged.iterdir()} >= {"config.json", "tokenizer.json"}
    assert json.loads((merged / "config.json").read_text())["dtype"] == "bfloat16"


def test_merging_is_done_once_and_again_only_for_something_new(
    tiny_base: Path,
    adapter: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "models"
    first = merge(tiny_base, adapter(1), out, chat_template=None)
    other_template = merge(tiny_base, adapter(1), out, chat_template="{{ messages }}")
    other_adapter = merge(tiny_base, adapter(2), out, chat_template=None)
    assert len({first, other_template, other_adapter}) == 3
    monkeypatch.setattr(export, "write_merged", lambda *_: pytest.fail("merged again"))
    assert merge(tiny_base, adapter(1), out, chat_template=None) == first


def test_a_merge_that_dies_half_way_leaves_nothing_that_looks_whole(
    tiny_base: Path,
    adapter: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, folder = tmp_path / "models", adapter(1)

    def die(_base: Path, _adapter: Path, part: Path, _template: str | None) -> None:
        part.mkdir()
        (part / "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(export, "write_merged", die)
        with pytest.raises(OSError, match="No space left"):
            merge(tiny_base, folder, out, chat_template=None)
    assert [path for path in out.iterdir() if path.is_dir()] == []

    merged = merge(tiny_base, folder, tmp_path / "probe", chat_template=None)
    killed = out / f".{merged.name}.4711.part"
    killed.mkdir()
    again = merge(tiny_base, folder, out, chat_template=None)
    assert [path for path in out.iterdir() if path.is_dir()] == [again]


@pytest.mark.slow
def test_two_processes_that_merge_at_once_share_one_folder(
    tiny_base: Path, adapter: Callable[[int], Path], tmp_path: Path
) -> None:
    folder, out = adapter(1), tmp_path / "models"
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=2, mp_context=spawn) as children:
        jobs = [
            children.submit(merge, tiny_base, folder, out, chat_template=None) for _ in range(2)
        ]
        merged = {job.result(timeout=150) for job in jobs}
    assert len(merged) == 1
    assert len([path for path in out.iterdir() if path.is_dir()]) == 1


def test_a_folder_that_is_no_adapter_or_no_model_is_named(
    tiny_base: Path, adapter: Callable[[int], Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"no folder of an adapter: adapter_config\.json"):
        merge(tiny_base, tiny_base, tmp_path / "models", chat_template=None)
    with pytest.raises(ModelError, match=r"no folder of a model: config\.json"):
        merge(tmp_path / "none", adapter(1), tmp_path / "models", chat_template=None)


def test_an_adapter_of_another_model_is_refused(
    tiny_base: Path, adapter: Callable[[int], Path], tmp_path: Path
) -> None:
    folder = adapter(1)
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(settings | {"r": 8}))
    with pytest.raises(ModelError, match="does not fit the base model"):
        merge(tiny_base, folder, tmp_path / "models", chat_template=None)
