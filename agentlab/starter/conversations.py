"""Training conversations: real questions, real searches, and what the agent ought to do.

Every message is built by the functions that the agent uses at run time, over collections that are
searched and calibrated like a user's. What the model should do follows from what it can see: it
quotes the sentence when a shown passage holds it, goes on to the web when the documents do not,
and says so when nothing does.
"""

import datetime as dt
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentlab import prompts
from agentlab.probing import probe
from agentlab.starter.live import SMALL_TALK, live_question
from ingest.collection import Collection
from ingest.documents import Chunk, chunk_id
from ingest.evidence import TOP, Calibration, Evidence
from ingest.reading import mark
from ingest.stores.base import Hit

PASSAGES = 3
_LONGEST_QUOTE = 60
_LONGEST_QUERY = 30
_SITES = (
    "en.wikipedia.org britannica.com reuters.example bbc.example news.example "
    "history.example science.example answers.example"
).split()


@dataclass(frozen=True)
class Fact:
    """A question, its answer, and the sentence of a document that holds it."""

    question: str
    answer: str
    sentence: str
    title: str
    follow_up: str | None = None
    follow_up_query: str | None = None
    follow_up_answer: str | None = None
    follow_up_sentence: str | None = None
    near_miss: str | None = None


@dataclass(frozen=True)
class Text:
    """A passage to put into a collection."""

    title: str
    heading: str
    page: int
    text: str


@dataclass
class Library:
    """A calibrated collection with its card and the facts that can be asked of it."""

    collection: Collection
    calibration: Calibration
    card: str
    facts: list[Fact]
    titles: list[str] = field(default_factory=list)


def chunks_of(texts: Sequence[Text], *, embedder: str) -> list[Chunk]:
    """Make each text a chunk that fills its page."""
    chunks = []
    for each in texts:
        key = chunk_id(each.title, each.title, each.page, 0, len(each.text), "conversations")
        chunks.append(
            Chunk(
                id=key, text=each.text, document=each.title, source=f"{each.title}.pdf",
                title=each.title, page=each.page, start=0, end=len(each.text),
                heading=each.heading, embedder=embedder,
            )
        )  # fmt: skip
    return chunks


