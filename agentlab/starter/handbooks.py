"""Handbook items: passages of invented organisations with questions, to train the starter model.

Every item is drawn from a seed alone, so the same seed always gives the same items.
"""

import random
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import combinations
from typing import Any

from agentlab.starter.templates import capital, expand, sentence_with

SHORTEST, LONGEST = 40, 120
_SHORT_ROW = 24  # longer ones with a note read as prose that was wrapped
_LISTS = ("day", "season", "tenure", "plan")


@dataclass(frozen=True)
class Turn:
    """A question that leans on the one before: what is meant in full, and what answers it."""

    question: str
    query: str
    answer: str
    sentence: str


@dataclass(frozen=True)
class HandbookItem:
    """One passage with a question that one of its sentences answers, and perhaps a follow-up."""

    title: str
    heading: str
    passage: str
    question: str
    answer: str
    sentence: str
    follow_up: str | None = None
    follow_up_query: str | None = None
    follow_up_answer: str | None = None
    follow_up_sentence: str | None = None
    near_miss: str | None = None  # on the same topic, and not answered by the passage
    second_follow_up: str | None = None
    second_follow_up_query: str | None = None
    second_follow_up_answer: str | None = None
    second_follow_up_sentence: str | None = None
    superseded: str | None = None  # an older passage, whose value the passage has changed

    @property
    def turns(self) -> tuple[Turn, ...]:
        """List the follow-ups that there are, in their order."""
        given = (
            (self.follow_up, self.follow_up_query, self.follow_up_answer, self.follow_up_sentence),
            (
                self.second_follow_up, self.second_follow_up_query, self.second_follow_up_answer,
                self.second_follow_up_sentence,
            ),
        )  # fmt: skip
        return tuple(Turn(*map(str, each)) for each in given if all(each))


@dataclass(frozen=True)
class _Said:
    """One stated fact: whom it is for, its value and its sentence or table row."""

    fact: Mapping[str, Any]
    who: str
    value: str
    sentence: str


class _Organisation:
    """An invented organisation, which fills the slots of the templates."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.world = _read("handbook_places.toml")
        self.domain: Mapping[str, Any] = rng.choice(self.world["domains"])
        self.currency: str = rng.choice(self.world["cur"])
        self.office: str = rng.choice(self.world["office"])
        self.name = self.fill(rng.choice(self.domain["orgs"]))
        self.title = self.fill(rng.choice(self.world["titles"]), org=self.name)

    def fill(self, template: str, **slots: str) -> str:
        """Fill a template: <choices>, [ranges] and {slots}."""
        text = expand(self.rng, template)
        return re.sub(r"\{(\w+)\}", lambda found: self._slot(found[1], slots), text)

    def _slot(self, name: str, slots: Mapping[str, str]) -> str:
        pick, world = self.rng.choice, self.world
        made: dict[str, Callable[[], str]] = {
            "cur": lambda: self.currency,
            "office": lambda: self.office,
            "person": lambda: f"{pick(world['first'])} {pick(world['surname'])}",
            "surname": lambda: pick(world["surname"]),
            "place": lambda: pick(world["place"]),
            "month": lambda: pick(world["month"]),
            "weekday": lambda: pick(world["weekday"]),
            "date": lambda: f"{self.rng.randint(1, 28)} {pick(world['month'])}",
            "room": lambda: f"{self.rng.randint(1, 5)}.{self.rng.randint(1, 40):02d}",
            "form": lambda: f"{pick('ABCEFHKLMPRST')}{pick('ABDEFKR')}-{self.rng.randint(1, 98)}",
        }
        return slots[name] if name in slots else made[name]()

    def groups(self, dimension: str) -> list[str]:
        """List the phrases of a dimension: for whom, when, where or on which plan."""
        if dimension in {"role", "client"}:
            return [f"for {group}" for group in self.domain[f"{dimension}s"]]
        if dimension in _LISTS:
            return list(self.world[dimension])
        sites = [f"at the {place} site" for place in self.rng.sample(self.world["place"], 3)]
        return [*sites, *self.rng.sample(self.world["where"], 2)]

    def topic(self) -> tuple[Mapping[str, Any], str]:
        """Draw a kind of topic and a topic, the organisation's own ones more often."""
        kinds = {kind["name"]: kind for kind in _read("handbook_facts.toml")["kinds"]}
        kinds.pop("software", None) if "software" not in self.domain["topics"] else None
        own = [(kind, topic) for kind, topics in self.domain["topics"].items() for topic in topics]
        if self.rng.random() < 0.6:
            kind, topic = self.rng.choice(own)
            return kinds[kind], topic
        name = self.rng.choice(sorted(kinds))
        return kinds[name], self.rng.choice(kinds[name]["topics"])


