"""Contamination: rows that hold words of a set on which the model will be measured."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from finetune.data.content import content_of
from finetune.data.duplicates import words_of
from finetune.data.files import Fault
from finetune.data.reading import known_rows
from finetune.errors import ExampleError

# Fewer words in a row are met by chance; a shorter question of a set is compared whole.
LEAST_WORDS = 5
_ASKED = frozenset({"question", "query", "prompt", "instruction", "problem"})


class Contamination:
    """Knows the runs of `ngram` words of some evaluation sets, by GPT-3's rule (13 words).

    Of a set's rows what is asked and answered counts, and not the passage that they are about: it
    may well be learned from. A question of fewer words than `ngram` is found where it stands whole.
    """

    def __init__(self, ngram: int) -> None:
        self.ngram = ngram
        self._runs: dict[int, dict[int, str]] = {}

    def learn(self, path: Path) -> int:
        """Take a set in; return how many questions and answers there were. ExampleError: none."""
        count = 0
        for place, text in _texts(path):
            count += self._add(words_of(text), place)
        if not count:
            raise ExampleError(
                f"{path} holds no question of {LEAST_WORDS} words or more. Give rows that "
                "`agentlab data check` knows, or JSON with questions."
            )
        return count

    def find(self, text: str) -> str | None:
        """Tell where in the sets words of the text stand, or None."""
        words = words_of(text)
        for size, runs in self._runs.items():
            for start in range(len(words) - size + 1):
                place = runs.get(hash(tuple(words[start : start + size])))
                if place:
                    return place
        return None

    def _add(self, words: list[str], place: str) -> int:
        if len(words) < LEAST_WORDS:
            return 0
        size = min(self.ngram, len(words))
        runs = self._runs.setdefault(size, {})
        for start in range(len(words) - size + 1):
            runs.setdefault(hash(tuple(words[start : start + size])), place)
        return 1


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Give what is asked and answered, and where: of rows, else of any JSON with questions."""
    rows = list(_of_rows(path))
    yield from rows or _of_json(path)


def _of_rows(path: Path) -> Iterator[tuple[str, str]]:
    for each in known_rows([path]):
        if not isinstance(each, Fault):
            content = content_of(each.row)
            place = f"{each.record.path}:{each.record.line}"
            yield from ((place, text) for text in (content.asked, content.answered) if text)


def _of_json(path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix.lower() not in (".json", ".jsonl", ".ndjson"):
        return
    text = path.read_text(encoding="utf-8-sig")
    try:
        values = [json.loads(text)] if path.suffix.lower() == ".json" else _lines(text)
        yield from ((str(path), each) for value in values for each in _asked(value))
    except ValueError as error:
        raise ExampleError(f"{path} is no JSON ({error}). Mend it.") from error


def _lines(text: str) -> Iterator[Any]:
    # Not splitlines(), which also cuts at what JSON lets stand within a text.
    return (json.loads(line) for line in text.split("\n") if line.strip())


def _asked(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _asked(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str):
                if name.removesuffix("_text") in _ASKED:
                    yield each
            else:
                yield from _asked(each)


def learn_all(paths: Iterable[Path], *, ngram: int) -> Contamination | None:
    """Take all sets in, or give None where there are none."""
    known = Contamination(ngram)
    counts = [known.learn(path) for path in paths]
    return known if counts else None
