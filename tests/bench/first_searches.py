"""Where a question is looked up first, by evidence, reader and router, before any model speaks.

    OMP_NUM_THREADS=2 python tests/bench/first_searches.py QUESTIONS_FOLDER

Two libraries: 300 scenes that no training saw, whose questions hardly share a word with the text,
and the articles that the reader is calibrated on. Asked are questions that the library answers,
questions that it nearly answers, questions typed into a search engine, and questions for today on
the library's own subjects. The router was trained on the last two kinds, the evidence on none.
"""

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from agentlab.library import open_embedder, open_reader, open_router
from agentlab.router import first_calls
from agentlab.settings import Settings
from agentlab.starter.handbooks import HandbookItem
from agentlab.starter.live import live_question
from agentlab.starter.questions import calibration_articles, training_web_questions
from agentlab.starter.scenes import scene_items, training_scenes
from agentlab.starter.texts import Text, article_texts, collection_of

SCENES, OF_ARTICLE, OUTSIDE, LIVE = 300, 30, 150, 60
FIRST = {"search_documents": "library", "search_web": "web"}
Asked = tuple[str, str]  # its kind, the question


def libraries(folder: Path) -> Iterator[tuple[str, list[Text], list[Asked]]]:
    """Give each library's name, its texts, and what is asked of it."""
    dice = random.Random(3)
    web = [each.text for each in training_web_questions(folder)]
    dice.shuffle(web)
    trained = set(training_scenes())
    kept = dice.sample([item for item in scene_items() if item not in trained], SCENES)
    yield (
        "scenes",
        [Text(each.title, each.heading, 1, each.passage) for each in _distinct(kept)],
        [("answered", item.question) for item in kept]
        + [("near miss", item.near_miss) for item in kept if item.near_miss]
        + _elsewhere([item.title for item in kept], web[:OUTSIDE], dice),
    )
    articles = calibration_articles(folder)
    drawn = [
        ("answered", question.text)
        for article in articles
        for question in dice.sample(article.questions, OF_ARTICLE)
    ]
    elsewhere = _elsewhere([each.title for each in articles], web[OUTSIDE : 2 * OUTSIDE], dice)
    yield "articles", article_texts(articles), drawn + elsewhere


def _distinct(items: Sequence[HandbookItem]) -> list[HandbookItem]:
    return list({item.passage: item for item in items}.values())


def _elsewhere(titles: Sequence[str], web: Sequence[str], dice: random.Random) -> list[Asked]:
    topics = sorted(set(titles))
    live = [("live", live_question(dice, topics).text) for _ in range(LIVE)]
    return [*(("outside", text) for text in web), *live]


def place(first: Sequence[str] | None) -> str:
    """Name where the first calls lead."""
    if first is None:
        return "model"
    return FIRST.get(first[0], "other") if first else "none"


def main() -> None:
    """Print, for each library and kind of question, where it is looked up first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions", type=Path)
    folder = parser.parse_args().questions
    settings = Settings()
    embedder, router = open_embedder(settings), open_router(settings)
    print("| library | asked | questions | library first | web first | the model decides |")
    print("|---|---|---|---|---|---|")
    for name, texts, asked in libraries(folder):
        counts: dict[str, Counter[str]] = {}
        with tempfile.TemporaryDirectory() as scratch:
            collection = collection_of(texts, Path(scratch), embedder, open_reader(settings))
            collection.calibrate()
            for kind, text in asked:
                first = first_calls(
                    router.kinds(text),
                    collection.probe(text).strength,
                    answers=partial(collection.answers, text),
                )
                counts.setdefault(kind, Counter())[place(first)] += 1
            collection.close()
        for kind, found in counts.items():
            total = found.total()
            shares = [f"{found[each] / total:.1%}" for each in ("library", "web", "model")]
            print(f"| {name} | {kind} | {total} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