@cache
def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(
        resources.files("agentlab.starter").joinpath(name).read_text(encoding="utf-8")
    )


def draw_handbook_item(rng: random.Random) -> HandbookItem | None:
    """Write one item, or None where chance made an answer ambiguous or the length wrong."""
    house = _Organisation(rng)
    kind, topic = house.topic()
    facts = rng.sample(kind["facts"], rng.randint(2, 5))
    table = bool(facts[0]["dims"]) and rng.random() < 0.3
    said, passage = (_table if table else _prose)(house, facts, topic)
    if not SHORTEST <= len(passage.split()) <= LONGEST or not _clear(said, passage):
        return None
    said = [replace(one, sentence=sentence_with(passage, one.value) or "") for one in said]
    if not all(one.sentence for one in said):
        return None
    asked = rng.choice([one for one in said if one.fact is facts[0]] if table else said)
    ask = rng.choice(asked.fact["ask"])
    unsaid = rng.choice([fact for fact in kind["facts"] if fact not in facts])
    return HandbookItem(
        title=house.title,
        heading=_heading(house, kind, topic),
        passage=passage,
        question=_question(house, ask, topic, asked.who),
        answer=asked.value,
        sentence=asked.sentence,
        **_follow_ups(house, said, asked, ask, topic),
        near_miss=_question(house, rng.choice(unsaid["ask"]), topic, ""),
    )


def _prose(
    house: _Organisation, facts: Sequence[Mapping[str, Any]], topic: str
) -> tuple[list[_Said], str]:
    """State the facts in sentences, some for two or three groups."""
    said = [one for fact in facts for one in _state(house, fact, topic)]
    rng = house.rng
    if rng.random() < 0.3:
        rng.shuffle(said)
    sentences = [one.sentence for one in said]
    for filler in rng.sample(house.world["filler"], rng.randint(0, 3)):
        sentences.insert(rng.randint(0, len(sentences)), house.fill(filler))
    if rng.random() < 0.15:
        bullet = rng.choice("-•")
        return said, "\n".join(f"{bullet} {sentence}" for sentence in sentences)
    return said, " ".join(sentences)


def _state(house: _Organisation, fact: Mapping[str, Any], topic: str) -> list[_Said]:
    """State one fact for one, two or three groups, or for everybody."""
    rng = house.rng
    dimension = rng.choice(fact["dims"]) if fact["dims"] and rng.random() < 0.75 else ""
    chosen = house.groups(dimension) if dimension else [""]
    groups = rng.sample(chosen, min(len(chosen), rng.choice([1, 2, 2, 3])))
    said = []
    for group in groups:
        value = house.fill(fact["v"]).strip()
        said.append(_Said(fact, group, value, _sentence(house, fact, topic, group, value)))
    return said


def _sentence(
    house: _Organisation, fact: Mapping[str, Any], topic: str, group: str, value: str
) -> str:
    people = group.startswith("for ") and house.rng.random() < 0.5
    template = house.rng.choice(fact["who"] if people and "who" in fact else fact["say"])
    front = group and template.startswith(("The ", "A ")) and house.rng.random() < 0.3
    slots = {"w": "" if front else group, "Who": capital(group.removeprefix("for "))}
    text = house.fill(template, v=value, topic=topic, Topic=capital(topic), **slots)
    text = re.sub(r" +(?=[ .,])", "", text)
    if house.rng.random() < 0.15:
        text = text.removesuffix(".") + house.fill(house.rng.choice(house.world["tails"])) + "."
    opener = f"{capital(group)}, " if front else ""
    if not group and template.startswith(("The ", "A ")) and house.rng.random() < 0.2:
        opener = house.fill(house.rng.choice(house.world["openers"]))
    return f"{opener}{text[0].lower()}{text[1:]}" if opener else capital(text)


