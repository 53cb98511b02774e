"""A retriever learns, goes on after a kill with the same losses, and becomes a whole embedder."""

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("accelerate")

import numpy as np
import torch
from safetensors.torch import load_file

from finetune.base_model import load_tokenizer
from finetune.config import RetrieverConfig, load_retriever_config
from finetune.errors import ModelError, RunChangedError
from finetune.events import Evaluated, Finished, Progress, RetrieverStarted
from finetune.methods.encoder import load_encoder
from finetune.methods.retriever import batch_loss, collate, contrastive_loss, draw, held_out
from finetune.retriever_rows import RetrieverRow, Search, Searches, TextIds, encode_searches
from finetune.retriever_training import train_retriever
from ingest.embedding.pytorch import TorchEmbedder

THINGS = ("mill", "bridge", "tower", "river")
PLACES = ("north", "south", "east", "west")


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Write queries whose thing and place the right text names in another order."""
    rng = random.Random(seed)
    written = []
    for _ in range(count):
        thing, place, other = rng.choice(THINGS), rng.choice(PLACES), rng.choice(PLACES)
        near = [] if other == place else [f"in the {other} is a {thing} of iron"]
        written.append(
            {
                "query": f"where was the {thing} of the {place} ?",
                "positive": f"in the {place} is a {thing} of iron",
                "negatives": near,
            }
        )
    return written


@pytest.fixture
def settings(tiny_bert: Path, tmp_path: Path) -> Callable[..., RetrieverConfig]:
    def write(name: str, count: int, seed: int) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows(count, seed)))
        return path

    def make(**changed: Any) -> RetrieverConfig:
        return load_retriever_config(
            "retriever",
            {
                "data": write("rows.jsonl", 48, 1),
                "eval_data": write("held_out.jsonl", 24, 2),
                "model": str(tiny_bert),
                "out": tmp_path / "embedder",
                "learning_rate": 2e-3,
                "batch": 8,
                "max_steps": 12,
                "max_length": 16,
                "save_every": 4,
            }
            | changed,
        )

    return make


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_a_retriever_learns_and_its_folder_is_an_embedder_of_the_same_vectors(
    settings: Callable[..., RetrieverConfig], tiny_bert: Path
) -> None:
    config = settings(max_steps=60, save_every=100, eval_every=30)
    events = list(train_retriever(config))
    started, finished = events[0], events[-1]
    assert isinstance(started, RetrieverStarted)
    assert isinstance(finished, Finished)
    assert (started.rows, started.steps, started.first_step) == (48, 60, 0)
    assert started.trainable == started.parameters
    evaluated = [event for event in events if isinstance(event, Evaluated)]
    assert [event.step for event in evaluated] == [0, 30, 60]
    metrics = json.loads((config.out / "metrics.json").read_text())
    assert metrics == finished.metrics
    assert metrics["last_loss"] < metrics["first_loss"] / 2
    before = metrics["held_out_before"]
    assert metrics["held_out_mrr_10"] > before["mrr_10"] + 0.2
    assert metrics["held_out_recall_1"] > before["recall_1"] + 0.2
    assert before["loss"] == pytest.approx(evaluated[0].loss)
    assert {"loss.png", "config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in config.out.iterdir()
    }
    assert not (config.out / "checkpoints").exists()

    texts = [row["positive"] for row in rows(24, 2)]
    queries = [row["query"] for row in rows(24, 2)]
    scores = {}
    for folder in (tiny_bert, config.out):
        embedder = TorchEmbedder(folder, name=folder.name)
        scores[folder] = np.sum(embedder.encode(queries) * embedder.encode(texts), axis=1)
    tuned = TorchEmbedder(config.out, name="tuned")
    unlike = np.array(texts)[:, None] != np.array(texts)
    wrong = (tuned.encode(queries) @ tuned.encode(texts).T)[unlike]
    assert scores[config.out].mean() > wrong.mean() + 0.3


def test_a_run_that_is_killed_goes_on_with_the_same_losses(
    settings: Callable[..., RetrieverConfig], tmp_path: Path
) -> None:
    whole = settings(max_steps=14, out=tmp_path / "whole")
    list(train_retriever(whole))
    config = settings(max_steps=14)
    plan = json.dumps(config.resolved())
    script = (
        "import json, sys, time\n"
        "from finetune.config import RetrieverConfig\n"
        "from finetune.events import Progress\n"
        "from finetune.retriever_training import train_retriever\n"
        "for event in train_retriever(RetrieverConfig(**json.loads(sys.argv[1]))):\n"
        "    if isinstance(event, Progress) and event.step >= 9:\n"
        "        time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, plan])
    log, until = config.out / "metrics.jsonl", time.monotonic() + 60
    while time.monotonic() < until and not (log.exists() and len(losses(config.out)) >= 9):
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert (config.out / "run.json").exists()
    with pytest.raises(RunChangedError, match=r"temperature was 0\.05, now 0\.1"):
        list(train_retriever(config.model_copy(update={"temperature": 0.1}), resume=True))
    started = next(iter(events := list(train_retriever(config, resume=True))))
    assert isinstance(started, RetrieverStarted)
    assert started.first_step in {8, 12}
    assert (
        len([event for event in events if isinstance(event, Progress)]) == 14 - started.first_step
    )
    assert losses(config.out) == pytest.approx(losses(whole.out), abs=1e-6)
    resumed = load_file(config.out / "model.safetensors")
    for name, weight in load_file(whole.out / "model.safetensors").items():
        torch.testing.assert_close(resumed[name], weight)


def test_the_loss_is_the_cross_entropy_of_the_right_text_among_those_that_are_wrong() -> None:
    scores = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.8, 0.7]])
    labels, hidden = torch.tensor([0, 1]), torch.tensor([[False] * 3, [False, False, True]])
    first = -math.log(math.exp(9) / (math.exp(9) + math.exp(5) + math.exp(1)))
    second = -math.log(math.exp(8) / (math.exp(2) + math.exp(8)))
    loss = contrastive_loss(scores, labels, hidden, temperature=0.1)
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-4)


TEXTS = [TextIds(number, (2, 5 + number, 3)) for number in range(5)]


def test_a_text_stands_once_in_a_batch_and_what_is_also_right_is_hidden() -> None:
    batch = collate(
        [
            Search((2, 20, 3), 0, (3,), frozenset({0})),
            Search((2, 21, 22, 3), 0, (3, 4), frozenset({0, 1})),
            Search((2, 23, 3), 1, (), frozenset({1})),
        ],
        texts=TEXTS,
    )
    assert batch["input_ids"][:, 1].tolist() == [5, 6, 8, 9]
    assert batch["labels"].tolist() == [0, 0, 1]
    assert batch["hidden"].tolist() == [[False] * 4, [False, True, False, False], [False] * 4]
    assert batch["query_attention_mask"].sum(dim=1).tolist() == [3, 4, 3]


def test_other_negatives_of_a_row_are_drawn_each_time(
    settings: Callable[..., RetrieverConfig],
) -> None:
    searches = Searches([Search((2, 20, 3), 0, (1, 2, 3, 4), frozenset({0}))], TEXTS)
    config = settings(hard_negatives=2, max_steps=40, batch=2)
    drawn = draw(searches, config)
    assert len(drawn) == 80
    assert {len(row.negatives) for row in drawn} == {2}
    assert {number for row in drawn for number in row.negatives} == {1, 2, 3, 4}
    assert drawn == draw(searches, config)


def test_held_out_ranks_are_those_of_the_plain_vectors(
    settings: Callable[..., RetrieverConfig], tiny_bert: Path
) -> None:
    made = [
        RetrieverRow(row["query"], row["positive"], tuple(row["negatives"])) for row in rows(20, 3)
    ]
    searches = encode_searches(made, load_tokenizer(tiny_bert), max_length=16)
    config = settings(bf16=False)
    model = load_encoder(tiny_bert, max_length=16)
    seen = held_out(model, searches, config=config, first=False)
    embedder = TorchEmbedder(tiny_bert, name="tiny")
    texts = list(dict.fromkeys(text for row in made for text in (row.positive, *row.negatives)))
    scores = embedder.encode([row.query for row in made]) @ embedder.encode(texts).T
    own = np.array([texts.index(row.positive) for row in made])
    ranks = 1 + (scores > scores[np.arange(20), own][:, None] + 1e-6).sum(axis=1)
    assert seen["recall_1"] == pytest.approx((ranks == 1).mean())
    assert seen["recall_5"] == pytest.approx((ranks <= 5).mean())
    assert seen["mrr_10"] == pytest.approx(np.where(ranks <= 10, 1 / ranks, 0).mean())
    model.eval()
    batch = collate(searches.rows, texts=searches.texts)
    assert {*batch["labels"].tolist()} <= {*range(len(texts))}
    assert batch_loss(model, batch, temperature=0.05, first=False).isfinite()


def test_a_folder_that_pools_by_the_first_token_is_trained_so_and_others_are_refused(
    settings: Callable[..., RetrieverConfig], tiny_bert: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "first")
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode_cls_token": True}))
    config = settings(model=str(folder), max_steps=2)
    list(train_retriever(config))
    assert (config.out / "1_Pooling" / "config.json").read_text() == pooling.read_text()
    pooling.write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(ModelError, match="pools its tokens by pooling_mode_max_tokens"):
        list(train_retriever(settings(model=str(folder), out=tmp_path / "other")))


def test_a_base_that_cannot_be_a_retriever_is_named(
    settings: Callable[..., RetrieverConfig], tiny_base: Path, tiny_bert: Path
) -> None:
    with pytest.raises(ModelError, match="is a llama model; a retriever is made from encoders"):
        load_encoder(tiny_base, max_length=16)
    with pytest.raises(ModelError, match=r"reads at most 128 tokens\. Lower max_length"):
        load_encoder(tiny_bert, max_length=256)


@pytest.mark.slow
def test_a_tuned_minilm_is_opened_as_the_embedder_that_the_settings_name(
    settings: Callable[..., RetrieverConfig], minilm_folder: Path
) -> None:
    from agentlab.library import open_embedder
    from agentlab.settings import Settings

    config = settings(
        model="sentence-transformers/all-MiniLM-L6-v2", learning_rate=5e-5, max_length=64
    )
    *_, finished = train_retriever(config, base=minilm_folder)
    assert isinstance(finished, Finished)
    assert finished.metrics["held_out_loss"] < finished.metrics["held_out_before"]["loss"]
    embedder = open_embedder(Settings(embedder=str(config.out)))
    assert (embedder.name, embedder.dimension, embedder.max_tokens) == (str(config.out), 384, 256)
    text = "The pump is bled before the valve is opened."
    tuned, base = (
        TorchEmbedder(folder, name="x").encode([text])[0] for folder in (config.out, minilm_folder)
    )
    assert embedder.encode([text])[0] == pytest.approx(tuned)
    assert 0.5 < float(tuned @ base) < 0.99999
