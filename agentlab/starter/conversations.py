"""Training conversations: real questions, real searches, and what the agent ought to do.

What the model should do follows from what it can see: it quotes the sentence when a shown passage
holds it, goes on to the web when the evidence of the documents is weak, and says that it found
nothing when the web's is weak too. A conversation whose evidence points the wrong way is left out:
it could only teach to guess.
"""

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from agentlab import prompts
from agentlab.starter.handbooks import Turn
from agentlab.starter.live import live_question, small_talk, timely
from agentlab.starter.talk import PASSAGES, Screened, Talk, as_query
from agentlab.starter.texts import Text
from agentlab.tools.providers.base import WebResult
from ingest.collection import Collection

_SITES = (
    "en.wikipedia.org britannica.com reuters.example bbc.example news.example "
    "history.example science.example answers.example"
).split()
Row = dict[str, Any]


@dataclass(frozen=True)
class Fact:
    """A question, right answers to it, and the sentence of a document that holds them."""

    question: str
    answers: tuple[str, ...]
    sentence: str
    title: str
    turns: tuple[Turn, ...] = ()
    near_miss: str | None = None


@dataclass
class Library:
    """A calibrated collection with its card and the facts that can be asked of it."""

    collection: Collection
    card: str
    facts: list[Fact]
    titles: list[str] = field(default_factory=list)


class Writer:
    """Writes conversations over one library, with a second collection as the web.

    Each method gives a row, or None where the evidence would not let the right answer be known.
    """

    def __init__(self, library: Library, web: Collection, rng: random.Random) -> None:
        self.library = library
        self.web = web
        self.rng = rng

    def documents(self, fact: Fact) -> Row | None:
        """Ask what the library holds, now and then as if it might have changed."""
        question = fact.question
        if self.rng.random() < 0.1:
            question = timely(question, self.rng)
        return self._ask(self._talk(), fact, question, question, kind="documents")

    def follow_up(self, fact: Fact) -> Row | None:
        """Ask a question that leans on one or two before it."""
        upto = self.rng.randint(1, len(fact.turns))
        talk = self._talk().turn(fact.question, fact.answers[0])
        for turn in fact.turns[: upto - 1]:
            talk.turn(turn.question, turn.answer)
        last = fact.turns[upto - 1]
        asked = Fact(last.query, (last.answer,), last.sentence, fact.title)
        return self._ask(talk, asked, last.question, last.query, kind="follow_up")

    def near_miss(self, fact: Fact, *, answered: bool) -> Row | None:
        """Ask what the library almost holds; the web may answer it."""
        question, hidden = fact.question, fact.sentence
        if fact.near_miss and not answered:
            question, hidden = fact.near_miss, ""
        talk = self._talk()
        library = Screened(self.library.collection, hidden or None)
        query = as_query(question)
        if talk.ask(question, library).strength != "none":
            if talk.search_documents(query, library).strength != "weak":
                return None
            if self.rng.random() < 0.15:
                talk.last().say(prompts.NOT_FOUND)
                return talk.row("near_miss", fact.title)
        return self._on_the_web(talk, fact, query, answered=answered, kind="near_miss")

    def outside(self, fact: Fact, *, answered: bool) -> Row | None:
        """Ask what the library has nothing on."""
        talk = self._talk()
        library = Screened(self.library.collection)
        evidence = talk.ask(fact.question, library)
        query = as_query(fact.question)
        if (
            evidence.strength in ("good", "strong")
            and talk.search_documents(query, library).strength != "weak"
        ):
            return None
        kind = "outside" if answered else "nowhere"
        return self._on_the_web(talk, fact, query, answered=answered, kind=kind)

    def live(self) -> Row | None:
        """Ask what changes from day to day, often about something that the library covers."""
        live = live_question(self.rng, self.library.titles)
        library = Screened(self.library.collection)
        talk = self._talk()
        talk.ask(live.text, library)
        query = as_query(live.text)
        page = WebResult(live.title, f"https://{live.site}/today", live.snippet, self._date(0.4))
        others = [
            each for each in self._results(query, None) if each.title not in self.library.titles
        ]
        results = [page, *others[: PASSAGES - 1]]
        self.rng.shuffle(results)
        reading = talk.search_web(query, results, library)
        if reading.strength == "weak" or not talk.cite(live.sentence, [live.answer]):
            return None
        return talk.row("live", live.title)

    def small_talk(self) -> Row:
        """Chat, which needs no search."""
        talk = self._talk()
        if self.rng.random() < 0.4:
            earlier = self.rng.choice(self.library.facts)
            talk.turn(earlier.question, earlier.answers[0])
        said = small_talk(self.rng)
        talk.ask(said.text, Screened(self.library.collection))
        talk.say(said.reply)
        return talk.row("small_talk", "")

    def _talk(self) -> Talk:
        passages = self.rng.choice((PASSAGES, PASSAGES, PASSAGES, 2))
        return Talk(self.library.card, self.rng, passages=passages)

    def _ask(self, talk: Talk, fact: Fact, question: str, full: str, *, kind: str) -> Row | None:
        """Answer from the library; where its evidence is weak, from the web."""
        library = Screened(self.library.collection)
        query = as_query(full)
        if talk.ask(question, library).strength != "none":
            reading = talk.search_documents(query, library)
            if reading.strength != "weak":
                if self.rng.random() < 0.05:
                    talk.last()
                return (
                    talk.row(kind, fact.title) if talk.cite(fact.sentence, fact.answers) else None
                )
        return self._on_the_web(talk, fact, query, answered=self.rng.random() < 0.7, kind=kind)

    def _on_the_web(
        self, talk: Talk, fact: Fact, query: str, *, answered: bool, kind: str
    ) -> Row | None:
        """Answer from the web, or say that nothing was found."""
        results = self._results(query, None if answered else fact.sentence)
        if not answered and self.rng.random() < 0.15:
            results = []
        library = Screened(self.library.collection)
        reading = talk.search_web(query, results[: 2 * PASSAGES], library)
        if reading.strength == "weak":
            talk.say(prompts.NOT_FOUND)
        elif not (answered and talk.cite(fact.sentence, fact.answers)):
            return None
        return talk.row(kind, fact.title)

    def _results(self, query: str, hidden: str | None) -> list[WebResult]:
        hits = Screened(self.web, hidden).search(query, limit=2 * PASSAGES)
        recorded = self._date(0.2)
        return [
            WebResult(
                hit.chunk.title,
                f"https://{self.rng.choice(_SITES)}/{number}",
                hit.chunk.text,
                self._date(0.1),
                recorded,
            )
            for number, hit in enumerate(hits)
        ]

    def _date(self, share: float) -> str | None:
        if self.rng.random() >= share:
            return None
        return str(dt.date(2020, 1, 1) + dt.timedelta(days=self.rng.randrange(2900)))


