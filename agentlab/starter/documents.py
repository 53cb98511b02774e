"""Invented documents of many kinds, with questions, to train the starter model.

Everything is drawn from a seed: minutes, price lists, contracts, timetables, manuals and more,
each with follow-ups, and with questions that its passage nearly answers.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentlab.starter.handbooks import HandbookItem, draw_handbook_item
from agentlab.starter.kinds import Kind, Line, Shape, document_kinds
from agentlab.starter.templates import Binding, capital, sentence_with, slots_of

SHORTEST, LONGEST = 25, 130
_HANDBOOKS = 0.25
_DROPPED = 0.3
_LONGEST_SENTENCE = 50
_TURN, _NEXT_TURN, _NEW_SUBJECT, _NEAR_MISS = 0.85, 0.7, 0.12, 0.95
_AMENDED = 0.75
_QUESTION_WORDS = {
    "At", "By", "For", "From", "How", "In", "On", "Since", "To", "Under", "Until", "Up", "What",
    "When", "Where", "Which", "Who", "Whose", "Within", "Why", "With",
}  # fmt: skip
_OPENERS = (
    "Quick question: ", "For my notes: ", "A colleague asks ", "Please look up ", "Hello, ",
    "Can you check this for me: ", "I was wondering, ", "Sorry, ", "Hi! ", "Help me out, ",
)  # fmt: skip
_CLOSERS = (" Thanks!", " I can't find it.", " Please be brief.", " It is urgent.", " Thank you.")
_ELLIPSES = (
    "And {on}?", "And {on}?", "What about {on}?", "and {on}", "How about {on}?", "And {one}?",
    "What about {one}?", "{On}?", "And what is it {on}?", "ok, and {on}", "Same question {on}.",
    "The same {on}?", "{One}?",
)  # fmt: skip
_OTHER = ("And the other one?", "What about the other one?", "and the other", "And the other?")


@dataclass(frozen=True)
class _Fact:
    """A value that can be asked for; `entry` is the number of its repeated line, if it has one."""

    slot: str
    entry: int | None
    binding: Binding
    value: str
    sentence: str


@dataclass(frozen=True)
class _Turn:
    """A question as it is put, what it means in full, and the template that it came from."""

    text: str
    query: str
    template: str
    fact: _Fact


def document_items(seed: int, count: int) -> list[HandbookItem]:
    """Generate `count` items, handbooks among them; the same seed gives the same items."""
    rng = random.Random(seed)
    items: list[HandbookItem] = []
    while len(items) < count:
        if rng.random() < _HANDBOOKS:
            drawn = draw_handbook_item(rng)
            items += [drawn] if drawn else []
        else:
            items += _document(rng)
    return items[:count]


def _document(rng: random.Random) -> list[HandbookItem]:
    """Write one to three passages of one document."""
    kinds = document_kinds()
    kind = rng.choices(kinds, [each.weight for each in kinds])[0]
    house = Binding(rng, kind.lists)
    for name in kind.document:
        house.value(name)
    title = house.fill(rng.choice(kind.titles))
    drawn = [_Writer(rng, kind, shape, house).item(title) for shape in _shapes(rng, kind)]
    return [item for item in drawn if item]


def _shapes(rng: random.Random, kind: Kind) -> list[Shape]:
    """Draw passages of one document that never state the same thing with two values."""
    wanted = rng.choice((1, 1, 2, 3))
    chosen: list[Shape] = []
    stated: set[str] = set()
    for shape in rng.sample(kind.shapes, len(kind.shapes)):
        slots = {slot.rstrip("0123456789") for slot in shape.asks} & kind.particular
        if len(chosen) < wanted and not slots & stated:
            chosen.append(shape)
            stated |= slots
    return chosen


class _Writer:
    """Fills one shape and asks about it."""

    def __init__(self, rng: random.Random, kind: Kind, shape: Shape, house: Binding) -> None:
        self._rng = rng
        self._kind = kind
        self._shape = shape
        self._binding = Binding(rng, kind.lists, outer=house)
        self._entries, self._absent = self._draw_entries()
        self._kept, self._left_out = self._draw_lines()
        self._passage = self._text()
        self._facts = self._find_facts()

    def item(self, title: str) -> HandbookItem | None:
        """Write the item, or None where chance made the passage useless."""
        rng, passage = self._rng, self._passage
        if not self._facts or not SHORTEST <= len(passage.split()) <= LONGEST:
            return None
        fact = self._first_fact()
        template = self._template(fact, rng.choice((True, True, False)))
        query = fact.binding.fill(template)
        amended = self._shape.old and fact.slot == self._shape.amended
        old = self._binding.fill(self._shape.old) if amended else None
        if fact.value in query or (old and fact.value in old):
            return None
        turns = [_Turn(self._register(query), query, template, fact)]
        for chance in (_TURN, _NEXT_TURN):
            turn = self._next(turns) if rng.random() < chance else None
            if turn is None:
                break
            turns.append(turn)
        second = turns[1] if len(turns) > 1 else None
        third = turns[2] if len(turns) > 2 else None
        return HandbookItem(
            title=title,
            heading=capital(self._binding.fill(self._shape.heading)),
            passage=passage,
            question=turns[0].text,
            answer=fact.value,
            sentence=fact.sentence,
            follow_up=second.text if second else None,
            follow_up_query=second.query if second else None,
            follow_up_answer=second.fact.value if second else None,
            follow_up_sentence=second.fact.sentence if second else None,
            near_miss=self._near_miss() if rng.random() < _NEAR_MISS else None,
            second_follow_up=third.text if third else None,
            second_follow_up_query=third.query if third else None,
            second_follow_up_answer=third.fact.value if third else None,
            second_follow_up_sentence=third.fact.sentence if third else None,
            superseded=old,
        )

    def _first_fact(self) -> _Fact:
        """Choose what the first question asks for: mostly what has changed, if anything has."""
        changed = [fact for fact in self._facts if fact.slot == self._shape.amended]
        wanted = changed and self._shape.old and self._rng.random() < _AMENDED
        return self._rng.choice(changed if wanted else self._facts)

    def _draw_entries(self) -> tuple[list[Binding], Binding | None]:
        """Draw the values of `each` for the repeated lines, and one that the passage lacks."""
        shape = self._shape
        if not shape.each:
            return [], None
        values = list(dict.fromkeys(self._kind.lists[shape.each]))
        count = min(len(values) - 1, self._rng.randint(shape.fewest, shape.most))
        entries = []
        for value in self._rng.sample(values, count + 1):
            entry = Binding(self._rng, self._kind.lists, outer=self._binding)
            entry.keep(shape.each, entry.fill(value))
            for name in sorted(shape.own - {shape.each} - set(self._kind.document)):
                entry.draw(name)
            entries.append(entry)
        return entries[:-1], entries[-1]

    def _draw_lines(self) -> tuple[list[Line], list[Line]]:
        """Choose the lines that stay; at least two that can be asked about do."""
        kept: list[Line] = []
        out: list[Line] = []
        for line in self._shape.lines:
            leave = not line.fixed and self._rng.random() < _DROPPED
            (out if leave else kept).append(line)
        asked = [line for line in kept if slots_of(line.text) & self._shape.asks.keys()]
        if len(asked) < 2:
            return list(self._shape.lines), []
        return kept, out

    def _text(self) -> str:
        pieces: list[tuple[str, bool]] = []
        for line in self._kept:
            bindings = self._entries if line.repeated else [self._binding]
            pieces += [(capital(each.fill(line.text)), line.apart) for each in bindings]
        text, broken = "", True
        for piece, apart in pieces:
            text += ("" if not text else "\n" if apart or broken else " ") + piece
            broken = apart
        return text

    def _find_facts(self) -> list[_Fact]:
        """Find the askable values that stand in exactly one sentence."""
        own = self._shape.own
        facts = []
        for slot in self._shape.asks:
            shared = slot not in own or slot in self._kind.document
            bindings = [(None, self._binding)] if shared else list(enumerate(self._entries))
            for entry, binding in bindings:
                value = binding.value(slot)
                value = value if value in self._passage else capital(value)
                sentence = sentence_with(self._passage, value)
                if sentence and len(sentence.split()) <= _LONGEST_SENTENCE:
                    facts.append(_Fact(slot, entry, binding, value, sentence))
        return facts

    def _template(self, fact: _Fact, full: bool) -> str:
        """Choose one of a slot's questions; a full one is a sentence, not key words."""
        templates = self._shape.asks[fact.slot]
        sentences = [text for text in templates if text.endswith("?")]
        return self._rng.choice((full and sentences) or templates)

    def _next(self, turns: Sequence[_Turn]) -> _Turn | None:
        """Ask on: the same for another line, something else about it, or something new."""
        rng, last = self._rng, turns[-1]
        asked = {(turn.fact.slot, turn.fact.entry) for turn in turns}
        values = {turn.fact.value for turn in turns}
        left = [
            fact
            for fact in self._facts
            if (fact.slot, fact.entry) not in asked
            and fact.value not in values
            and not any(fact.value in turn.query for turn in turns)
        ]
        if not left:
            return None
        if rng.random() < _NEW_SUBJECT:
            fact = rng.choice(left)
            template = self._template(fact, True)
            query = fact.binding.fill(template)
            return self._checked(_Turn(self._register(query), query, template, fact), turns)
        same = [fact for fact in left if fact.slot == last.fact.slot and self._leans(last)]
        other = [
            fact
            for fact in left
            if fact.slot != last.fact.slot
            and self._shape.leaning[fact.slot]
            and fact.entry in {None, last.fact.entry}
        ]
        if same and (not other or rng.random() < 0.6):
            fact = rng.choice(same)
            text = self._ellipsis(fact)
            template = last.template
        elif other:
            fact = rng.choice(other)
            text = fact.binding.fill(rng.choice(self._shape.leaning[fact.slot]))
            template = self._template(fact, True)
        else:
            return None
        query = fact.binding.fill(template)
        return self._checked(_Turn(text, query, template, fact), turns)

    def _leans(self, turn: _Turn) -> bool:
        """Tell whether a question names the repeated line, so that another can take its place."""
        named = self._shape.each in slots_of(turn.template)
        return named and turn.fact.slot != self._shape.each

    def _checked(self, turn: _Turn, turns: Sequence[_Turn]) -> _Turn | None:
        known = {earlier.query for earlier in turns}
        return None if turn.query in known or turn.fact.value in turn.query else turn

    def _ellipsis(self, fact: _Fact) -> str:
        if len(self._entries) == 2 and self._rng.random() < 0.4:
            return self._rng.choice(_OTHER)
        one = fact.binding.value(self._shape.each)
        on = fact.binding.fill(self._shape.on)
        form = self._rng.choice(_ELLIPSES)
        return form.format(on=on, On=capital(on), one=one, One=capital(one))

    def _near_miss(self) -> str | None:
        """Ask what the passage does not say, in the words of questions that it could answer."""
        rng = self._rng
        dropped, absent, swapped, misses = (
            self._on_dropped(), self._on_absent(), self._on_swapped(), self._explicit(),
        )  # fmt: skip
        ways = [(dropped, 5), (absent, 4), (swapped, 2), (misses, 2)]
        open_ways = [(texts, weight) for texts, weight in ways if texts]
        if not open_ways:
            return None
        chosen = rng.choices([texts for texts, _ in open_ways], [w for _, w in open_ways])[0]
        return self._register(rng.choice(chosen))

    def _on_dropped(self) -> list[str]:
        slots = {name for line in self._left_out for name in slots_of(line.text)}
        shown = {name for line in self._kept for name in slots_of(line.text)}
        return [
            self._binding.fill(template)
            for slot in sorted((slots - shown) & self._shape.asks.keys())
            if self._binding.value(slot) not in self._passage
            for template in self._shape.asks[slot]
        ]

    def _on_absent(self) -> list[str]:
        """Ask about a line that the passage might have, such as another grade."""
        if self._absent is None:
            return []
        own = self._shape.own - set(self._kind.document)
        values = [self._absent.value(name) for name in own]
        if any(value in self._passage for value in values):
            return []
        return [
            self._absent.fill(template)
            for slot, templates in self._shape.asks.items()
            if slot in own
            for template in templates
            if slots_of(template) & own
        ]

    def _on_swapped(self) -> list[str]:
        """Ask the same of another subject."""
        swap = self._kind.swap
        other = Binding(self._rng, self._kind.lists, outer=self._binding)
        if other.draw(swap) in self._passage:
            return []
        return [
            other.fill(template)
            for slot, templates in self._shape.asks.items()
            if slot not in self._shape.own
            for template in templates
            if swap in slots_of(template)
        ]

    def _explicit(self) -> list[str]:
        return [self._binding.fill(template) for template in self._shape.misses]

    def _register(self, question: str) -> str:
        """Put a question the way that people do: in full, in a hurry, politely, indirectly."""
        rng, chance = self._rng, self._rng.random()
        first, _, _ = question.partition(" ")
        keywords = not question.endswith("?")
        if keywords or chance < 0.45 or first not in _QUESTION_WORDS:
            return question.lower() if keywords and chance < 0.3 else question
        low = question[0].lower() + question[1:]
        forms = (
            (0.58, lambda: low.removesuffix("?")),
            (0.66, lambda: self._opened(low)),
            (0.74, lambda: f"According to the {self._kind.noun}, {low}"),
            (0.80, lambda: question + rng.choice(_CLOSERS)),
            (1.0, lambda: _indirect(rng, question)),
        )
        return next(write() for below, write in forms if chance < below)

    def _opened(self, question: str) -> str:
        opener = self._rng.choice(_OPENERS)
        return opener + (question if opener[-2] in ",:!" else question.removesuffix("?") + ".")


def _indirect(rng: random.Random, question: str) -> str:
    """Turn a question into a wish where its words allow that, or leave it."""
    thing = re.fullmatch(r"What (?:is|are) the (.+)\?", question)
    if thing:
        form = rng.choice(("Tell me the {}.", "I need the {}.", "I am looking for the {}.", "{}?"))
        return form.format(thing[1])
    person = re.fullmatch(
        r"(Who|Which \w+) (?!is |are |was |were |did |do |does |has )(.+)\?", question
    )
    if person:
        rest = f"{person[1].lower()} {person[2]}"
        return rng.choice((f"I need to know {rest}.", f"Can you tell me {rest}?"))
    return question