def _table(
    house: _Organisation, facts: Sequence[Mapping[str, Any]], topic: str
) -> tuple[list[_Said], str]:
    """Print the first fact as the rows of a table, as text extraction shows one, then prose."""
    rng, fact = house.rng, facts[0]
    groups = house.groups(rng.choice(fact["dims"]))
    notes = ["", "see note", "receipt needed", "on request", "reviewed yearly", "new"]
    rows = []
    for group in rng.sample(groups, min(len(groups), rng.randint(3, 5))):
        value = house.fill(fact["v"]).strip()
        label = re.sub(r"^(for|on the|on|at the|in the|in) ", "", group)
        row = f"{capital(label)} {value}"
        if len(row) < _SHORT_ROW:
            row = f"{row} {rng.choice(notes)}".strip()
        rows.append(_Said(fact, group, value, row))
    head = rng.choice(["Who", "Group", "Category", "Case"])
    lines = [f"Table {rng.randint(1, 19)}: {capital(topic)}", f"{head} {fact['unit']} Note"]
    said, prose = _prose(house, facts[1:], topic)
    return [*rows, *said], "\n".join([*lines, *(row.sentence for row in rows), prose])


def _clear(said: Sequence[_Said], passage: str) -> bool:
    """Tell whether each answer lies in one sentence only and no two groups can be confused."""
    if any(passage.count(text) != 1 for one in said for text in (one.sentence, one.value)):
        return False
    return all(
        first.value not in second.sentence and second.value not in first.sentence
        for first, second in combinations(said, 2)
    )


def _heading(house: _Organisation, kind: Mapping[str, Any], topic: str) -> str:
    heading = capital(house.fill(house.rng.choice(kind["headings"]), topic=topic))
    number = f"{house.rng.randint(1, 12)}.{house.rng.randint(1, 9)} "
    return number + heading if house.rng.random() < 0.5 else heading


def _question(house: _Organisation, template: str, topic: str, group: str) -> str:
    one = _singular(house, group) if house.rng.random() < 0.3 else ""
    text = house.fill(template, topic=topic, Topic=capital(topic), w="" if one else group)
    text = re.sub(r" +(?=[ ?])", "", text).strip()
    if one:
        opener = house.rng.choice(["As {one}, ", "I am {one}: ", "i'm {one}. ", "As {one}, "])
        text = opener.format(one=one) + text[0].lower() + text[1:]
    if not text.endswith("?"):
        return text + ("?" if house.rng.random() < 0.3 else "")
    if house.rng.random() < 0.1:
        text = text[0].lower() + text[1:].removesuffix("?")
    return capital(text) if text.endswith("?") else text


def _follow_ups(
    house: _Organisation, said: Sequence[_Said], asked: _Said, ask: str, topic: str
) -> dict[str, str]:
    """Ask on, once or twice."""
    fields: dict[str, str] = {}
    done = [asked]
    for prefix, chance in (("follow_up", 0.85), ("second_follow_up", 0.65)):
        left = [one for one in said if one not in done and one.value not in fields.values()]
        if not left or house.rng.random() >= chance:
            break
        on, ask, text = _ask_on(house, left, done[-1], ask)
        query = _question(house, ask, topic, on.who)
        fields |= {prefix: text, f"{prefix}_query": query}
        fields |= {f"{prefix}_answer": on.value, f"{prefix}_sentence": on.sentence}
        done.append(on)
    return fields


def _ask_on(
    house: _Organisation, left: Sequence[_Said], last: _Said, ask: str
) -> tuple[_Said, str, str]:
    """Ask the same fact for another group, or another fact of the same topic."""
    rng = house.rng
    same = [one for one in left if one.fact is last.fact and one.who != last.who and one.who]
    other = [one for one in left if one.fact is not last.fact]
    if same and (not other or rng.random() < 0.7):
        on = rng.choice(same)
        bare = re.sub(r"^(for|on|at|in) ", "", on.who)
        forms = ["And {w}?", "And {w}?", "and {w}", "what about {b}", "What about {b}?"]
        forms += ["And {b}?", "How about {b}?", "And what is it {w}?", "{B}?"]
        forms += [*on.fact["it"], *on.fact["it"]]
        text = house.fill(rng.choice(forms), w=on.who, b=bare, B=capital(bare))
    else:
        on = rng.choice(other or left)
        ask = rng.choice(on.fact["ask"])
        text = house.fill(rng.choice(on.fact["it"]), w=on.who)
    return on, ask, re.sub(r" +(?=[ ?])", "", text).strip()


def _singular(house: _Organisation, group: str) -> str:
    """Name one of a group of roles ("a nurse"), or nothing where that is not simple."""
    people = group.removeprefix("for ")
    if people not in house.domain["roles"] or not re.fullmatch(r"[\w -]+[^s]s", people):
        return ""
    if re.search(r" (of|on) ", people):
        return ""
    article = "an" if people[0] in "aeio" else "a"
    return f"{article} {people[:-3] + 'y' if people.endswith('ies') else people[:-1]}"