# Shares of the kinds of conversation; "text" is plain text, against forgetting.
_MIX = {
    "documents": 0.25, "follow_up": 0.16, "outside": 0.10, "live": 0.12, "near_miss": 0.11,
    "near_miss_answered": 0.07, "nowhere": 0.06, "small_talk": 0.08, "text": 0.05,
}  # fmt: skip


def write_conversations(
    libraries: Sequence[Library],
    web: Collection,
    web_facts: Sequence[Fact],
    *,
    texts: Sequence[Text],
    seed: int,
    first: int = 0,
) -> Iterator[Row | None]:
    """Write one conversation after the other without end; None where one could only teach to guess.

    Each hangs on nothing but the seed, its number and the collections; the `first` is the number to
    begin with. A few rows are plain `texts`.
    """
    for number in count(first):
        rng = random.Random(f"{seed} {number}")
        yield _conversation(libraries, web, web_facts, texts, rng)


def _conversation(
    libraries: Sequence[Library],
    web: Collection,
    web_facts: Sequence[Fact],
    texts: Sequence[Text],
    rng: random.Random,
) -> Row | None:
    library = rng.choice(libraries)
    writer = Writer(library, web, rng)
    fact = rng.choice(library.facts)
    foreign = [each for each in libraries if each is not library]
    away = rng.choice(rng.choice(foreign).facts if rng.random() < 0.4 else web_facts)
    leaning = [each for each in library.facts if each.turns]
    close = [each for each in library.facts if each.near_miss] or [fact]
    kinds: dict[str, Callable[[], Row | None]] = {
        "documents": lambda: writer.documents(fact),
        "follow_up": lambda: writer.follow_up(rng.choice(leaning)) if leaning else None,
        "outside": lambda: writer.outside(away, answered=True),
        "live": writer.live,
        "near_miss": lambda: writer.near_miss(rng.choice(close), answered=False),
        "near_miss_answered": lambda: writer.near_miss(fact, answered=True),
        "nowhere": lambda: writer.outside(away, answered=False),
        "small_talk": writer.small_talk,
        "text": lambda: _plain(rng.choice(texts)),
    }
    return kinds[rng.choices(list(_MIX), list(_MIX.values()))[0]]()


def _plain(text: Text) -> Row:
    return {"text": text.text, "lineage": {"kind": "text", "source": text.title}}


def leaning_turns(facts: Sequence[Fact], rng: random.Random) -> list[Fact]:
    """Let questions on one subject follow each other, the later ones with "it" for its name."""
    leaning: dict[str, list[Turn]] = {}
    for each in facts:
        short = _pronoun(each)
        if short:
            turn = Turn(short, each.question, each.answers[0], each.sentence)
            leaning.setdefault(each.title, []).append(turn)
    found = []
    for fact in facts:
        others = [each for each in leaning.get(fact.title, []) if each.query != fact.question]
        turns = tuple(rng.sample(others, min(2, len(others))))
        found.append(Fact(fact.question, fact.answers, fact.sentence, fact.title, turns))
    return found


def _pronoun(fact: Fact) -> str | None:
    """Put "it" for the title in a question, where the title stands in it word by word."""
    lowered = fact.question.lower()
    for name in (f"the {fact.title}", fact.title):
        at = lowered.find(name.lower())
        if at > 0:
            rest = fact.question[at + len(name) :]
            return fact.question[:at] + ("its" + rest[2:] if rest.startswith("'s") else "it" + rest)
    return None
