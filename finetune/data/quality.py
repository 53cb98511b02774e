"""Quality: rows from which nothing good is learned, told by rules that need no model."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from finetune.data.content import Content
from finetune.data.duplicates import words_of
from finetune.data.rows import (
    Conversation,
    Label,
    Message,
    Pair,
    Ranking,
    Said,
    Text,
    as_messages,
    as_text,
)

_BROKEN = re.compile(r"�|[\x00-\x08\x0b\x0e-\x1f]|Ã[\x80-\xbf©¤¶¼±³¡­]|â€[™œ\x9d“”]")
_ASSISTANT = re.compile(
    r"\bas an? (?:ai|artificial intelligence)\b(?: language)? (?:model|assistant)", re.IGNORECASE
)
_BULLET = re.compile(r"\s*[-•*–‣▪]\s")
_PROSE_WORDS = 50
# Of Rae et al. 2021 ("Gopher"), table A1 and the rules beside it, but for those of English words.
_MEAN_LETTERS = (3, 10)
_MOST_SYMBOLS = 0.1
_LEAST_WORDS_WITH_LETTERS = 0.7  # 0.8 there, which drops good prose full of figures
_MOST_BULLETS = 0.9
_MOST_ELLIPSES = 0.3
_MOST_SAME_LINES = 0.3
_MOST_OF_ONE = {2: 0.20, 3: 0.18, 4: 0.16}


def fault_of(row: Any, content: Content) -> str | None:
    """Tell why nothing good is learned from a row, or None where something is."""
    answer = _imitated(row, content)
    if not content.answered.strip() and isinstance(row, Conversation):
        return "the assistant says nothing"
    if _BROKEN.search(content.whole):
        return "broken characters"
    said = words_of(answer)
    if said and said == words_of(content.asked):
        return "the answer repeats the question"
    if not isinstance(row, Text) and _ASSISTANT.search(answer):
        return "the answer speaks of being a language model"
    return _of_pair(row) or _of_calls(row) or _of_prose(answer)


def _imitated(row: Any, content: Content) -> str:
    """Give what is learned to be written: of several answers the good one, and no calls."""
    match row:
        case Conversation():
            return as_text(tuple(each for each in row.messages if each["role"] == "assistant"))
        case Pair():
            return as_text(row.chosen)
        case Ranking():
            return as_text(row.completions[0])
        case Label():
            return as_text(row.completion) if row.label else ""
        case _:
            return content.answered


def _of_pair(row: Any) -> str | None:
    if isinstance(row, Pair) and _without_space(row.chosen) == _without_space(row.rejected):
        return "both answers say the same"
    return None


def _without_space(said: Said) -> list[Message]:
    messages = as_messages(said, "assistant")
    return [{**each, "content": (each.get("content") or "").split()} for each in messages]


def _of_calls(row: Any) -> str | None:
    """Look for calls of tools that are not there."""
    if not isinstance(row, Conversation) or not row.tools:
        return None
    known = {_function(tool).get("name") for tool in row.tools}
    calls = [call for each in row.messages for call in each.get("tool_calls") or ()]
    return None if all(_function(call).get("name") in known for call in calls) else "unknown tool"


def _function(value: Any) -> dict[str, Any]:
    function = value.get("function") if isinstance(value, dict) else None
    return function if isinstance(function, dict) else {}


def _of_prose(text: str) -> str | None:
    words = text.split()
    if len(words) < _PROSE_WORDS:
        return None
    lines = _of_lines([line for line in text.splitlines() if line.strip()])
    return lines or _of_words(text, words) or _of_repeats(words)


def _of_words(text: str, words: Sequence[str]) -> str | None:
    mean = sum(map(len, words)) / len(words)
    if not _MEAN_LETTERS[0] <= mean <= _MEAN_LETTERS[1]:
        return "words too short or too long to be prose"
    if (text.count("#") + text.count("...") + text.count("…")) / len(words) > _MOST_SYMBOLS:
        return "more symbols than prose"
    if sum(any(map(str.isalpha, word)) for word in words) / len(words) < _LEAST_WORDS_WITH_LETTERS:
        return "too few words with letters"
    return None


def _of_lines(lines: Sequence[str]) -> str | None:
    count = len(lines)
    if sum(bool(_BULLET.match(line)) for line in lines) / count > _MOST_BULLETS and count > 1:
        return "nothing but a list"
    if sum(line.rstrip().endswith(("...", "…")) for line in lines) / count > _MOST_ELLIPSES:
        return "lines that are cut off"
    if (count - len(set(lines))) / count > _MOST_SAME_LINES:
        return "the same lines again and again"
    return None


def _of_repeats(words: Sequence[str]) -> str | None:
    letters = sum(map(len, words))
    for size, most in _MOST_OF_ONE.items():
        runs = Counter(zip(*(words[start:] for start in range(size)), strict=False))
        run, times = runs.most_common(1)[0]
        if times > 1 and times * sum(map(len, run)) / letters > most:
            return "the same words again and again"
    return None
