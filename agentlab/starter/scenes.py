"""Scenes: passages written by hand with the questions that people have about them.

Templates give many questions of few shapes; these are fewer and each has a shape of its own:
questions in other words than the text's, from a person's situation, on a neighbour of the sentence
that was asked before, and on what the text nearly says. A file of `scenes/` holds one field of
life. Each `ask` has a question `q` and the answer's words `a`, which stand in one sentence of the
text (`near` names more of that sentence where they stand in several); `then` asks on, with `full`
for what the question means alone; `miss` lists questions that the text does not answer.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from agentlab.starter.handbooks import HandbookItem
from ingest.sentences import one_line, sentence_spans

_KEPT_EVERY = 6
# New files go last: the order decides which scenes are kept from training.
_FILES = (
    "appliances", "encyclopaedia", "events", "farming", "health", "insurance", "laboratory",
    "lodging", "memos", "reports", "school", "shops", "software", "staff", "town", "travel_costs",
    "workshop", "comparisons", "faqs", "papers", "sheets", "attributes", "wordings",
    "measures", "pages", "circulars", "datasheets", "help_pages", "records", "studies", "terms",
    "textbooks", "annual_reports", "guidebooks", "guidelines", "proposals", "statistics",
    "manuals", "statutes", "histories", "transcripts", "life_sciences", "user_guides", "preprints",
    "arguments", "front_matter", "glossaries", "question_lists", "situations", "wide_tables",
)  # fmt: skip


def training_scenes() -> tuple[HandbookItem, ...]:
    """Give the questions of the scenes that are trained on; every sixth is kept from it."""
    return tuple(
        item
        for index, scene in enumerate(_scenes())
        if index % _KEPT_EVERY != _KEPT_EVERY - 1
        for item in scene
    )


@cache
def _scenes(names: tuple[str, ...] = _FILES) -> tuple[tuple[HandbookItem, ...], ...]:
    """Read each scene's questions, in the order of the files."""
    folder = resources.files("agentlab.starter").joinpath("scenes")
    files = [folder.joinpath(f"{name}.toml").read_text(encoding="utf-8") for name in names]
    return tuple(tuple(_items(scene)) for file in files for scene in tomllib.loads(file)["scenes"])


def scene_items(names: tuple[str, ...] = _FILES) -> tuple[HandbookItem, ...]:
    """Give every question of every scene, or of those in the files of these names."""
    return tuple(item for scene in _scenes(names) for item in scene)


def _items(scene: Mapping[str, Any]) -> Iterator[HandbookItem]:
    """Give each question of a scene an item of its own; near misses go round."""
    text = scene["text"].strip()
    misses = scene.get("miss", [])
    for number, ask in enumerate(scene["ask"]):
        fields: dict[str, str] = {}
        for prefix, then in zip(("", "second_"), ask.get("then", []), strict=False):
            fields |= {
                f"{prefix}follow_up": then["q"],
                f"{prefix}follow_up_query": then["full"],
                f"{prefix}follow_up_answer": then["a"],
                f"{prefix}follow_up_sentence": sentence_of(text, then),
            }
        yield HandbookItem(
            title=scene["title"],
            heading=scene["heading"],
            passage=text,
            question=ask["q"],
            answer=ask["a"],
            sentence=sentence_of(text, ask),
            near_miss=misses[number % len(misses)] if misses else None,
            **fields,
        )


def sentence_of(text: str, ask: Mapping[str, str]) -> str:
    """Find the one sentence that holds the answer's words; ValueError where it is not one."""
    held = [
        text[start:end]
        for start, end in sentence_spans(text)
        if ask["a"] in text[start:end] and ask.get("near", "") in one_line(text[start:end])
    ]
    if len(held) != 1:
        raise ValueError(
            f"{ask['q']!r}: {len(held)} sentences hold {ask['a']!r}. "
            "Give an answer that stands in one sentence, or words of that sentence as `near`."
        )
    return held[0]
