"""Rows to tune on from a file of questions in SQuAD's shape, whole articles held out."""

import json
import random
from pathlib import Path

LONGEST = 500
"""Characters of the passages that are taken: short rows make many steps in little time."""


def write_rows(questions: Path, out: Path, *, train: int, held_out: int) -> tuple[Path, Path]:
    """Write two JSONL files of conversations: passage and question, then sentence and answer.

    The last third of the articles is held out.
    """
    articles = json.loads(questions.read_text(encoding="utf-8"))["data"]
    cut = len(articles) - max(1, len(articles) // 3)
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for name, part, count in (
        ("train", articles[:cut], train),
        ("held_out", articles[cut:], held_out),
    ):
        rows = [
            _row(paragraph["context"], question)
            for article in part
            for paragraph in article["paragraphs"]
            if len(paragraph["context"]) <= LONGEST
            for question in paragraph["qas"]
        ]
        random.Random(0).shuffle(rows)
        files.append(out / f"{name}.jsonl")
        files[-1].write_text("".join(json.dumps(row) + "\n" for row in rows[:count]), "utf-8")
    return files[0], files[1]


def _row(passage: str, question: dict) -> dict:
    answer = question["answers"][0]
    start = passage.rfind(". ", 0, answer["answer_start"]) + 1
    end = passage.find(". ", answer["answer_start"] + len(answer["text"]))
    sentence = passage[start : end + 1 if end >= 0 else None].strip()
    asked = f"{passage}\n\n{question['question'].strip()}"
    told = f'"{sentence}"\nAnswer: {answer["text"]}'
    return {
        "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": told}]
    }
