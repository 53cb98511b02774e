import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("accelerate")

import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoConfig, BertForSequenceClassification

from finetune.base_model import load_tokenizer
from finetune.config import RouterConfig, load_router_config
from finetune.errors import DivergedError, ExampleError, ModelError, RunChangedError
from finetune.events import Evaluated, Finished, Progress, RouterStarted
from finetune.methods.router import (
    class_weights,
    collate,
    draw,
    held_out,
    load_router,
    logits_of,
    make_router_trainer,
    weighed_loss,
)
from finetune.router_export import write_router
from finetune.router_rows import EncodedText, encode_texts, read_router_rows
from finetune.router_training import train_router

LABELS = ("ask", "live", "talk")
FIRST = {"ask": ("who", "where"), "live": ("what",), "talk": ("paper", "iron")}
TRAINED = ("bert.encoder.layer.1.", "bert.pooler.", "classifier.")


def row(rng: random.Random) -> dict[str, str]:
    """Write a text whose kind its first word tells; the second kind is rare."""
    label = rng.choices(LABELS, weights=(6, 1, 3))[0]
    more = rng.choices(("the", "river", "mill"), k=rng.randint(1, 3))
    return {"text": " ".join([rng.choice(FIRST[label]), *more, "?"]), "label": label}


@pytest.fixture
def settings(tiny_bert: Path, tmp_path: Path) -> Callable[..., RouterConfig]:
    def write(name: str, count: int, seed: int) -> Path:
        rng = random.Random(seed)
        path = tmp_path / name
        path.write_text("".join(json.dumps(row(rng)) + "\n" for _ in range(count)))
        return path

    def make(**changed: Any) -> RouterConfig:
        return load_router_config(
            "router",
            {
                "data": write("texts.jsonl", 64, 1),
                "eval_data": write("held_out.jsonl", 40, 2),
                "model": str(tiny_bert),
                "out": tmp_path / "router",
                "layers": 1,
                "learning_rate": 5e-3,
                "batch": 8,
                "max_steps": 12,
                "max_length": 16,
                "save_every": 4,
            }
            | changed,
        )

    return make


@pytest.fixture
def calm_bert(tiny_bert: Path, tmp_path: Path) -> Path:
    """The tiny BERT without its dropout, with which so small a model learns little."""
    folder = shutil.copytree(tiny_bert, tmp_path / "calm-bert")
    kind = json.loads((folder / "config.json").read_text())
    kind |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(kind))
    return folder


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def texts(config: RouterConfig, paths: tuple[Path, ...]) -> list[EncodedText]:
    tokenizer = load_tokenizer(Path(config.model))
    return encode_texts(
        read_router_rows(paths), tokenizer, labels=LABELS, max_length=config.max_length
    )


def overlaid(base: Path, router: Path) -> BertForSequenceClassification:
    """Lay a written router over its base, with nothing else."""
    settings = json.loads((router / "router_config.json").read_text())
    config = AutoConfig.from_pretrained(base, num_labels=len(settings["labels"]))
    model = BertForSequenceClassification(config)
    weights = {
        f"bert.{name}": value for name, value in load_file(base / "model.safetensors").items()
    }
    weights |= load_file(router / "router.safetensors")
    model.load_state_dict({name: weights[name].float() for name in model.state_dict()})
    return model.eval()


def test_a_router_learns_and_leaves_a_file_that_its_base_completes(
    settings: Callable[..., RouterConfig], calm_bert: Path
) -> None:
    config = settings(model=str(calm_bert), max_steps=120, save_every=100, eval_every=60)
    events = list(train_router(config))
    started, finished = events[0], events[-1]
    assert isinstance(started, RouterStarted)
    assert isinstance(finished, Finished)
    assert (started.rows, started.steps, started.first_step) == (64, 120, 0)
    assert list(started.labels) == list(LABELS)
    assert sum(started.labels.values()) == 64
    assert 0 < started.trainable < started.parameters
    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in progress] == list(range(1, 121))
    evaluated = [event for event in events if isinstance(event, Evaluated)]
    assert [event.step for event in evaluated] == [60, 120]

    files = {path.name for path in config.out.iterdir()}
    assert files == {
        "loss.png",
        "metrics.json",
        "metrics.jsonl",
        "resolved.yaml",
        "router.safetensors",
        "router_config.json",
    }
    metrics = json.loads((config.out / "metrics.json").read_text())
    assert metrics == finished.metrics
    assert set(metrics["lineage"]) == {str(config.data[0]), str(config.eval_data[0])}
    assert metrics["held_out_accuracy"] > 0.95
    kinds = metrics["held_out_labels"]
    counted = Counter(each.label for each in read_router_rows(config.eval_data))
    assert {label: kind["rows"] for label, kind in kinds.items()} == counted
    right = sum(kind["right"] for kind in kinds.values())
    assert metrics["held_out_accuracy"] == pytest.approx(right / 40)
    assert json.loads((config.out / "router_config.json").read_text()) == {
        "base": str(calm_bert),
        "labels": list(LABELS),
        "max_length": 16,
        "layers": 1,
        "rows": 64,
        "tokens": metrics["tokens"],
        "steps": 120,
    }
    rows = texts(config, config.eval_data)
    loss, found = held_out(overlaid(calm_bert, config.out), rows, labels=LABELS, config=config)
    assert loss == pytest.approx(metrics["held_out_loss"], rel=0.05, abs=0.01)
    assert {label: pair[0] for label, pair in found.items()} == {
        label: kind["right"] for label, kind in kinds.items()
    }


