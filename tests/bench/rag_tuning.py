"""What tuning retriever, generator and both together is worth on questions that people asked.

    OMP_NUM_THREADS=1 python tests/bench/rag_tuning.py EMBEDDER MODEL QUESTIONS [--work FOLDER]

EMBEDDER and MODEL are folders; QUESTIONS holds sets in SQuAD's form. Articles are held out whole.
The training articles become a library, and their questions are mined from its index; each way of
tuning sees the same questions. Held-out questions are then asked of a library of the held-out
articles: how often one of the first 1, 3 and 5 passages is right by meaning alone and by the
agent's hybrid search; the mean marginal loss of the answer over what is found by meaning; and how
often what is written from the first passage holds the short answer. "both" keeps the index of the
base embedder; "retriever" needs a new one. What is finished in --work is not done again.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft.peft_model import PeftModel

from agentlab.asked import Asked
from agentlab.estimates import paired_points
from agentlab.mining import Miner, mine, says
from agentlab.starter.questions import Article, held_out_articles, training_articles
from agentlab.starter.texts import Text, fill
from finetune.base_model import load_tokenizer
from finetune.config import load_retriever_config
from finetune.data.rows import Instruction
from finetune.data.templates import fill as fill_template
from finetune.method_config import RagConfig, load_config
from finetune.methods.rag import Rag
from finetune.retriever_training import train_retriever
from finetune.training import train
from ingest.collection import Collection
from ingest.embedding import Embedder
from ingest.embedding.pytorch import TorchEmbedder
from ingest.sentences import sentence_spans
from ingest.stores.embedded import LanceStore

WORDS = 75  # of a passage
ANSWER_WORDS = 5
WRITTEN = 16  # tokens
DEPTH = 5
HIT_AT = (1, 3, 5)
TEMPLATE = Path(__file__).resolve().parents[2] / "agentlab" / "chat_template.jinja"


@dataclass(frozen=True)
class Way:
    """What is tuned: the index's embedder, that of questions, and the adapter, by their folders."""

    name: str
    index: Path
    asking: Path
    adapter: Path | None


def pieces(passage: str) -> list[str]:
    """Cut a passage into pieces of whole sentences."""
    found: list[str] = []
    for start, end in sentence_spans(passage):
        sentence = " ".join(passage[start:end].split())
        if found and len(f"{found[-1]} {sentence}".split()) <= WORDS:
            found[-1] = f"{found[-1]} {sentence}"
        else:
            found.append(sentence)
    return found


def asked_of(articles: Sequence[Article], count: int) -> list[Asked]:
    """Draw questions that a short answer in one piece answers; the same each time."""
    every = []
    for article in articles:
        for each in article.questions:
            sentence = " ".join(each.sentence.split())
            held = [piece for piece in pieces(article.passages[each.passage]) if sentence in piece]
            if held and len(each.answer.split()) <= ANSWER_WORDS:
                every.append(Asked(each.text, held[0], each.answer, each.answer))
    return random.Random(1).sample(every, min(count, len(every)))


@contextmanager
def library(articles: Sequence[Article], folder: Path, embedder: Embedder) -> Iterator[Collection]:
    """Open a library of the articles' pieces, made where it is not there yet."""
    done = folder / "done"
    store = LanceStore(folder, collection="texts")
    collection = Collection(store, embedder, alpha=0.5)
    if not done.exists():
        texts = [
            Text(article.title, "", number, piece)
            for article in articles
            for number, piece in enumerate(
                (piece for passage in article.passages for piece in pieces(passage)), start=1
            )
        ]
        fill(collection, texts)
        done.touch()
    try:
        yield collection
    finally:
        collection.close()


def once(path: Path, make: Callable[[], Iterator[Any]]) -> None:
    """Do what is not done yet, and say how long it took."""
    if path.exists():
        return
    begun = time.perf_counter()
    for _ in make():
        pass
    print(f"# {path}: {time.perf_counter() - begun:.0f} s", flush=True)


def places_of(
    collection: Collection, asked: Sequence[Asked], query: Embedder, alpha: float
) -> np.ndarray:
    """Give the place at which each question finds its passage, beyond `DEPTH` where it does not."""
    places = []
    for each, vector in zip(asked, query.encode([each.question for each in asked]), strict=True):
        found = collection.store.hybrid(each.question, vector, alpha=alpha, limit=DEPTH)
        right = (n for n, hit in enumerate(found, 1) if hit.chunk.text == each.passage)
        places.append(next(right, DEPTH + 1))
    return np.array(places)


def cells_of(places: Sequence[np.ndarray]) -> list[str]:
    """Give hit@1, hit@3 and hit@5 of each search."""
    return [f"{(each <= depth).mean():.3f}" for each in places for depth in HIT_AT]


