"""Quotes: the sentences that an answer may quote, and quotes put right after they were written."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from agentlab.answer import Source, Step
from agentlab.citations import holds_quote, normalised
from agentlab.prompts import Claim, cited_answer, cited_list, cited_quote, parse_answer
from agentlab.toolcalls import CLOSE, OPEN

Choice = Literal["best", "shown", "free"]
"""What a quote may be: the sentence that the reader chose, any shown one, or whatever is written.

"best" binds a model whose decoding is guided; for every other it is as "shown", and so it is where
the reader chose nothing.
"""
NEAR = 0.75
"""The likeness from which on a quote is an altered sentence: slips of the starter model reach .80
to 1, and another sentence of the same article .51 at most."""
FEWEST_WORDS = 3
"""Quotes of fewer words are too short to tell which sentence they come from."""
_WORD = re.compile(r"\w+")
_MARK = re.compile(r"\[(\d+)\]")


class Quote(NamedTuple):
    """A sentence and the number of its source."""

    sentence: str
    number: int


def allowed(steps: Sequence[Step], choice: Choice) -> tuple[Quote, ...]:
    """List what the next message may quote; nothing stands for no limits."""
    if choice == "free":
        return ()
    chosen = (
        Quote(each.best, each.number)
        for step in reversed(steps)
        for each in step.sources
        if each.best
    )
    best = next(chosen, None)
    if choice == "best" and best and _can_be_quoted(best):
        return (best,)
    shown = (quote for step in reversed(steps) for quote in _shown(step.sources))
    return tuple(dict.fromkeys(shown))


def read_answer(step: Step, *, both: bool = True, lists: bool = True) -> str | None:
    """Write what the reader found in a search: the best sentence, and the answer's words in it.

    Where the reader is torn between two sentences, `both` quotes the second, too. Where a question
    asks for a list, `lists` quotes it whole, and its items are the answer.
    """
    for each in step.sources:
        if not (each.best and each.likely and _can_be_quoted(Quote(each.best, each.number))):
            continue
        if lists and each.listed and _can_be_quoted(Quote(each.listed.quote, each.number)):
            return cited_list(each.listed.quote, each.listed.items, each.number)
        also = _rivals(step.sources) if both else ()
        return cited_answer(each.best, each.likely, each.number, also=also)
    return None


def settle(raw: str, sources: Sequence[Source], *, choice: Choice = "shown") -> str:
    """Put right the quotes of a final message that do not stand in the sources they name.

    A quote from another source gets its number, and one that is nearly a shown sentence becomes
    that sentence; the marks of the answer follow. A quote far from every sentence stays. A lone
    quotation mark in the answer goes.
    """
    raw = "".join(map(_paired, raw.splitlines(keepends=True)))
    lines = raw.splitlines()
    quotes = {at: found for at, line in enumerate(lines) if (found := _quote_in(line))}
    known = {source.number: source for source in sources}
    settled = {
        at: right
        for at, quote in quotes.items()
        if choice != "free" and (right := _settled(quote, known))
    }
    if not settled:
        return raw
    moved = {number: quote.number for at, quote in settled.items() for number in quotes[at].numbers}
    for at, quote in quotes.items():
        for number in (settled[at].number,) if at in settled else quote.numbers:
            moved.pop(number, None)  # another quote still names it
    for at, line in enumerate(lines):
        if at in settled:
            lines[at] = cited_quote(*settled[at])
        elif at not in quotes:
            lines[at] = _renumbered(line, moved)
    return "\n".join(lines)


def differ_in_quotes_only(written: str, settled: str) -> bool:
    """Tell whether a message is another one with its quotes and numbers put right."""
    return _without_quotes(written) == _without_quotes(settled)


def _shown(sources: Sequence[Source]) -> Iterator[Quote]:
    for source in sources:
        yield from filter(_can_be_quoted, (Quote(each, source.number) for each in source.sentences))


def _rivals(sources: Sequence[Source]) -> list[Quote]:
    rivals = (Quote(each.rival, each.number) for each in sources if each.rival)
    return list(filter(_can_be_quoted, rivals))


def _can_be_quoted(quote: Quote) -> bool:
    """Tell whether a sentence in quotation marks would be read back as what it is."""
    found = _quote_in(cited_quote(*quote))
    tagged = OPEN in quote.sentence or CLOSE in quote.sentence
    return found == Claim(quote.sentence, (quote.number,)) and not tagged


def _quote_in(line: str) -> Claim | None:
    return next(iter(parse_answer(line).quotes), None)


def _settled(quote: Claim, known: Mapping[int, Source]) -> Quote | None:
    """Give what a quote should have been; None if it is right, or nothing like any sentence."""
    holding = [number for number in quote.numbers if _holds(known.get(number), quote.text)]
    if len(holding) == len(quote.numbers):
        return None
    words = _words(quote.text)
    if len(words) < FEWEST_WORDS:
        return None
    elsewhere = [number for number, source in known.items() if _holds(source, quote.text)]
    if holding or elsewhere:
        return Quote(quote.text, max(holding or elsewhere))
    return _nearest(words, quote.numbers, known)


def _holds(source: Source | None, quote: str) -> bool:
    return source is not None and holds_quote(source.text, quote)


def _nearest(words: list[str], numbers: Sequence[int], known: Mapping[int, Source]) -> Quote | None:
    """Find the shown sentence most like a quote; of several the cited one, then the best one."""
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(words)
    found: list[tuple[float, bool, bool, Quote]] = []
    for quote in _shown(list(known.values())):
        matcher.set_seq1(_words(quote.sentence))
        source = known[quote.number]
        if matcher.real_quick_ratio() >= NEAR and matcher.quick_ratio() >= NEAR:
            cited, best = quote.number in numbers, quote.sentence == source.best
            found.append((matcher.ratio(), cited, best, quote))
    likeness, *_, quote = max(found, default=(0.0, Quote("", 0)))
    return quote if likeness >= NEAR else None


def _words(text: str) -> list[str]:
    return _WORD.findall(normalised(text))


def _renumbered(line: str, moved: Mapping[int, int]) -> str:
    return _MARK.sub(lambda mark: f"[{moved.get(int(mark[1]), mark[1])}]", line)


def _paired(line: str) -> str:
    """Drop the one quotation mark of a short answer that has no other."""
    lone = line.startswith("Answer:") and line.count('"') == 1
    return line.replace('"', "") if lone else line


def _without_quotes(text: str) -> list[str]:
    return [
        "" if _quote_in(line) else _MARK.sub("[]", _paired(line)).strip()
        for line in text.strip().splitlines()
    ]
