"""Asked: questions with what answers them, from files, the journal, or made of the library."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentlab.feedback_rows import thumb
from agentlab.journal import Journal
from finetune.data.files import Record
from finetune.data.reading import read_rows
from ingest.documents import Chunk
from ingest.tuning import make_questions

SHAPE = '{"question": ..., "passage": ..., "answer": ...}'
_QUESTION, _PASSAGE = ("question", "query"), ("passage", "positive", "context")
_MARK = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True)
class Asked:
    """A question and the passage that answers it.

    `answer` is what was answered, "" where nobody said; `key` the words by which the texts that
    answer are told from those that do not. `origin` says where it is from. What is `made` asks in
    the passage's own words.
    """

    question: str
    passage: str
    answer: str = ""
    key: str = ""
    origin: Mapping[str, str] = field(default_factory=dict)
    made: bool = False


def of_files(paths: Iterable[Path]) -> list[Asked]:
    """Read questions with their passages, and their answers where they are said.

    A reader's rows are such, too; those without an answer are left out. Raises ExampleError that
    names the rows which do not hold.
    """
    rows = read_rows(paths, _parse, kind="question with its passage", shape=SHAPE)
    return [row for row in rows if row is not None]


def of_journal(journal: Journal) -> list[Asked]:
    """Give the questions whose answers a person called good, with each passage that was quoted."""
    found = (each for run in journal.rated() for each in _of_run(run))
    return list({(each.question, each.passage): each for each in found}.values())


def _of_run(run: Mapping[str, Any]) -> Iterator[Asked]:
    if run["status"] == "answered" and not run["abstained"] and thumb(run):
        answer = _MARK.sub("", run["answer"] or "").strip()
        texts = {
            source["number"]: source["text"]
            for step in run["steps"]
            for source in step["sources"] or ()
            if source["kind"] == "page"
        }
        for cited in run["citations"]:
            if cited["supported"] and cited["quote"] and cited["source"] in texts:
                passage = texts[cited["source"]]
                origin = {"run": run["id"]}
                yield Asked(run["question"], passage, answer, cited["quote"], origin)


def of_collection(chunks: Iterable[Chunk], *, count: int) -> list[Asked]:
    """Make questions of the library's own sentences, without any model.

    A question is a part of a sentence as it stands, so it flatters the words: real ones are better.
    """
    return [
        Asked(each.meaning, each.passage, key=each.meaning, made=True)
        for each in make_questions(chunks, count=count)
    ]


def _parse(record: Record) -> Asked | None:
    row = record.fields
    question, passage = _first(row, _QUESTION), _first(row, _PASSAGE)
    if "answer" in row and row["answer"] is None:
        return None
    answer = _answer(row, passage)
    origin = {name: str(row[name]) for name in ("run", "document", "source") if row.get(name)}
    return Asked(question, passage, answer, answer, origin)


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    value = next((row[name] for name in names if row.get(name)), None)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"`{names[0]}` is {value!r}, no text")
    return value


def _answer(row: Mapping[str, Any], passage: str) -> str:
    """Read an answer: a text, a span of the passage, or the shortest of several."""
    value = row.get("answer", "")
    if isinstance(value, str):
        several = row.get("answers") or [value]
        return min(map(str, several), key=len)
    try:
        start, end = map(int, value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`answer` is {value!r}, neither a text nor [start, end]") from error
    if not passage[start:end].strip():
        raise ValueError(f"`answer` is {value!r}, which names no part of `passage`")
    return passage[start:end]