def gains(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> str:
    """Give by how many points each hit rate changed, question by question, with its interval."""
    return "; ".join(
        str(paired_points(list(zip(new <= depth, old <= depth, strict=True))))
        for old, new in zip(before, after, strict=True)
        for depth in HIT_AT
    )


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read rows."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@torch.no_grad()
def generated(method: Rag, model: PeftModel, rows: Path) -> list[str]:
    """Give the loss of the answers, and how often what is written holds the short answer."""
    lookups = method.read([rows]).items
    losses = [method.loss(model, [each]).item() for each in lookups]
    right = 0
    for row, lookup in zip(rows_of(rows), lookups, strict=True):
        best = int(method.scores(model, [lookup])[0].argmax())
        told = Instruction(row["question"], row["passages"][best]["text"], "-")
        prompt = [dict(each) for each in fill_template(method.prompt, told).messages[:-1]]
        ids = method.tokenizer.apply_chat_template(
            prompt,
            chat_template=method.template,
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        pad = method.tokenizer.pad_token_id
        wrote = model.generate(**ids, max_new_tokens=WRITTEN, do_sample=False, pad_token_id=pad)
        text = method.tokenizer.decode(wrote[0, ids["input_ids"].shape[1] :])
        right += says(text, row["answer"])
    return [f"{np.mean(losses):.2f}", f"{right / len(lookups):.3f}"]


def main() -> None:
    """Tune in each way, measure, and print a row for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("embedder", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/rag-tuning"))
    parser.add_argument("--articles", type=int, default=8)
    parser.add_argument("--held-out", type=int, default=6)
    parser.add_argument("--trained", type=int, default=400)
    parser.add_argument("--asked", type=int, default=300)
    parser.add_argument("--answered", type=int, default=24)
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()
    work: Path = given.work
    learned = random.Random(0).sample(training_articles(given.questions), given.articles)
    unseen = held_out_articles(given.questions)[: given.held_out]
    trained, asked = asked_of(learned, given.trained), asked_of(unseen, given.asked)
    base = TorchEmbedder(given.embedder, name="base")
    searches, lookups = work / "searches.jsonl", work / "lookups.jsonl"
    with library(learned, work / "learned", base) as collection:
        miner = Miner(collection, negatives=3, sentences=False)
        once(searches, partial(mine, trained, miner.searches, searches, about="searches"))
        once(lookups, partial(mine, trained, miner.lookups, lookups, about="lookups"))

    settings = {"batch": 16, "max_length": 128, "save_every": 10}
    files = {"data": searches, "model": str(given.embedder), "out": work / "retriever"}
    retriever = load_retriever_config("retriever", files | settings)
    once(retriever.out / "metrics.json", partial(train_retriever, retriever, resume=True))

    untuned = Way("none", given.embedder, given.embedder, None)
    reindexed = Way("retriever", retriever.out, retriever.out, None)
    found: dict[Way, list[np.ndarray]] = {}

    def search(way: Way) -> None:
        index = work / ("index" if way.index == given.embedder else "tuned-index")
        with library(unseen, index, TorchEmbedder(way.index, name="index")) as collection:
            query = TorchEmbedder(way.asking, name="asking")
            found[way] = [places_of(collection, asked, query, alpha) for alpha in (1.0, 0.5)]
            rows = index.with_suffix(".jsonl")
            some = asked[: given.answered]
            once(rows, partial(mine, some, Miner(collection).lookups, rows, about="lookups"))
        print(f"# {way.name}: {' '.join(cells_of(found[way]))}")
        print(f"#   less none, in points: {gains(found[untuned], found[way])}", flush=True)

    search(untuned)
    search(reindexed)

    def joint(name: str, rate: float) -> RagConfig:
        config = load_config(
            "rag",
            None,
            {
                "data": lookups,
                "model": str(given.model),
                "encoder": str(given.embedder),
                "encoder_learning_rate": rate,
                "chat_template": TEMPLATE,
                "out": work / name,
                "passages": 3,
                "batch": 8,
                "max_steps": given.steps,
                "learning_rate": 8e-4,
                "max_length": 256,
                "save_every": 4,
                "effects": False,
            },
        )
        assert isinstance(config, RagConfig)
        return config

    alone, both = joint("generator", 0.0), joint("both", 3e-5)
    for config in (alone, both):
        once(config.out / "metrics.json", partial(train, config, resume=True))

    together = Way("both", given.embedder, both.out / "query_encoder", both.out)
    ways = (untuned, reindexed, replace(untuned, name="generator", adapter=alone.out), together)
    found[ways[2]] = found[untuned]
    search(together)
    # A tuned index may find the answer of other questions: the generator is asked what both found.
    every = {name: rows_of(work / f"{name}.jsonl") for name in ("index", "tuned-index")}
    shared = set.intersection(*({row["question"] for row in rows} for rows in every.values()))
    for name, rows in every.items():
        same = [json.dumps(row) + "\n" for row in rows if row["question"] in shared]
        (work / f"{name}-shared.jsonl").write_text("".join(same), encoding="utf-8")
    print(
        f"# tuned on {len(trained)} questions on {len(learned)} articles; asked {len(asked)} on "
        f"{len(unseen)} held out, of which {len(shared)} are answered in writing"
    )
    print(
        "| tuned | meaning hit@1 | @3 | @5 | hybrid hit@1 | @3 | @5 | answer loss | short answer |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for way in ways:
        name = "index" if way.index == given.embedder else "tuned-index"
        # The lookups' vectors are the index's, so they are checked against its own embedder.
        method = Rag(
            alone.model_copy(update={"encoder": str(way.index)}), load_tokenizer(given.model)
        )
        model = method.load(given.model, None)
        assert isinstance(model, PeftModel)
        if way.adapter:
            model.load_adapter(str(way.adapter), "default")
        if way.asking != way.index:
            model.query_encoder = TorchEmbedder(way.asking, name="asking")._model.encoder
        model.eval()
        cells = [*cells_of(found[way]), *generated(method, model, work / f"{name}-shared.jsonl")]
        print(f"| {way.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
