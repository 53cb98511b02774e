"""Articles to ingest and questions on them, to measure what a model learns of its own tries.

    python tests/bench/own_rollouts.py ../shared/data/qa runs/own --articles 8 --questions 120

writes `runs/own/articles/*.md`, none of which is in the exam, and `runs/own/asked.jsonl`. Of every
six questions five are answered by one of the articles and one by nothing there: it is on another.
With `--web 2` two of the five are such as people typed into a search engine, and
`runs/own/web.json` holds what a web search finds for them. What is done with them stands in
README.md.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from agentlab.starter.questions import (
    Article,
    Question,
    WebQuestion,
    training_articles,
    training_web_questions,
)

RESULTS = 4


def write_articles(articles: Sequence[Article], folder: Path) -> None:
    """Write each article as a Markdown file, its passages as paragraphs."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, article in enumerate(articles, start=1):
        text = "\n\n".join([f"# {article.title}", *article.passages])
        (folder / f"{number}.md").write_text(text + "\n", encoding="utf-8")


def row(question: Question | WebQuestion, *, answered: bool = True) -> dict[str, object]:
    """Give a question as grpo and rollouts take it."""
    if isinstance(question, WebQuestion):
        return {"prompt": question.text, "answers": [question.answer], "route": "search_web"}
    answers = list(question.answers) if answered else []
    return {"prompt": question.text, "answers": answers, "route": "search_documents"}


def search_of(
    question: WebQuestion, others: Sequence[WebQuestion], rng: random.Random
) -> dict[str, object]:
    """Give what a web search finds for a question: its passage among those of others."""
    elsewhere = {each.title: each for each in others if each.title != question.title}
    found = [question, *rng.sample(list(elsewhere.values()), RESULTS - 1)]
    rng.shuffle(found)
    site = "https://en.wikipedia.org/wiki/"
    results = [
        {"title": each.title, "url": site + quote(each.title), "snippet": each.passage}
        for each in found
    ]
    return {"query": question.text, "results": results}


def main() -> None:
    """Draw articles and questions and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--articles", type=int, default=8)
    parser.add_argument("--questions", type=int, default=120)
    parser.add_argument("--web", type=int, default=0, choices=range(6))
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    articles = training_articles(given.data)
    rng.shuffle(articles)
    held, others = articles[: given.articles], articles[given.articles :]
    write_articles(held, given.out / "articles")
    asked = rng.sample([each for article in held for each in article.questions], given.questions)
    away = [each for article in others for each in article.questions]
    rows = [
        row(rng.choice(away), answered=False) if number % 6 == 5 else row(each, answered=True)
        for number, each in enumerate(asked)
    ]
    if given.web:
        typed = training_web_questions(given.data)
        places = [number for number in range(len(rows)) if number % 6 < given.web]
        chosen = rng.sample(typed, len(places))
        for number, each in zip(places, chosen, strict=True):
            rows[number] = row(each)
        for asked_row in rows:
            if not asked_row["answers"]:
                del asked_row["route"]  # either is a good place to look for what is nowhere
        web = {"recorded": "2026-11-21", "searches": [search_of(x, typed, rng) for x in chosen]}
        (given.out / "web.json").write_text(json.dumps(web, indent=1) + "\n", encoding="utf-8")
    lines = "".join(json.dumps(each) + "\n" for each in rows)
    (given.out / "asked.jsonl").write_text(lines, encoding="utf-8")
    print(f"{len(held)} articles and {len(rows)} questions in {given.out}")


if __name__ == "__main__":
    main()
