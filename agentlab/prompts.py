"""Prompts: every string that a model is shown, and the form of what it writes.

The agent and the generator of training conversations both build their messages here, so that a
model meets at run time exactly what it was trained on.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ingest.evidence import Evidence

_EVIDENCE = "Evidence: "
NOT_FOUND = "I could not find an answer in the sources."
EMPTY_LIBRARY = "0 documents"
# How much of the card and of each passage is shown.
CARD_WORDS = 40
PASSAGE_WORDS = 45
LAST_ANSWER = "(No more searches. Answer now from the results above.)"

_SYSTEM = (
    "You answer from sources. Search first: search_documents for what the library holds, "
    "search_web for anything else and for what changes from day to day. Then copy the sentence "
    "that answers, in quotes with its number, and give the short answer:\n"
    '"sentence" [1]\nAnswer: short answer [1]\n'
    f"If no result answers, write: {NOT_FOUND}\n"
    "Today: {today}\nLibrary: {card}"
)


def _tool(name: str, description: str) -> dict[str, Any]:
    query = {"type": "string", "description": "What to look for", "maxLength": 400}
    parameters = {"type": "object", "properties": {"query": query}, "required": ["query"]}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


SEARCH_DOCUMENTS = _tool("search_documents", "Search the documents of the library.")
SEARCH_WEB = _tool("search_web", "Search the web.")
TOOLS = [SEARCH_DOCUMENTS, SEARCH_WEB]
"""The searches, in the order in which the starter was trained to see them."""
LIST_DOCUMENTS: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "list_documents",
        "description": "List the documents of the library, for questions about the library itself.",
        "parameters": {"type": "object", "properties": {}},
    },
}
"""Not shown to the starter, which never saw it; the router calls it for it."""


def chat_template() -> str:
    """Read the starter model's chat template."""
    return resources.files("agentlab").joinpath("chat_template.jinja").read_text(encoding="utf-8")


def system_prompt(*, card: str, today: str) -> str:
    """Write the system message; `today` is an ISO date, `card` the collection card's line."""
    return _SYSTEM.format(today=today, card=card or EMPTY_LIBRARY)


def with_evidence(question: str, evidence: Evidence | None) -> str:
    """Write the user's message: the question and how well the library matches it."""
    if evidence is None:
        return question
    return "\n".join([question, evidence_line(evidence)])


def evidence_line(evidence: Evidence) -> str:
    """Say how well the library matches, with the headers of its best passages."""
    return f"({'; '.join([f'Library match: {evidence.strength}', *evidence.titles])})"


@dataclass(frozen=True)
class Shown:
    """A numbered passage as a model reads it: its header and its text with marks."""

    number: int
    header: str
    text: str


def page_header(title: str, place: str, heading: str) -> str:
    """Name a page or a part of a document; `place` is "p. 4" or "part 4"."""
    return f"{title}, {place}, {heading}" if heading else f"{title}, {place}"


def web_header(title: str, site: str) -> str:
    """Name a web result."""
    return f"{title} ({site})"


def observation(
    strength: str,
    passages: Sequence[Shown],
    *,
    likely: str | None = None,
    recorded: str | None = None,
) -> str:
    """Write the result of a search.

    `likely` is the answer that a reader found in the first passage; `recorded` is the date of a
    result that is not live.
    """
    lines = [f"{_EVIDENCE}{strength}"]
    if recorded:
        lines.insert(0, f"Recorded on {recorded}, not live.")
    if not passages:
        lines.append("No results.")
    lines += [f"[{each.number}] {each.header}: {each.text}" for each in passages]
    if likely:
        lines.append(f"Likely answer: {likely} [{passages[0].number}]")
    return _without_chat_markup("\n".join(lines))


def says_weak(observed: str) -> bool:
    """Tell whether a result says that no passage in it answers."""
    return any(line == f"{_EVIDENCE}weak" for line in observed.splitlines()[:2])


def _without_chat_markup(text: str) -> str:
    """Break up chat markup in a document, which would otherwise open a turn of its own."""
    return _MARKUP.sub(" ", text)


def cited_answer(quote: str, answer: str, number: int) -> str:
    """Write the final answer: the sentence that shows it, then the answer itself."""
    return f'"{quote}" [{number}]\nAnswer: {answer} [{number}]'


@dataclass(frozen=True)
class Claim:
    """Words of an answer and the numbers of the sources cited for them."""

    text: str
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class ParsedAnswer:
    """What a final message says: quotes and claims with their sources, and the bare answer."""

    quotes: tuple[Claim, ...]
    claims: tuple[Claim, ...]
    text: str
    abstained: bool


_MARKUP = re.compile(r"<\|[^|<>]{0,40}\|>|</?tool_call>")
_QUOTE = re.compile(r'^\s*["“](?P<text>.+?)["”]\s*(?P<marks>(?:\[\d+\]\s*)+)\.?\s*$')
_MARK = re.compile(r"\s*\[(\d+)\]")
_CLAIM = re.compile(r"(?P<text>[^\[\]]+?)(?P<marks>(?:\s*\[\d+\])+)[.!?]?")
_LABEL = re.compile(r"^\s*Answer:\s*", re.MULTILINE)


def parse_answer(text: str) -> ParsedAnswer:
    """Take a final message apart; prose without quotes is one answer with its own marks."""
    quotes: list[Claim] = []
    rest: list[str] = []
    for line in text.strip().splitlines():
        match = _QUOTE.match(line)
        if match:
            quotes.append(Claim(match["text"].strip(), _numbers(match["marks"])))
        else:
            rest.append(line)
    body = _LABEL.sub("", "\n".join(rest)).strip()
    claims = tuple(
        Claim(match["text"].strip(" \n.,;"), _numbers(match["marks"]))
        for match in _CLAIM.finditer(body)
    )
    abstained = NOT_FOUND.rstrip(".").lower() in text.lower()
    return ParsedAnswer(tuple(quotes), claims, body or text.strip(), abstained)


def earlier_answer(raw: str) -> str:
    """Write the answer of an earlier turn as the model sees it again: bare, without sources."""
    return _MARK.sub("", parse_answer(raw).text).strip()


def _numbers(marks: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(number) for number in _MARK.findall(marks)))