def test_training_changes_what_the_file_holds_and_leaves_the_rest_as_the_bases(
    settings: Callable[..., RouterConfig], tiny_bert: Path, tmp_path: Path
) -> None:
    config = settings()
    model = load_router(config, tiny_bert, labels=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for name, value in load_file(tiny_bert / "model.safetensors").items():
        torch.testing.assert_close(before[f"bert.{name}"], value)
    rows = texts(config, config.data)
    tokenizer = load_tokenizer(tiny_bert)
    make_router_trainer(config, model, tokenizer, rows, config.out, labels=3).train()
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    told = {"base": "some/bert", "labels": LABELS, "max_length": 16, "layers": 1}
    kept = load_file(write_router(model, tmp_path / "file", **told))
    assert {value.dtype for value in kept.values()} == {torch.float16}
    assert set(kept) == changed == {name for name in before if name.startswith(TRAINED)}


@pytest.mark.parametrize(("layers", "frozen"), [(0, 2), (2, 0)])
def test_the_last_layers_alone_are_trained(
    settings: Callable[..., RouterConfig], tiny_bert: Path, layers: int, frozen: int
) -> None:
    model = load_router(settings(layers=layers), tiny_bert, labels=3)
    trained = [
        all(weight.requires_grad for weight in layer.parameters())
        for layer in model.bert.encoder.layer
    ]
    assert trained == [False] * frozen + [True] * layers
    assert not any(weight.requires_grad for weight in model.bert.embeddings.parameters())


def test_weights_that_fp16_cannot_hold_are_never_written(
    settings: Callable[..., RouterConfig], tiny_bert: Path, tmp_path: Path
) -> None:
    model = load_router(settings(), tiny_bert, labels=2)
    with torch.no_grad():
        model.classifier.bias[0] = float("nan")
    out = tmp_path / "out"
    with pytest.raises(DivergedError, match=r"classifier\.bias"):
        write_router(model, out, base="some/bert", labels=("a", "b"), max_length=16, layers=1)
    assert not out.exists()


def test_a_run_that_is_left_goes_on_with_the_same_losses_across_epochs(
    settings: Callable[..., RouterConfig], tmp_path: Path
) -> None:
    config = settings(max_steps=14, save_every=100)  # eight steps are one pass over the rows
    events = train_router(config)
    next(event for event in events if isinstance(event, Progress) and event.step == 9)
    events.close()
    with pytest.raises(RunChangedError, match=r"lower_share was 0\.2, now 0\.5"):
        list(train_router(config.model_copy(update={"lower_share": 0.5}), resume=True))
    started = None
    for event in train_router(config, resume=True):
        started = started or event
    assert isinstance(started, RouterStarted)
    assert 9 <= started.first_step < 14
    whole = settings(max_steps=14, save_every=100, out=tmp_path / "whole")
    list(train_router(whole))
    assert len(losses(config.out)) == 14
    assert losses(config.out) == pytest.approx(losses(whole.out), abs=1e-6)
    resumed = load_file(config.out / "router.safetensors")
    for name, weight in load_file(whole.out / "router.safetensors").items():
        torch.testing.assert_close(resumed[name], weight)


ROWS = [EncodedText((2, *range(5, 5 + n), 9, 3), (2, *range(5, 5 + n), 3), n % 2) for n in range(8)]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_text_or_every_text_is_read_as_typed_in_haste(
    settings: Callable[..., RouterConfig], share: float
) -> None:
    drawn = draw(ROWS, settings(lower_share=share), total=3)
    expected = [each.lower() if share else each for each in ROWS]
    assert Counter(drawn) == Counter(expected * 3)


def test_whether_a_text_is_typed_in_haste_is_drawn_each_time_anew(
    settings: Callable[..., RouterConfig],
) -> None:
    config = settings(lower_share=0.25)
    drawn = draw(ROWS, config, total=100)
    hasty = sum(each.input_ids == each.lowered_ids for each in drawn)
    assert 0.2 < hasty / 800 < 0.3
    assert set(drawn) == {*ROWS, *(each.lower() for each in ROWS)}
    assert drawn == draw(ROWS, config, total=100)
    assert drawn != draw(ROWS, settings(lower_share=0.25, seed=1), total=100)


def test_all_labels_weigh_alike_however_few_rows_they_have() -> None:
    rows = [EncodedText((2, 3), (2, 3), label) for label in (0, 0, 0, 0, 0, 0, 1, 1, 2, 0)]
    weights = class_weights(rows, labels=3)
    torch.testing.assert_close(weights * torch.tensor([7, 2, 1]), torch.full((3,), 10 / 3))


def test_the_loss_weighs_each_text_by_its_label_and_smooths_it(
    settings: Callable[..., RouterConfig], tiny_bert: Path
) -> None:
    model = load_router(settings(), tiny_bert, labels=3).eval()
    rows = [EncodedText((2, 5, 6, 7, 3), (), 0), EncodedText((2, 8, 3), (), 2)]
    weights = torch.tensor([0.5, 1.0, 4.0])
    expected = 0.0
    for each in rows:
        shares = functional.log_softmax(model(torch.tensor([each.input_ids])).logits[0], dim=-1)
        target = torch.full((3,), 0.1 / 3)
        target[each.label] += 0.9
        expected -= weights[each.label] * (target * shares).sum() / 2
    loss = weighed_loss(model, collate(rows), weights=weights, smoothing=0.1)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing(settings: Callable[..., RouterConfig], tiny_bert: Path) -> None:
    model = load_router(settings(), tiny_bert, labels=3).eval()
    short, long = EncodedText((2, 8, 3), (), 0), EncodedText((2, 5, 6, 7, 8, 3), (), 1)
    alone = logits_of(model, collate([short]))[0]
    torch.testing.assert_close(logits_of(model, collate([short, long]))[0], alone)


@pytest.mark.parametrize(
    ("held", "said"), [("tlak", "the label 'tlak' is not among"), (None, "All rows have the label")]
)
def test_labels_that_cannot_be_learned_are_refused_before_the_folder_is_begun(
    settings: Callable[..., RouterConfig], tmp_path: Path, held: str | None, said: str
) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"text": "who ?", "label": held or "ask"}) + "\n")
    changed: Mapping[str, Any] = {"eval_data": other} if held else {"data": other}
    config = settings(**changed)
    with pytest.raises(ExampleError, match=said):
        list(train_router(config))
    assert not (config.out / "resolved.yaml").exists()


