"""Rows: what is built of an item alone, or with other passages beside its own."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from agentlab import prompts
from agentlab.synthesis.items import Item, Refused, locate
from ingest.collection import Collection
from ingest.documents import Chunk

Row = dict[str, Any]
Builder = Callable[[Item, random.Random], Row]
_RAFT = (
    "Answer from the numbered passages. Copy the sentence that answers, in quotes with its number, "
    f"and give the short answer. If none answers, write: {prompts.NOT_FOUND}"
)
_DEPTH = 4  # times as many passages are found as are wanted, since some may hold the answer too


def question_row(item: Item, _: random.Random) -> Row:
    """Write the question, its passage and its answer in Dolly's shape, with the quote beside."""
    return {
        "instruction": item.question,
        "context": item.chunk.text,
        "response": item.answer,
        "quote": item.quote,
        "form": item.form,
        **item.lineage,
    }


def prompt_row(item: Item, _: random.Random) -> Row:
    """Write what the agent is to answer by itself, with what is known of it, for grpo."""
    return {
        "prompt": item.question,
        "answers": [item.answer],
        "route": "search_documents",
        **item.lineage,
    }


def reader_row(item: Item, _: random.Random) -> Row:
    """Write the row that a reader learns from: where in the passage the answer stands."""
    chunk = item.chunk
    found = locate(item.answer, chunk.text[item.start : item.end])
    if found is None:
        raise Refused("the answer is no words of the quote")
    return {
        "question": item.question,
        "title": chunk.header,
        "passage": chunk.text,
        "answer": [item.start + found[0], item.start + found[1]],
        **{name: value for name, value in item.lineage.items() if name != "title"},
    }


def raft_builder(
    collection: Collection, *, distractors: int, oracle: float, memorise: bool
) -> Builder:
    """Build RAFT rows (Zhang et al. 2024): the passage among others that the search finds.

    In a share `oracle` of the rows the passage is there; in the others the right answer is that
    none answers, or with `memorise`, as in the paper, the answer all the same, then without quote.
    A distractor holds neither the quote nor the answer.
    """

    def build(item: Item, rng: random.Random) -> Row:
        others = _distractors(collection, item, distractors)
        if not others:
            raise Refused("the search finds no other passage")
        present = rng.random() < oracle
        shown = [*others, item.chunk] if present else others
        rng.shuffle(shown)
        numbered = "\n".join(_shown(number, chunk) for number, chunk in enumerate(shown, start=1))
        if present:
            number = next(n for n, each in enumerate(shown, start=1) if each is item.chunk)
            answer = prompts.cited_answer(item.quote, item.answer, number)
        else:
            answer = item.answer if memorise else prompts.NOT_FOUND
        messages = [
            {"role": "system", "content": _RAFT},
            {"role": "user", "content": f"{numbered}\n\n{item.question}"},
            {"role": "assistant", "content": answer},
        ]
        return {"messages": messages, "oracle": present, **item.lineage}

    return build


def _distractors(collection: Collection, item: Item, wanted: int) -> list[Chunk]:
    hits = collection.search(item.question, limit=_DEPTH * (wanted + 1))
    answer = item.answer.casefold()
    others = [
        hit.chunk
        for hit in hits
        if hit.chunk.id != item.chunk.id
        and hit.chunk.text != item.chunk.text
        and answer not in " ".join(hit.chunk.text.split()).casefold()
    ]
    return others[:wanted]


def _shown(number: int, chunk: Chunk) -> str:
    header = prompts.page_header(chunk.title, chunk.place, chunk.heading)
    return f"[{number}] {header}: {' '.join(chunk.text.split())}"


SIMPLE: Mapping[str, Builder] = {
    "qa": question_row,
    "reader": reader_row,
    "questions": prompt_row,
}