class Writer:
    """Writes conversations over one library, with a second collection as the web."""

    def __init__(self, library: Library, web: Collection, rng: random.Random) -> None:
        self.library = library
        self.web = web
        self.rng = rng

    def documents(self, fact: Fact) -> dict[str, Any]:
        """Ask what the library holds."""
        talk = self._open()
        self._earlier_turn(talk, share=0.1)
        self._ask_library(talk, fact, fact.question, fact.question)
        return talk.row("documents", fact.title)

    def near_miss(self, fact: Fact) -> dict[str, Any]:
        """Ask what the library almost holds: the passage that answers is taken away."""
        talk = self._open()
        self._ask_library(talk, fact, fact.question, fact.question, missing=True)
        return talk.row("near_miss", fact.title)

    def absent(self, fact: Fact) -> dict[str, Any]:
        """Ask what neither the library nor the web holds, though the library is close."""
        question = fact.near_miss or fact.question
        talk = self._open()
        evidence = self._probe(talk, question)
        talk.ask(question, evidence)
        if evidence.strength != "none":
            self._search_library(talk, question, self._hits(question))
        self._ask_web(talk, fact, question, answered=False)
        return talk.row("absent", fact.title)

    def follow_up(self, first: Fact, second: Fact, query: str) -> dict[str, Any]:
        """Ask a second question that rests on the first; `query` is what it means in full."""
        talk = self._open()
        talk.turn(first.question, first.answer)
        self._ask_library(talk, second, second.question, query)
        return talk.row("follow_up", first.title)

    def outside(self, fact: Fact, *, answered: bool = True) -> dict[str, Any]:
        """Ask what the library has nothing on."""
        talk = self._open()
        self._earlier_turn(talk, share=0.15)
        evidence = self._probe(talk, fact.question)
        talk.ask(fact.question, evidence)
        if evidence.strength in ("good", "strong"):
            self._search_library(talk, fact.question, self._hits(fact.question))
        self._ask_web(talk, fact, fact.question, answered=answered)
        return talk.row("outside", fact.title)

    def live(self) -> dict[str, Any]:
        """Ask what changes from day to day, often about something that the library covers."""
        talk = self._open()
        live = live_question(self.rng, self.library.titles)
        talk.ask(live.text, self._probe(talk, live.text))
        query = as_query(live.text)
        talk.call("search_web", query)
        others = [
            (hit.chunk.title, self.rng.choice(_SITES), hit.chunk.text)
            for hit in self.web.search(query, limit=4)
            if hit.chunk.title not in self.library.titles
        ][: PASSAGES - 1]
        results = [(live.title, live.site, live.snippet), *others]
        if self.rng.random() < 0.3:
            self.rng.shuffle(results)
        shown = talk.web(query, results)
        if not talk.answer(live.sentence, live.answer, shown):
            talk.say(prompts.NOT_FOUND)
        return talk.row("live", live.title)

    def small_talk(self) -> dict[str, Any]:
        """Chat, which needs no search."""
        talk = self._open()
        self._earlier_turn(talk, share=0.4)
        question, reply = self.rng.choice(SMALL_TALK)
        talk.ask(question, self._probe(talk, question))
        talk.say(reply)
        return talk.row("small_talk", "")

    def _open(self) -> "Talk":
        day = dt.date(2024, 1, 1) + dt.timedelta(days=self.rng.randrange(1400))
        return Talk(self, prompts.system_prompt(card=self.library.card, today=day.isoformat()))

    def _earlier_turn(self, talk: "Talk", *, share: float) -> None:
        if self.rng.random() < share:
            earlier = self.rng.choice(self.library.facts)
            talk.turn(earlier.question, earlier.answer)

    def _hits(self, query: str) -> list[Hit]:
        return self.library.collection.search(query, limit=8)

    def _probe(
        self, talk: "Talk", question: str, find: Callable[[str], Sequence[Hit]] | None = None
    ) -> Evidence:
        find = find or self._hits
        return probe(
            lambda text: self.library.calibration.evidence(text, find(text)[:TOP]),
            question,
            talk.earlier,
        )

    def _ask_library(
        self,
        talk: "Talk",
        fact: Fact,
        question: str,
        full: str,
        *,
        missing: bool = False,
    ) -> None:
        def reachable(text: str) -> list[Hit]:
            found = self._hits(text)
            return [h for h in found if not (missing and fact.sentence in h.chunk.text)][:5]

        evidence = self._probe(talk, question, reachable)
        talk.ask(question, evidence)
        query = as_query(full)
        if evidence.strength != "none":
            shown = self._search_library(talk, query, reachable(query))
            if talk.answer(fact.sentence, fact.answer, shown):
                return
        self._ask_web(talk, fact, query, answered=self.rng.random() < 0.6)

    def _search_library(self, talk: "Talk", query: str, hits: Sequence[Hit]) -> list[prompts.Shown]:
        talk.call("search_documents", as_query(query))
        return talk.pages(as_query(query), hits[: self._count()])

    def _ask_web(self, talk: "Talk", fact: Fact, query: str, *, answered: bool) -> None:
        query = as_query(query)
        talk.call("search_web", query)
        found = self.web.search(query, limit=6)
        kept = [hit for hit in found if answered or fact.sentence not in hit.chunk.text]
        results = [
            (hit.chunk.title, self.rng.choice(_SITES), hit.chunk.text)
            for hit in kept[: self._count()]
        ]
        shown = talk.web(query, results)
        if not talk.answer(fact.sentence, fact.answer, shown):
            talk.say(prompts.NOT_FOUND)

    def _count(self) -> int:
        return self.rng.choice((PASSAGES, PASSAGES, PASSAGES, 2, 1))


class Talk:
    """One conversation while it is written."""

    def __init__(self, writer: Writer, system: str) -> None:
        self._rng = writer.rng
        self._encoder = writer.library.collection.embedder
        self._messages: list[dict[str, Any]] = [{"role": "system", "content": system}]
        self._shown = 0
        self._calls = 0
        self.earlier: str | None = None

    def turn(self, question: str, answer: str) -> None:
        """Add an earlier turn as the model sees it again."""
        raw = f"Answer: {answer} [1]"
        self.earlier = question
        self._messages += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": prompts.earlier_answer(raw)},
        ]

    def ask(self, question: str, evidence: Evidence) -> None:
        """Add the question with its evidence."""
        content = prompts.with_evidence(question, evidence)
        self._messages.append({"role": "user", "content": content})

    def call(self, tool: str, query: str) -> None:
        """Add a tool call."""
        self._calls += 1
        function = {"name": tool, "arguments": {"query": query}}
        call = {"id": f"call_{self._calls}", "type": "function", "function": function}
        self._messages.append({"role": "assistant", "content": "", "tool_calls": [call]})

    def pages(self, query: str, hits: Sequence[Hit]) -> list[prompts.Shown]:
        """Add the passages of a document search."""
        headers = [
            prompts.page_header(hit.chunk.title, hit.chunk.page, hit.chunk.heading) for hit in hits
        ]
        return self._observe(query, headers, [hit.chunk.text for hit in hits])

    def web(self, query: str, results: Sequence[tuple[str, str, str]]) -> list[prompts.Shown]:
        """Add web results (title, site, text)."""
        day = dt.date(2024, 1, 1) + dt.timedelta(days=self._rng.randrange(1400))
        recorded = day.isoformat() if self._rng.random() < 0.2 else None
        headers = [
            prompts.web_header(
                f"{title}, {day.isoformat()}" if self._rng.random() < 0.1 else title, site
            )
            for title, site, _ in results
        ]
        return self._observe(query, headers, [text for _, _, text in results], recorded)

    def _observe(
        self, query: str, headers: list[str], texts: list[str], recorded: str | None = None
    ) -> list[prompts.Shown]:
        reading = mark(query, texts, self._encoder, words=prompts.PASSAGE_WORDS)
        shown = [
            prompts.Shown(self._shown + 1 + index, header, passage.shown)
            for index, (header, passage) in enumerate(zip(headers, reading.passages, strict=True))
        ]
        self._shown += len(shown)
        content = prompts.observation(reading.strength, shown, recorded=recorded)
        call = {"role": "tool", "tool_call_id": f"call_{self._calls}", "content": content}
        self._messages.append(call)
        return shown

    def answer(self, sentence: str, answer: str, shown: Sequence[prompts.Shown]) -> bool:
        """Quote and answer, if a shown passage holds the sentence."""
        quote = " ".join(sentence.split())
        short = " ".join(answer.split())
        if len(quote.split()) > _LONGEST_QUOTE or short not in quote:
            return False
        for each in shown:
            if quote in prompts.unmarked(each.text):
                self.say(prompts.cited_answer(quote, short, each.number))
                return True
        return False

    def say(self, text: str) -> None:
        """Add a last message."""
        self._messages.append({"role": "assistant", "content": text})

    def row(self, kind: str, source: str) -> dict[str, Any]:
        """Give the example in the shape that fine-tuning reads."""
        lineage = {"kind": kind, "source": source}
        return {"messages": self._messages, "tools": prompts.TOOLS, "lineage": lineage}


