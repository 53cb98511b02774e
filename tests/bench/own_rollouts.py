"""Articles to ingest and questions on them, to measure what a model learns of its own tries.

    python tests/bench/own_rollouts.py ../shared/data/qa runs/own --articles 8 --questions 120

writes `runs/own/articles/*.md`, none of which is in the exam, and `runs/own/asked.jsonl`. Of every
six questions five are answered by one of the articles and one by nothing there: it is on another.
What is done with them stands in README.md.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from agentlab.starter.questions import Article, Question, training_articles


def write_articles(articles: Sequence[Article], folder: Path) -> None:
    """Write each article as a Markdown file, its passages as paragraphs."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, article in enumerate(articles, start=1):
        text = "\n\n".join([f"# {article.title}", *article.passages])
        (folder / f"{number}.md").write_text(text + "\n", encoding="utf-8")


def row(question: Question, *, answered: bool) -> dict[str, object]:
    """Give a question as grpo and rollouts take it."""
    answers = list(question.answers) if answered else []
    return {"prompt": question.text, "answers": answers, "route": "search_documents"}


def main() -> None:
    """Draw articles and questions and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--articles", type=int, default=8)
    parser.add_argument("--questions", type=int, default=120)
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
    lines = "".join(json.dumps(each) + "\n" for each in rows)
    (given.out / "asked.jsonl").write_text(lines, encoding="utf-8")
    print(f"{len(held)} articles and {len(rows)} questions in {given.out}")


if __name__ == "__main__":
    main()
