"""Prompts: every string that a model is shown, and the form of what it writes.

The agent and the generator of training conversations both build their messages here, so that a
model meets at run time exactly what it was trained on.
"""

import re
from collections.abc import Iterator, Sequence
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
SEARCHES = tuple(str(tool["function"]["name"]) for tool in TOOLS)
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
    return _SYSTEM.format(today=today, card=without_chat_markup(card) or EMPTY_LIBRARY)


def with_evidence(question: str, evidence: Evidence | None) -> str:
    """Write the user's message: the question and how well the library matches it."""
    if evidence is None:
        return question
    return "\n".join([question, evidence_line(evidence)])


def evidence_line(evidence: Evidence) -> str:
    """Say how well the library matches, with the headers of its best passages."""
    titles = [without_chat_markup(title) for title in evidence.titles]
    return f"({'; '.join([f'Library match: {evidence.strength}', *titles])})"


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
    return without_chat_markup("\n".join(lines))


def says_weak(observed: str) -> bool:
    """Tell whether a result says that no passage in it answers."""
    return any(line == f"{_EVIDENCE}weak" for line in observed.splitlines()[:2])


def without_chat_markup(text: str) -> str:
    """Break up chat markup in what others wrote, which would otherwise open a turn of its own."""
    return _MARKUP.sub(" ", text)


def cited_answer(
    quote: str, answer: str, number: int, *, also: Sequence[tuple[str, int]] = ()
) -> str:
    """Write the final answer: the sentence that shows it, what is quoted beside it, the answer."""
    quotes = [cited_quote(*each) for each in ((quote, number), *also)]
    return "\n".join([*quotes, f"Answer: {answer} [{number}]"])


def cited_list(quote: str, items: Sequence[str], number: int) -> str:
    """Write a list as the final answer: its text as the quote, and its items, a line for each."""
    lines = (item if _NUMBERED_ITEM.match(item) else f"- {item}" for item in items)
    cited = (f"{_BETWEEN_ITEMS.sub('', line)} [{number}]" for line in lines)
    return "\n".join([cited_quote(quote, number), "Answer:", *cited])


def cited_quote(quote: str, number: int) -> str:
    """Write a quote with the number of its source."""
    return f'"{quote}" [{number}]'


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


# What opens or ends a turn, a thought or a call in the chat templates of common models.
_MARKUP = re.compile(
    r"<\|[^|<>]{0,40}\|>|<｜[^｜<>]{0,40}｜>"
    r"|</?(?:tool_call|tool_response|think|start_of_turn|end_of_turn|s)>"
    r"|\[/?(?:INST|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS)\]|<</?SYS>>"
)
# What Markdown, too, takes for an item with a number of its own.
_NUMBERED_ITEM = re.compile(r"\d{1,2}[.)]\s")
# What stands between an item and the next.
_BETWEEN_ITEMS = re.compile(r"(?:[,;] (?:and|or)|[,;])$")
_THINK, _THOUGHT = "<think>", "</think>"
# Each of these looks at a character a fixed number of times, however long a message is.
_QUOTE_MARKS = re.compile(r"\s*(?P<marks>(?:\[\d+\]\s*)+)\.?")
_MARK = re.compile(r"(?<!\s)\s*\[(\d+)\]")
_WORDS = re.compile(r"[^\[\]]+")
_CLAIM_MARKS = re.compile(r"(?P<marks>\[\d+\](?:\s*\[\d+\])*)[.!?]?")
_LABEL = re.compile(r"(?<!\n\n)^\s*Answer:\s*(?:(?<=\n)Answer:\s*)*", re.MULTILINE)


def parse_answer(text: str) -> ParsedAnswer:
    """Take a final message apart; prose without quotes is one answer with its own marks."""
    text = without_thinking(text)
    quotes: list[Claim] = []
    rest: list[str] = []
    for line in text.strip().splitlines():
        quote = _quote(line.strip())
        if quote:
            quotes.append(quote)
        else:
            rest.append(line if line.strip() else "")
    body = _LABEL.sub("", "\n".join(rest)).strip()
    claims = tuple(_claims(body))
    abstained = NOT_FOUND.rstrip(".").lower() in text.lower()
    return ParsedAnswer(tuple(quotes), claims, body or text.strip(), abstained)


def without_thinking(text: str) -> str:
    """Drop what a reasoning model thinks before it speaks; a thought without end is all of it."""
    before, end, after = text.partition(_THOUGHT)
    if end and _THINK not in before:
        # Its chat template had opened the thought.
        text = after.lstrip()
    while text.lstrip().startswith(_THINK):
        text = text.partition(_THOUGHT)[2].lstrip()
    return text


def _quote(line: str) -> Claim | None:
    """Read a line that is a quote with its marks."""
    end = max(line.rfind('"'), line.rfind("”"))
    match = _QUOTE_MARKS.fullmatch(line, end + 1) if end > 1 and line[0] in '"“' else None
    return Claim(line[1:end].strip(), _numbers(match["marks"])) if match else None


def _claims(body: str) -> Iterator[Claim]:
    """Read the words before each run of marks."""
    words = _WORDS.search(body)
    while words:
        end = words.end()
        match = _CLAIM_MARKS.match(body, end)
        if match:
            text = words[0].rstrip() or words[0][0]
            yield Claim(text.strip(" \n.,;"), _numbers(match["marks"]))
            end = match.end()
        words = _WORDS.search(body, end)


def earlier_answer(raw: str) -> str:
    """Write the answer of an earlier turn as the model sees it again: bare, without sources."""
    return _MARK.sub("", parse_answer(raw).text).strip()


def _numbers(marks: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(number) for number in _MARK.findall(marks)))