def test_a_base_that_cannot_be_a_router_is_named(
    settings: Callable[..., RouterConfig], tiny_base: Path, tiny_bert: Path
) -> None:
    with pytest.raises(ModelError, match="is a llama model; a router is made from BERT"):
        load_router(settings(), tiny_base, labels=2)
    with pytest.raises(ModelError, match=r"layers=3, but .* has 2 layers\. Lower layers"):
        load_router(settings(layers=3), tiny_bert, labels=2)


@pytest.mark.slow
def test_a_router_on_the_real_base_learns_and_is_small_enough_to_ship(
    settings: Callable[..., RouterConfig], minilm_folder: Path
) -> None:
    config = settings(
        model="sentence-transformers/all-MiniLM-L6-v2",
        layers=2,
        learning_rate=3e-4,
        max_steps=40,
        save_every=100,
    )
    *_, finished = train_router(config, base=minilm_folder)
    assert isinstance(finished, Finished)
    assert finished.metrics["held_out_accuracy"] > 0.9
    assert (config.out / "router.safetensors").stat().st_size <= 8e6
    rows = texts(config.model_copy(update={"model": str(minilm_folder)}), config.eval_data)
    model = overlaid(minilm_folder, config.out)
    loss, _ = held_out(model, rows, labels=LABELS, config=config)
    assert loss == pytest.approx(finished.metrics["held_out_loss"], rel=0.05, abs=0.01)
