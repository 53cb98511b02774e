"""What a reader makes of the scenes that no training saw: sentence, short answer, near misses.

    OMP_NUM_THREADS=1 python tests/bench/scene_reading.py BASE READER [READER ...]

BASE is the folder of the reader's base model; each READER one of its own weights. A question is
read in its passage alone, a follow-up in the person's own words and as it is meant. A short answer
is right where it covers half of the given one and is not much longer. The files of the last
sittings stand apart from older ones, which more readers were trained for.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agentlab.estimates import area, share
from agentlab.probing import worded
from agentlab.starter.handbooks import HandbookItem
from agentlab.starter.scenes import scene_items, training_scenes
from ingest.reader import Reader
from ingest.sentences import sentence_spans

LONGER = 25  # characters
# By the sitting of the reader that first had others of their files.
NINTH = "circulars", "datasheets", "help_pages", "records", "studies", "terms", "textbooks"
TENTH = (
    "annual_reports", "guidebooks", "guidelines", "proposals", "statistics", "manuals", "statutes",
    "histories", "transcripts", "life_sciences", "user_guides", "preprints", "arguments",
    "front_matter", "glossaries", "question_lists", "situations", "wide_tables",
)  # fmt: skip


def asked(item: HandbookItem) -> Iterator[tuple[str, str, str]]:
    """Give each question with its answer and the sentence that holds it."""
    yield item.question, item.answer, item.sentence
    before = [item.question]
    for turn in item.turns:
        yield worded(turn.question, before).own, turn.answer, turn.sentence
        yield turn.query, turn.answer, turn.sentence
        before.append(turn.question)


def main() -> None:
    """Print a row for each reader."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base", type=Path)
    parser.add_argument("readers", type=Path, nargs="+")
    given = parser.parse_args()
    trained = set(training_scenes())
    ninth, tenth = set(scene_items(NINTH)), set(scene_items(TENTH))
    kept = [item for item in scene_items() if item not in trained]
    print("| reader | scenes | sentence | short answer | answered against near miss, AUC |")
    print("|---|---|---|---|---|")
    for folder in given.readers:
        reader = Reader(folder, given.base)
        for name, items in (
            ("older", [item for item in kept if item not in ninth | tenth]),
            ("ninth", [item for item in kept if item in ninth]),
            ("tenth", [item for item in kept if item in tenth]),
        ):
            print(f"| {folder} | {name} | {' | '.join(measure(reader, items))} |", flush=True)


def measure(reader: Reader, items: list[HandbookItem]) -> list[str]:
    """Give what a reader is worth on some scenes."""
    sentences, answers, found, missed = [], [], [], []
    for item in items:
        title, spans = f"{item.title} > {item.heading}", sentence_spans(item.passage)
        for question, answer, sentence in asked(item):
            (reply,) = reader.read(question, [title], [item.passage], [spans])
            best = int(np.argmax(reply.sentences))
            start = item.passage.find(sentence) + sentence.find(answer)
            end = start + len(answer)
            first, last = reply.answers[best]
            sentences.append(spans[best][0] <= start < spans[best][1])
            covered = min(last, end) - max(first, start) >= 0.5 * len(answer)
            answers.append(covered and last - first <= max(2.5 * len(answer), len(answer) + LONGER))
            found.append(max(reply.sentences))
        if item.near_miss:
            (reply,) = reader.read(item.near_miss, [title], [item.passage], [spans])
            missed.append(max(reply.sentences))
    rates = [str(share(sum(each), len(each))) for each in (sentences, answers)]
    return [*rates, str(area(missed, found))]


if __name__ == "__main__":
    main()
