import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft")

import torch
import yaml
from peft import LoraConfig, get_peft_model
from peft.peft_model import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune.delivery import Order, deliver, needs_base
from finetune.errors import ConversionError, MissingPackageError, ModelError, RunExistsError
from finetune.neural import neural_config

IDS = torch.arange(3, 43).reshape(2, 20)
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"

# What llama.cpp's converter is to us: a program with these arguments that writes that file.
CONVERTER = """
import pathlib, sys
model, _, out, _, kind = sys.argv[1:]
if not (pathlib.Path(model) / "config.json").is_file():
    sys.exit("no config.json")
pathlib.Path(out).write_bytes(b"GGUF" + kind.encode())
"""


def base(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture
def run(tiny_base: Path, tmp_path: Path) -> Callable[..., tuple[Path, torch.Tensor]]:
    """A function that writes the folder of a run with an adapter; returns it and its logits."""

    def make(tuner: str = "lora", rank: int = 8) -> tuple[Path, torch.Tensor]:
        folder = tmp_path / "runs" / tuner
        torch.manual_seed(0)
        if tuner == "neural":
            config: Any = neural_config(
                rank=rank, alpha=2 * rank, target_modules="all-linear", frequency=5.0
            )
        else:
            config = LoraConfig(
                r=rank,
                lora_alpha=2 * rank,
                use_rslora=tuner == "rslora",
                use_dora=tuner == "dora",
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            )
        model = get_peft_model(base(tiny_base), config).eval()
        for name, weight in model.named_parameters():
            if "lora_B" in name or "neural_B" in name:
                weight.data.normal_(0, 0.1)
        logits = model(IDS).logits.detach()
        model.save_pretrained(str(folder))
        said = folder / "adapter_config.json"
        named = {"base_model_name_or_path": "someone/some-model"}
        said.write_text(json.dumps(json.loads(said.read_text()) | named))
        (folder / "chat_template.jinja").write_text(TEMPLATE)
        (folder / "resolved.yaml").write_text(yaml.safe_dump({"tuner": tuner, "lora_rank": rank}))
        (folder / "metrics.json").write_text(
            json.dumps(
                {
                    "method": "sft",
                    "held_out_loss": 1.25,
                    "lineage": {"talks.jsonl": "ab" * 32},
                    "effects": {"base": {"self_bleu": 0.5}},
                }
            )
        )
        return folder, logits

    return make


@pytest.mark.parametrize(
    ("tuner", "rank", "form", "expected"),
    [
        ("lora", 8, "adapter", 8),
        ("lora", 12, "padded", 16),
        ("rslora", 12, "padded", 16),
        ("neural", 8, "converted", 8),
        ("dora", 8, "merged", None),
    ],
)
def test_each_kind_goes_out_in_the_form_that_vllm_takes_and_says_the_same(
    run: Callable[..., Any],
    tiny_base: Path,
    tmp_path: Path,
    tuner: str,
    rank: int,
    form: str,
    expected: int | None,
) -> None:
    folder, logits = run(tuner, rank)
    order = Order(run=folder, out=tmp_path / "out", base=tiny_base, base_name="someone/some-model")
    assert needs_base(order) == (form == "merged")
    made = deliver(order)
    assert made.form == form
    if form == "merged":
        model = AutoModelForCausalLM.from_pretrained(made.folder).float()
        close = 0.1
    else:
        model = PeftModel.from_pretrained(base(tiny_base), str(made.folder))
        close = 0.05
    assert (model.eval()(IDS).logits - logits).abs().max() < close
    assert (base(tiny_base)(IDS).logits - logits).abs().max() > 0.3
    settings = json.loads((made.folder / "export.json").read_text())
    assert settings["form"] == form
    assert settings["max_lora_rank"] == made.max_lora_rank == expected
    assert (made.folder / "chat_template.jinja").read_text() == TEMPLATE


def test_the_card_tells_data_training_scores_and_licences(
    run: Callable[..., Any], tiny_base: Path, tmp_path: Path
) -> None:
    folder, _ = run("neural")
    made = deliver(
        Order(run=folder, out=tmp_path / "mine", licence="apache-2.0", data_licence="cc-by-4.0")
    )
    card = (made.folder / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["base_model"] == "someone/some-model"
    assert (head["license"], head["library_name"]) == ("apache-2.0", "peft")
    assert f"| talks.jsonl | `{'ab' * 32}` |" in card
    assert "| held_out_loss | 1.25 |" in card
    assert "| effects base self_bleu | 0.5 |" in card
    assert "tuner: neural" in card
    assert f"--enable-lora --max-lora-rank {made.max_lora_rank} " in card
    assert f"keeps {made.converted.kept:.2%} of the update's energy" in card
    assert "- data: cc-by-4.0" in card
    assert "- base: not given" in card


def test_an_export_of_a_rag_run_says_what_becomes_of_its_encoder(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    folder, _ = run()
    plain = deliver(Order(run=folder, out=tmp_path / "a"))
    assert not any("reembed" in note for note in plain.notes)
    (folder / "query_encoder").mkdir()
    notes = deliver(Order(run=folder, out=tmp_path / "b")).notes
    assert f"reembed --embedder {folder / 'query_encoder'}" in notes[-1]


def test_the_licence_of_the_base_is_read_from_its_own_card(
    run: Callable[..., Any], tiny_base: Path, tmp_path: Path
) -> None:
    import shutil

    copy = tmp_path / "base"
    shutil.copytree(tiny_base, copy)
    (copy / "README.md").write_text("---\nlicense: mit\n---\n# Base\n")
    folder, _ = run()
    made = deliver(Order(run=folder, out=tmp_path / "out", target="merged", base=copy))
    card = (made.folder / "README.md").read_text()
    assert "- base: mit" in card
    assert "vllm serve . " in card


def test_a_whole_model_is_copied_without_the_rest_of_its_run(
    tiny_base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    base(tiny_base).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
    (folder / "metrics.json").write_text('{"method": "cpt"}')
    (folder / "metrics.jsonl").write_text("")
    (folder / "resolved.yaml").write_text("model: someone/some-model\ntuner: full\n")
    made = deliver(Order(run=folder, out=tmp_path / "out"))
    assert made.form == "model"
    files = {path.name for path in made.folder.iterdir()}
    assert "metrics.json" not in files
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= files
    assert torch.equal(base(made.folder)(IDS).logits, base(tiny_base)(IDS).logits)
    with pytest.raises(ConversionError, match="a whole model, no adapter"):
        deliver(Order(run=folder, out=tmp_path / "other", target="adapter"))


def test_a_gguf_comes_with_ollamas_modelfile(
    run: Callable[..., Any], tiny_base: Path, tmp_path: Path
) -> None:
    script = tmp_path / "llama.cpp" / "convert_hf_to_gguf.py"
    script.parent.mkdir()
    script.write_text(CONVERTER)
    folder, _ = run()
    made = deliver(
        Order(
            run=folder,
            out=tmp_path / "out",
            target="gguf",
            base=tiny_base,
            converter=script.parent,
        )
    )
    assert made.gguf == tmp_path / "out" / "model-q8_0.gguf"
    assert made.gguf.read_bytes() == b"GGUFq8_0"
    assert {path.name for path in made.folder.iterdir()} == {
        "model-q8_0.gguf",
        "Modelfile",
        "README.md",
        "export.json",
    }
    card = (made.folder / "README.md").read_text()
    assert "ollama create tuned -f Modelfile" in card
    assert "vllm" not in card
    text = (made.folder / "Modelfile").read_text()
    assert "FROM ./model-q8_0.gguf" in text
    assert "<|im_start|>{{ .Role }}" in text


def test_a_converter_that_is_missing_or_fails_is_told_with_the_remedy(
    run: Callable[..., Any], tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = run()
    monkeypatch.setenv("PATH", str(tmp_path))
    order = {"run": folder, "out": tmp_path / "out", "target": "gguf", "base": tiny_base}
    with pytest.raises(MissingPackageError, match=r"git clone .*--converter"):
        deliver(Order(**order))
    with pytest.raises(ConversionError, match="is no file"):
        deliver(Order(**order, converter=tmp_path / "nowhere.py"))
    broken = tmp_path / "broken.py"
    broken.write_text("import sys\nsys.exit('unknown architecture')")
    with pytest.raises(ConversionError, match="unknown architecture"):
        deliver(Order(**order, converter=broken))
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_what_cannot_be_delivered_is_told_before_anything_is_written(
    run: Callable[..., Any], tiny_base: Path, tmp_path: Path
) -> None:
    dora, _ = run("dora")
    with pytest.raises(ConversionError, match=r"vLLM refuses DoRA\. --to merged"):
        deliver(Order(run=dora, out=tmp_path / "out", target="adapter"))
    with pytest.raises(ModelError, match="needs the folder of its base"):
        deliver(Order(run=dora, out=tmp_path / "out"))
    with pytest.raises(ModelError, match="no folder of an adapter"):
        deliver(Order(run=tmp_path, out=tmp_path / "out"))
    reward = tmp_path / "reward"
    reward.mkdir()
    (reward / "adapter_config.json").write_text('{"task_type": "SEQ_CLS"}')
    with pytest.raises(ConversionError, match="scores texts and writes none"):
        deliver(Order(run=reward, out=tmp_path / "out"))
    lora, _ = run()
    deliver(Order(run=lora, out=tmp_path / "taken"))
    with pytest.raises(RunExistsError, match="taken exists already"):
        deliver(Order(run=lora, out=tmp_path / "taken"))
    assert not (tmp_path / "out").exists()


def test_an_engine_for_whole_models_gets_one(
    run: Callable[..., Any], tiny_base: Path, tmp_path: Path
) -> None:
    folder, _ = run()
    order = Order(run=folder, out=tmp_path / "out", engine="transformers", base=tiny_base)
    assert deliver(order).form == "merged"
    assert sys.modules["finetune.delivery"].is_model(tmp_path / "out")
