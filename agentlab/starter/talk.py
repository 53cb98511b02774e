"""Talk: one training conversation while it is written, with the agent's own messages.

Every message comes from the functions that the agent uses at run time: the view of earlier turns,
the probe, the searches, the reader. So a model meets in use exactly what it was trained on.
"""

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from agentlab import prompts
from agentlab.answer import Source
from agentlab.leaning import leans_on_earlier
from agentlab.probing import Wording, probe, worded
from agentlab.tools.documents import find_pages, read_pages, tell_pages
from agentlab.tools.providers.base import WebResult
from agentlab.tools.searching import Found
from agentlab.tools.sources import SourceBook
from agentlab.tools.web import read_results, tell_results
from ingest.collection import Collection
from ingest.evidence import TOP, Evidence
from ingest.reading import Passage, Reading
from ingest.sentences import one_line
from ingest.stores.base import Hit

PASSAGES = 3
_LONGEST_QUOTE = 70
_LONGEST_QUERY = 30


@dataclass(frozen=True)
class Screened:
    """A collection in which the passages that hold a sentence cannot be found."""

    collection: Collection
    hidden: str | None = None

    def search(self, query: str, *, limit: int) -> list[Hit]:
        """Find the best passages that may be found."""
        if self.hidden is None:
            return self.collection.search(query, limit=limit)
        hits = self.collection.search(query, limit=limit + 3)
        return [hit for hit in hits if self.hidden not in hit.chunk.text][:limit]

    def read(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        also: Sequence[str] = (),
        limit: int,
        words: int,
    ) -> Reading:
        """Read as the collection does."""
        return self.collection.read(question, passages, also=also, limit=limit, words=words)

    def probe(self, question: str) -> Evidence:
        """Grade a question by what may be found."""
        return self.collection.grade(question, self.search(question, limit=TOP))


class Talk:
    """The messages of one conversation, from the system's to the last answer."""

    def __init__(self, card: str, rng: random.Random, *, passages: int = PASSAGES) -> None:
        today = dt.date(2024, 1, 1) + dt.timedelta(days=rng.randrange(1400))
        system = prompts.system_prompt(card=card, today=today.isoformat())
        self._passages = passages
        self._messages: list[dict[str, Any]] = [{"role": "system", "content": system}]
        self._book = SourceBook()
        self._calls = 0
        self._before: list[str] = []
        self._asked = Wording("")
        self._tools: list[dict[str, Any]] = prompts.TOOLS
        self.reading: Reading | None = None

    def turn(self, question: str, answer: str) -> Self:
        """Add an earlier turn as the model sees it again."""
        self._before.append(question)
        bare = prompts.earlier_answer(f"Answer: {answer} [1]")
        self._add("user", question)
        self._add("assistant", bare)
        return self

    def ask(self, question: str, library: Screened) -> Evidence:
        """Add the question with its evidence; one that stands alone hides the turns before it."""
        self._asked = worded(question, self._before)
        if not leans_on_earlier(question):
            del self._messages[1:]
        evidence = probe(library.probe, self._asked)
        self._add("user", prompts.with_evidence(question, evidence))
        return evidence

    def search_documents(self, query: str, library: Screened) -> Reading:
        """Search the library and read what is found."""
        self._call("search_documents", query)
        hits = find_pages(library, self._asked.searches(query), limit=2 * self._passages)
        self.reading = read_pages(
            library,
            self._asked.readings(query),
            hits,
            limit=self._passages,
            words=prompts.PASSAGE_WORDS,
        )
        self._observe(tell_pages(self.reading, hits, self._book))
        return self.reading

    def search_web(self, query: str, results: Sequence[WebResult], library: Screened) -> Reading:
        """Search the web, which answers with these results, and read them."""
        self._call("search_web", query)
        self.reading = read_results(
            library,
            self._asked.readings(query),
            results,
            limit=self._passages,
            words=prompts.PASSAGE_WORDS,
        )
        self._observe(tell_results(self.reading, results, self._book))
        return self.reading

    def last(self) -> Self:
        """Ask for the answer without more searches."""
        self._messages[-1]["content"] += f"\n{prompts.LAST_ANSWER}"
        self._tools = []
        return self

    def cite(self, sentence: str, answers: Sequence[str]) -> bool:
        """Quote the sentence and answer in the words of one of the answers, if it was shown."""
        quote = one_line(sentence)
        answer = self._short(quote, [" ".join(each.split()) for each in answers])
        if answer is None or len(quote.split()) > _LONGEST_QUOTE:
            return False
        for source in reversed(self._book.sources):
            if quote in source.sentences:
                self.say(prompts.cited_answer(quote, answer, source.number))
                return True
        return False

    @property
    def sources(self) -> tuple[Source, ...]:
        """List what the searches have shown."""
        return self._book.sources

    def say(self, text: str) -> None:
        """Add a last message."""
        self._add("assistant", text)

    def row(self, kind: str, subject: str) -> dict[str, Any]:
        """Give the conversation in the shape that fine-tuning reads."""
        lineage = {"kind": kind, "source": subject}
        return {"messages": self._messages, "tools": self._tools, "lineage": lineage}

    def _short(self, quote: str, answers: Sequence[str]) -> str | None:
        """Choose the short answer: the reader's if it holds a right one, else the longest."""
        likely = self.reading.likely if self.reading else None
        held = [each for each in answers if each in quote]
        if likely and likely in quote and any(each in likely for each in held):
            return likely
        return max(held, key=len, default=None)

    def _call(self, tool: str, query: str) -> None:
        function = {"name": tool, "arguments": {"query": query}}
        self._calls += 1
        call = {"id": f"call_{self._calls}", "type": "function", "function": function}
        self._messages.append({"role": "assistant", "content": "", "tool_calls": [call]})

    def _observe(self, found: Found) -> None:
        content = {"tool_call_id": f"call_{self._calls}", "content": found[0]}
        self._messages.append({"role": "tool", **content})

    def _add(self, role: str, content: str) -> None:
        self._messages.append({"role": role, "content": content})


def as_query(question: str) -> str:
    """Write the search for a question: the question itself, without its mark, not too long."""
    words = question.strip().rstrip("?!. ").split()
    return " ".join(words[:_LONGEST_QUERY])
