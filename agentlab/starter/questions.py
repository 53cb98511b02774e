"""Real questions on real passages, in SQuAD's shape, split by whole articles."""

import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ingest.sentences import sentence_spans

ARTICLE_FILES = ("squadshifts_new_wiki.json", "squad_v1_part.json")
PAPERS_FILE = "covid_qa.json"
_HELD_OUT_EVERY = 5
_CALIBRATED_EVERY = 8
_PARAGRAPH_WORDS = 110


@dataclass(frozen=True)
class Question:
    """A question with its answer and the sentence of its passage that holds it."""

    text: str
    answers: tuple[str, ...]
    sentence: str
    passage: int

    @property
    def answer(self) -> str:
        """Give the shortest of the answers that people gave."""
        return min(self.answers, key=len)


@dataclass(frozen=True)
class Article:
    """A title, its passages, and the questions on them."""

    title: str
    passages: tuple[str, ...]
    questions: tuple[Question, ...]


def load_articles(folder: Path) -> list[Article]:
    """Read the articles of both question sets, ordered by title."""
    articles = []
    for name in ARTICLE_FILES:
        data = json.loads((folder / name).read_text(encoding="utf-8"))["data"]
        articles += [_article(each) for each in data]
    return sorted(articles, key=lambda article: article.title)


def training_articles(folder: Path) -> list[Article]:
    """Give the articles that may be trained on."""
    return [each for index, each in enumerate(load_articles(folder)) if not _held_out(index)]


def calibration_articles(folder: Path) -> list[Article]:
    """Give every eighth article of the training's: the reader is fitted to the others."""
    return training_articles(folder)[::_CALIBRATED_EVERY]


def held_out_articles(folder: Path) -> list[Article]:
    """Give every fifth article: these are for evaluation and never trained on."""
    return [each for index, each in enumerate(load_articles(folder)) if _held_out(index)]


def load_papers(folder: Path) -> list[Article]:
    """Read COVID-QA's research papers, cut into paragraphs; for training only."""
    data = json.loads((folder / PAPERS_FILE).read_text(encoding="utf-8"))["data"]
    return [_paper(number, each["paragraphs"][0]) for number, each in enumerate(data, start=1)]


@dataclass(frozen=True)
class WebQuestion:
    """A question that people typed into a search engine, with the passage that answers it."""

    text: str
    title: str
    passage: str
    answer: str
    sentence: str


def load_web_questions(folder: Path) -> list[WebQuestion]:
    """Read QED's questions that one sentence of the passage answers."""
    rows = (folder / "qed_dev.jsonl").read_text(encoding="utf-8").splitlines()
    found = (_web_question(json.loads(row)) for row in rows)
    return [each for each in found if each is not None]


def training_web_questions(folder: Path) -> list[WebQuestion]:
    """Give the web questions that may be trained on."""
    rows = load_web_questions(folder)
    return [row for index, row in enumerate(rows) if not _held_out(index)]


def held_out_web_questions(folder: Path) -> list[WebQuestion]:
    """Give every fifth web question: these are for evaluation and never trained on."""
    return [row for index, row in enumerate(load_web_questions(folder)) if _held_out(index)]


def _held_out(index: int) -> bool:
    return index % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1


def _article(row: Mapping[str, Any]) -> Article:
    passages = [paragraph["context"] for paragraph in row["paragraphs"]]
    questions = []
    for index, paragraph in enumerate(row["paragraphs"]):
        spans = sentence_spans(paragraph["context"])
        for each in paragraph["qas"]:
            question = _question(each, paragraph["context"], spans, index)
            if question is not None:
                questions.append(question)
    title = unquote(row["title"]).replace("_", " ")
    return Article(title, tuple(passages), tuple(questions))


def _paper(number: int, row: Mapping[str, Any]) -> Article:
    """Cut a paper into paragraphs of whole sentences, and give each question its own."""
    text = row["context"]
    bounds = _paragraphs(text)
    passages = tuple(text[start:end] for start, end in bounds)
    title = " ".join(text[:200].split())[:80].rsplit(" ", 1)[0]
    questions = []
    for each in row["qas"]:
        answer = min(each["answers"], key=lambda given: len(given["text"]))
        start = answer["answer_start"]
        where = next((i for i, (a, b) in enumerate(bounds) if a <= start < b), None)
        if where is None:
            continue
        inside = {"text": answer["text"], "answer_start": start - bounds[where][0]}
        found = _question(
            {"question": each["question"], "answers": [inside]},
            passages[where],
            sentence_spans(passages[where]),
            where,
        )
        if found is not None:
            questions.append(found)
    return Article(f"{title} ({number})", passages, tuple(questions))


def _paragraphs(text: str) -> list[tuple[int, int]]:
    bounds: list[tuple[int, int]] = []
    for start, end in sentence_spans(text):
        if bounds and len(text[bounds[-1][0] : end].split()) <= _PARAGRAPH_WORDS:
            bounds[-1] = (bounds[-1][0], end)
        else:
            bounds.append((start, end))
    return bounds


def _question(
    row: Mapping[str, Any], context: str, spans: Iterable[tuple[int, int]], passage: int
) -> Question | None:
    answers = tuple(dict.fromkeys(each["text"].strip(" .,") for each in row["answers"]))
    shortest = min(row["answers"], key=lambda each: len(each["text"]))
    start = shortest["answer_start"]
    end = start + len(shortest["text"])
    for a, b in spans:
        if a <= start and end <= b:
            return Question(row["question"].strip(), answers, context[a:b], passage)
    return None


def _web_question(row: Mapping[str, Any]) -> WebQuestion | None:
    text = row["paragraph_text"]
    spans = [each for group in row["original_nq_answers"] for each in group]
    bounds = [*row["sentence_starts"], len(text)]
    for span in spans:
        for a, b in pairwise(bounds):
            if a <= span["start"] and span["end"] <= b and span["string"].strip():
                return WebQuestion(
                    text=row["question_text"].strip(),
                    title=html.unescape(row["title_text"]),
                    passage=_detokenise(text),
                    answer=_detokenise(span["string"]),
                    sentence=_detokenise(text[a:b]),
                )
    return None


_SPACED = (
    (" ,", ","), (" .", "."), (" ;", ";"), (" :", ":"), (" ?", "?"), (" !", "!"),
    ("( ", "("), (" )", ")"), (" 's", "'s"), ("`` ", '"'), (" ''", '"'), (" %", "%"),
)  # fmt: skip


def _detokenise(text: str) -> str:
    """Undo the spaces that QED's tokeniser put around punctuation."""
    for spaced, plain in _SPACED:
        text = text.replace(spaced, plain)
    return " ".join(text.split())