def as_query(question: str) -> str:
    """Write the search for a question: the question itself, without its mark, not too long."""
    words = question.strip().rstrip("?!. ").split()
    return " ".join(words[:_LONGEST_QUERY])


# Shares of the kinds of conversation.
_MIX = {
    "documents": 0.41, "follow_up": 0.14, "outside": 0.17, "live": 0.09, "near_miss": 0.08,
    "absent": 0.04, "nothing": 0.04, "small_talk": 0.03,
}  # fmt: skip


def write_conversations(
    libraries: Sequence[Library],
    web: Collection,
    web_facts: Sequence[Fact],
    *,
    count: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Write `count` conversations; the same seed and collections give the same ones."""
    rng = random.Random(seed)
    for _ in range(count):
        index = rng.randrange(len(libraries))
        library = libraries[index]
        others = [each for each in libraries if each is not library and each.facts]
        writer = Writer(library, web, rng)
        kind = rng.choices(list(_MIX), list(_MIX.values()))[0]
        fact = rng.choice(library.facts)
        if kind == "documents":
            yield writer.documents(fact)
        elif kind == "near_miss":
            yield writer.near_miss(fact)
        elif kind == "absent":
            close = [each for each in library.facts if each.near_miss]
            yield writer.absent(rng.choice(close)) if close else writer.near_miss(fact)
        elif kind == "follow_up":
            yield _follow_up(writer, fact)
        elif kind == "live":
            yield writer.live()
        elif kind == "small_talk":
            yield writer.small_talk()
        else:
            foreign = rng.choice(others).facts if rng.random() < 0.4 else web_facts
            yield writer.outside(rng.choice(foreign), answered=kind == "outside")


def _follow_up(writer: Writer, fact: Fact) -> dict[str, Any]:
    """Pair two questions: one that leans on the first, or simply the next one asked."""
    rng = writer.rng
    facts = writer.library.facts
    leaning = [each for each in facts if each.follow_up] or [fact]
    if leaning[0].follow_up and rng.random() < 0.85:
        first = rng.choice(leaning)
        second = Fact(
            first.follow_up or "", first.follow_up_answer or "", first.follow_up_sentence or "",
            first.title,
        )  # fmt: skip
        return writer.follow_up(first, second, first.follow_up_query or "")
    if rng.random() < 0.5:
        second = rng.choice([each for each in facts if each.title == fact.title])
        return writer.follow_up(fact, second, second.question)
    leaning_on = [each for each in facts if _pronoun(each)]
    second = rng.choice(leaning_on or [fact])
    first = rng.choice([each for each in facts if each.title == second.title])
    short = Fact(_pronoun(second) or second.question, second.answer, second.sentence, second.title)
    return writer.follow_up(first, short, second.question)


def _pronoun(fact: Fact) -> str | None:
    """Put "it" for the title in a question, where the title stands in it word by word."""
    lowered = fact.question.lower()
    for name in (f"the {fact.title}", fact.title):
        at = lowered.find(name.lower())
        if at > 0:
            rest = fact.question[at + len(name) :]
            return fact.question[:at] + ("its" + rest[2:] if rest.startswith("'s") else "it" + rest)
    return None


def to_jsonl(row: dict[str, Any]) -> str:
    """Write a row as one line."""
    return json.dumps(row, ensure_ascii=False)
