"""Talks: conversations and pairs in the very form in which the agent works.

The questions are asked of the library itself, with the prompts, the search, the reader and the
evidence of run time. Where these would mislead a model that does as it should, nothing is written.
"""

import random

from agentlab import prompts
from agentlab.answer import Source
from agentlab.starter.talk import Screened, Talk, as_query
from agentlab.synthesis.items import Item, Refused
from agentlab.synthesis.rows import Builder, Row
from ingest.collection import Collection
from ingest.reading import likeness

_SHORTEST_MISS = 4


def talk_builder(collection: Collection, *, absent: float) -> Builder:
    """Build conversations: search, quote, answer; or, in a share `absent`, that nothing is found.

    In that share the sentence is hidden from the search.
    """
    card = _card(collection)

    def build(item: Item, rng: random.Random) -> Row:
        if rng.random() < absent:
            talk = _without(item, collection, card, rng)
            talk.last().say(prompts.NOT_FOUND)
            return {**talk.row("absent", item.chunk.title), **item.lineage}
        talk = _with(item, collection, card, rng)
        return {**talk.row("documents", item.chunk.title), **item.lineage}

    return build


def pair_builder(collection: Collection, *, absent: float) -> Builder:
    """Build pairs: the right quote against the sentence that comes nearest and does not answer.

    In a share `absent` the sentence is hidden, and to say so is better than that quote.
    """
    card = _card(collection)

    def build(item: Item, rng: random.Random) -> Row:
        if rng.random() < absent:
            talk, kind = _without(item, collection, card, rng), "absent"
            miss = _near_miss(item, talk, collection)
            talk.say(prompts.NOT_FOUND)
        else:
            talk, kind = _with(item, collection, card, rng), "documents"
            miss = _near_miss(item, talk, collection)
        row = talk.row(kind, item.chunk.title)
        *before, chosen = row["messages"]
        rejected = {"role": "assistant", "content": miss}
        pair = {"prompt": before, "chosen": [chosen], "rejected": [rejected]}
        return {**pair, "tools": row["tools"], "lineage": row["lineage"], **item.lineage}

    return build


def _with(item: Item, collection: Collection, card: str, rng: random.Random) -> Talk:
    """Talk to the right answer."""
    sentence = item.sentence
    if sentence is None:
        raise Refused("the quote is more than one sentence")
    talk = Talk(card, rng)
    library = Screened(collection)
    if talk.ask(item.question, library).strength == "none":
        raise Refused("the library does not match the question")
    if talk.search_documents(as_query(item.question), library).strength == "weak":
        raise Refused("the evidence is weak")
    if not talk.cite(sentence, [item.answer]):
        raise Refused("the search does not show the sentence")
    return talk


def _without(item: Item, collection: Collection, card: str, rng: random.Random) -> Talk:
    """Talk up to a result that does not answer."""
    talk = Talk(card, rng)
    library = Screened(collection, item.chunk.text[item.start : item.end])
    if talk.ask(item.question, library).strength == "none":
        raise Refused("the library does not match the question")
    if talk.search_documents(as_query(item.question), library).strength != "weak":
        raise Refused("without the sentence the evidence is not weak")
    return talk


def _near_miss(item: Item, talk: Talk, collection: Collection) -> str:
    """Answer with the shown sentence that is most like the question and lacks the answer."""
    answer = item.answer.casefold()
    shown = [
        (sentence, source)
        for source in talk.sources
        for sentence in source.sentences
        if answer not in sentence.casefold() and sentence not in item.quote
        if len(sentence.split()) >= _SHORTEST_MISS
    ]
    if not shown:
        raise Refused("no sentence beside it was shown")
    alike = likeness(item.question, [sentence for sentence, _ in shown], collection.embedder)
    sentence, source = shown[int(alike.argmax())]
    return prompts.cited_answer(sentence, _short(item, sentence, source, collection), source.number)


def _short(item: Item, sentence: str, source: Source, collection: Collection) -> str:
    """Give the words of a sentence that the reader would take for the answer, else all of it.

    Where the right answer is a whole sentence, so is this one: length is not to tell them apart.
    """
    whole = sentence.rstrip(".")
    if collection.reader is None or item.form == "keywords":
        return whole
    spans = [[(0, len(sentence))]]
    (reply,) = collection.reader.read(item.question, [source.title], [sentence], spans)
    start, end = reply.answers[0]
    return sentence[start:end].strip() or whole


def _card(collection: Collection) -> str:
    card = collection.card
    return card.line(prompts.CARD_WORDS) if card else ""
