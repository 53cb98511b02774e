"""Contamination: rows that hold words of a set on which the model will be measured."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from finetune.data.content import content_of, messages_of, words_in
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
    may well be learned from. A question of fewer words than `ngram` is found where it stands whole;
    a short answer is not looked for, as many questions may have it: that nothing was found.
    """

    def __init__(self, ngram: int) -> None:
        self.ngram = ngram
        self._runs: dict[int, dict[int, str]] = {}

    def learn(self, path: Path) -> int:
        """Take a set in; return how many questions and answers there were. ExampleError: none."""
        count = 0
        for place, text, least in _texts(path, ngram=self.ngram):
            words = words_of(text)
            if len(words) >= least:
                self._add(words, place)
                count += 1
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

    def _add(self, words: list[str], place: str) -> None:
        size = min(self.ngram, len(words))
        runs = self._runs.setdefault(size, {})
        for start in range(len(words) - size + 1):
            runs.setdefault(hash(tuple(words[start : start + size])), place)


def _texts(path: Path, *, ngram: int) -> Iterator[tuple[str, str, int]]:
    """Give what is asked and answered, where, and the fewest words that count of it.

    It is taken of rows, else of any JSON with questions.
    """
    rows = list(_of_rows(path, ngram=ngram))
    yield from rows or ((place, text, LEAST_WORDS) for place, text in _of_json(path))


def _of_rows(path: Path, *, ngram: int) -> Iterator[tuple[str, str, int]]:
    for each in known_rows([path]):
        if not isinstance(each, Fault):
            place = f"{each.record.path}:{each.record.line}"
            for text, asked in _said_in(each.row):
                yield place, text, LEAST_WORDS if asked else ngram


def _said_in(row: Any) -> Iterator[tuple[str, bool]]:
    """Give what a row says, message by message where it has some, and whether that is asked."""
    if messages := messages_of(row):
        told = [each for each in messages if each["role"] in {"user", "assistant"}]
        yield from ((words_in(each), each["role"] == "user") for each in told)
    else:
        content = content_of(row)
        yield from ((content.asked, True), (content.answered, False))


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
