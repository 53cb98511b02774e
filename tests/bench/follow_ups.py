"""Which questions are taken for follow-ups, and what the reader makes of them after another one.

    OMP_NUM_THREADS=1 python tests/bench/follow_ups.py BASE READER QUESTIONS_FOLDER

BASE is the folder of the reader's base model, READER one of its own weights. The scenes are those
that no training saw; their questions are read after another question on the same passage, as they
are in a conversation.
"""

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from agentlab.estimates import share
from agentlab.leaning import leans_on_earlier
from agentlab.probing import worded
from agentlab.starter.handbooks import HandbookItem
from agentlab.starter.scenes import scene_items, training_scenes
from ingest.reader import Reader
from ingest.sentences import sentence_spans

Read = Callable[[HandbookItem, str, str, str], bool]


def squad_questions(file: Path) -> list[str]:
    """List the questions of a set in SQuAD's form."""
    articles = json.loads(file.read_text(encoding="utf-8"))["data"]
    return [
        asked["question"]
        for article in articles
        for paragraph in article["paragraphs"]
        for asked in paragraph["qas"]
    ]


def typed_questions(file: Path) -> list[str]:
    """List the questions of QED."""
    rows = file.read_text(encoding="utf-8").splitlines()
    return [json.loads(row)["question_text"] for row in rows]


def reading_by(reader: Reader) -> Read:
    """Return a test of whether the sentence that holds an answer is read for a question."""

    def read(item: HandbookItem, question: str, answer: str, sentence: str) -> bool:
        title, spans = f"{item.title} > {item.heading}", sentence_spans(item.passage)
        (reply,) = reader.read(question, [title], [item.passage], [spans])
        first, last = spans[int(np.argmax(reply.sentences))]
        start = item.passage.find(sentence) + sentence.find(answer)
        return first <= start < last

    return read


def tell_leaning(name: str, questions: Sequence[str]) -> None:
    """Print the share that is taken for follow-ups."""
    print(
        f"| {name} | {share(sum(map(leans_on_earlier, questions)), len(questions))} |", flush=True
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("reader", type=Path)
    parser.add_argument("questions", type=Path)
    given = parser.parse_args()
    trained = set(training_scenes())
    scenes = scene_items()
    print("| asked | taken for a follow-up |\n|---|---|")
    tell_leaning("follow-ups of scenes", [turn.question for each in scenes for turn in each.turns])
    tell_leaning("questions of scenes", [each.question for each in scenes])
    tell_leaning("of SQuADShifts", squad_questions(given.questions / "squadshifts_new_wiki.json"))
    tell_leaning("of SQuAD", squad_questions(given.questions / "squad_v1_part.json"))
    tell_leaning("typed, of QED", typed_questions(given.questions / "qed_dev.jsonl"))

    kept = [item for item in scenes if item not in trained]
    read, rng = reading_by(Reader(given.reader, given.base)), random.Random(3)
    about: dict[str, list[HandbookItem]] = {}
    for item in kept:
        about.setdefault(item.passage, []).append(item)
    alone, after, follow = [], [], []
    for item in kept:
        others = [other.question for other in about[item.passage] if other != item]
        if others:
            own = worded(item.question, [rng.choice(others)]).own
            after.append(read(item, own, item.answer, item.sentence))
            alone.append(read(item, item.question, item.answer, item.sentence))
        for turn in item.turns[:1]:
            own = worded(turn.question, [item.question]).own
            follow.append(read(item, own, turn.answer, turn.sentence))
    print("\n| read in its passage | sentence |\n|---|---|")
    for name, right in (
        ("question by itself", alone),
        ("after another question on the passage", after),
        ("follow-up, in the person's own words", follow),
    ):
        print(f"| {name} | {share(sum(right), len(right))} |")


if __name__ == "__main__":
    main()
