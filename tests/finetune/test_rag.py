"""Retriever and generator learn together: by hand, on a tiny run, and after a stop."""

import base64
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("accelerate")

import torch
from peft.peft_model import PeftModel
from safetensors.torch import load_file

from finetune.base_model import load_base, load_tokenizer
from finetune.completed import Completed
from finetune.data.reading import kind_of
from finetune.errors import ConfigError, ExampleError
from finetune.events import Evaluated, Finished, Progress, Started
from finetune.lookup_rows import read_lookups
from finetune.method_config import RagConfig, load_config
from finetune.methods.marginal import answer_likelihood, marginal_loss
from finetune.methods.rag import Rag
from finetune.training import train
from ingest.embedding.pytorch import TorchEmbedder

THINGS = ("mill", "bridge", "tower", "river")
MADE_OF = ("paper", "iron", "glass", "cloth")


def test_the_loss_is_the_likelihood_summed_over_the_passages_by_hand() -> None:
    found = torch.tensor([0.5, 0.3, 0.2]).log()
    answered = torch.tensor([0.1, 0.4, 0.01]).log()
    by_hand = -math.log(0.5 * 0.1 + 0.3 * 0.4 + 0.2 * 0.01)  # 0.172
    assert marginal_loss(found, answered).item() == pytest.approx(by_hand, rel=1e-5)
    found.requires_grad_()
    marginal_loss(found, answered).backward()
    # the posterior of each passage, by which the encoder is taught
    posterior = -torch.tensor([0.05, 0.12, 0.002]) / 0.172
    torch.testing.assert_close(found.grad, posterior, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("alone", [True, False])
def test_an_answers_likelihood_is_that_of_the_plain_model_whatever_stands_beside_it(
    tiny_base: Path, alone: bool
) -> None:
    config = load_config(
        "rag", None, {"data": "x", "model": str(tiny_base), "out": "o", "bf16": False}
    )
    model = load_base(config, tiny_base).eval()
    told = [
        Completed((5, 9, 30, 41), (50, 60, 1)),
        Completed(tuple(range(20, 60)), (7, 1)),
        Completed((3, 4), (80, 81, 82, 83, 1)),
    ]
    expected = []
    for each in told:
        with torch.no_grad():
            shares = model(torch.tensor([each.ids])).logits[0].log_softmax(dim=-1)
        start = len(each.prompt_ids)
        expected.append(
            sum(shares[start + n - 1, token].item() for n, token in enumerate(each.completion_ids))
        )
    groups = [[each] for each in told] if alone else [told]
    with torch.no_grad():
        found = torch.cat([answer_likelihood(model, group, pad=2) for group in groups])
    assert found.tolist() == pytest.approx(expected, rel=1e-4)


def packed(vector: np.ndarray) -> str:
    return base64.b64encode(vector.astype("<f2").tobytes()).decode()


@pytest.fixture
def settings(
    tiny_base: Path, tiny_bert: Path, template: Path, tmp_path: Path
) -> Callable[..., RagConfig]:
    embedder = TorchEmbedder(tiny_bert, name="tiny")
    texts = [f"the {thing} is of {made}" for thing in THINGS for made in MADE_OF]
    vectors = dict(zip(texts, embedder.encode(texts), strict=True))

    def write(name: str, count: int, seed: int) -> Path:
        rng = random.Random(seed)
        rows = []
        for _ in range(count):
            thing, made = rng.choice(THINGS), rng.choice(MADE_OF)
            others = [each for each in THINGS if each != thing]
            found = [
                f"the {thing} is of {made}",
                *(f"the {o} is of {rng.choice(MADE_OF)}" for o in others),
            ]
            rng.shuffle(found)
            rows.append(
                {
                    "question": f"who made the {thing} ?",
                    "answer": f"{made} {made}",
                    "passages": [{"text": text, "vector": packed(vectors[text])} for text in found],
                    "right": [place for place, text in enumerate(found) if thing in text],
                }
            )
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def make(**changed: Any) -> RagConfig:
        config = load_config(
            "rag",
            None,
            {
                "data": write("lookups.jsonl", 32, 1),
                "eval_data": write("held_out.jsonl", 16, 2),
                "model": str(tiny_base),
                "encoder": str(tiny_bert),
                "chat_template": template,
                "out": tmp_path / "both",
                "learning_rate": 1e-2,
                "encoder_learning_rate": 2e-3,
                "lora_rank": 8,
                "passages": 3,
                "batch": 4,
                "micro_batch": 4,
                "max_steps": 10,
                "max_length": 128,
                "save_every": 4,
                "effects": False,
            }
            | changed,
        )
        assert isinstance(config, RagConfig)
        return config

    return make


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_the_loss_falls_and_an_adapter_and_an_encoder_of_questions_are_left(
    settings: Callable[..., RagConfig],
) -> None:
    config = settings(max_steps=40, save_every=100, eval_every=10)
    events = list(train(config))
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert (started.rows, started.kind, started.steps) == (32, "lookups", 40)
    metrics = finished.metrics
    assert metrics["last_loss"] < metrics["first_loss"] / 2
    evaluated = [event for event in events if isinstance(event, Evaluated)]
    assert metrics["held_out_loss"] < evaluated[0].loss
    assert (config.out / "adapter_model.safetensors").exists()
    assert not any(
        "query_encoder" in name for name in load_file(config.out / "adapter_model.safetensors")
    )
    assert right_first(config, config.out / "query_encoder") == pytest.approx(
        metrics["held_out_hit_1"]
    )


def right_first(config: RagConfig, encoder: Path) -> float:
    """Measure how often the nearest held-out passage says the answer, by ingest's own embedder."""
    embedder = TorchEmbedder(encoder, name="x")
    rows = read_lookups(config.eval_data)
    questions = embedder.encode([row.question for row in rows])
    best = [int((row.vectors @ q).argmax()) for row, q in zip(rows, questions, strict=True)]
    return sum(place in row.right for place, row in zip(best, rows, strict=True)) / len(rows)


def test_the_encoder_learns_which_passages_make_the_answer_likely(
    settings: Callable[..., RagConfig],
    tiny_bert: Path,
    tiny_base: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = load_tokenizer(tiny_base)

    def knowing(_model: object, told: list[Completed], *, pad: int) -> torch.Tensor:
        """Find an answer likely after a passage on the thing that is asked about, and only then."""
        prompts = [tokenizer.decode(each.prompt_ids) for each in told]
        right = [any(prompt.count(f"the {thing} ") == 2 for thing in THINGS) for prompt in prompts]
        return torch.tensor([0.0 if each else -8.0 for each in right])

    monkeypatch.setattr("finetune.methods.rag.answer_likelihood", knowing)
    config = settings(max_steps=60, save_every=100, passages=4)
    *_, finished = train(config)
    assert isinstance(finished, Finished)
    assert right_first(config, tiny_bert) < 0.5
    assert right_first(config, config.out / "query_encoder") > 0.7


def test_a_run_that_is_left_goes_on_with_the_same_losses_and_weights_of_both(
    settings: Callable[..., RagConfig], tmp_path: Path
) -> None:
    config = settings(save_every=100)
    events = train(config)
    next(event for event in events if isinstance(event, Progress) and event.step == 6)
    events.close()
    started = next(iter(list(train(config, resume=True))))
    assert isinstance(started, Started)
    assert 6 <= started.first_step < 10
    whole = settings(save_every=100, out=tmp_path / "whole")
    list(train(whole))
    assert losses(config.out) == pytest.approx(losses(whole.out), abs=1e-5)
    for file in ("adapter_model.safetensors", "query_encoder/model.safetensors"):
        resumed = load_file(config.out / file)
        for name, weight in load_file(whole.out / file).items():
            torch.testing.assert_close(resumed[name], weight)


def test_an_encoder_at_rate_zero_stays_and_the_model_learns_alone(
    settings: Callable[..., RagConfig], tiny_bert: Path, tiny_base: Path
) -> None:
    config = settings(encoder_learning_rate=0, max_steps=3)
    *_, finished = train(config)
    assert isinstance(finished, Finished)
    assert not (config.out / "query_encoder").exists()
    method = Rag(config, load_tokenizer(tiny_base))
    model = method.load(tiny_base, None)
    assert isinstance(model, PeftModel)
    assert not any(weight.requires_grad for weight in model.query_encoder.parameters())


def test_vectors_of_another_encoder_are_refused(
    settings: Callable[..., RagConfig], tmp_path: Path
) -> None:
    config = settings()
    rows = [json.loads(line) for line in config.data[0].read_text().splitlines()]
    for row in rows:
        for passage in row["passages"]:
            vector = np.frombuffer(base64.b64decode(passage["vector"]), "<f2")
            passage["vector"] = packed(np.roll(vector, 5))
    path = tmp_path / "foreign.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ExampleError, match=r"foreign\.jsonl:1: these vectors are not those of"):
        list(train(settings(data=path)))


def test_rows_that_do_not_hold_are_named_with_their_reason(
    settings: Callable[..., RagConfig], tmp_path: Path
) -> None:
    assert kind_of(settings().data[0]) == "lookup"
    good = {"text": "the mill", "vector": packed(np.ones(4))}
    rows: list[dict[str, Any]] = [
        {"question": "who ?", "answer": "", "passages": [good]},
        {"question": "who ?", "answer": "iron", "passages": [good, {"text": "the mill"}]},
        {"question": "who ?", "answer": "iron", "passages": [good], "right": [1]},
    ]
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ExampleError) as caught:
        read_lookups([path])
    said = str(caught.value)
    assert ":1: `answer` is '', no text" in said
    assert ":2: passage 2 has no `vector` of fp16 in base64" in said
    assert ":3: `right` is [1], which names no passages" in said


def test_settings_that_contradict_each_other_are_refused(
    settings: Callable[..., RagConfig],
) -> None:
    with pytest.raises(ConfigError, match="leave tuner=full out"):
        settings(tuner="full")
    with pytest.raises(ConfigError, match="passages=9 are weighed of candidates=8"):
        settings(passages=9)
