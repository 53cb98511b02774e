"""Sentences: questions made of a passage's own sentences by rules, without any model.

Where a sentence says of something what it is, needs, costs or the like, the question asks just
that, and the answer is the rest of the sentence. Of another sentence the words that carry meaning
are what somebody would type into a search, and the answer is the whole sentence. All of it is true;
it flatters whoever searches by words, since people ask in words of their own (ingest/tuning.py).
"""

import re
from collections.abc import Sequence

from agentlab.synthesis.items import Draft
from ingest.documents import Chunk
from ingest.sentences import one_line, sentence_spans
from ingest.words import word_spans

_WORDS = range(6, 41)
_LEAST_KEYWORDS, _MOST_KEYWORDS = 3, 6
# What leans on the sentence before it asks nothing by itself, nor does an adverbial before the
# subject.
_LEANING = re.compile(
    r"(?:it|its|this|that|these|those|they|their|he|his|she|her|we|our|you|your|i|such|here|there"
    r"|then|thus|so|but|and|or|also|however|otherwise|instead|both|either|neither|if|when|while"
    r"|as|in|on|at|for|from|with|by|to|of|during|after|before|through|under|since|until|without"
    r"|within|among|between|because|although|though|whoever|whatever|less|more|later|another)\b",
    re.IGNORECASE,
)
_SMALL = re.compile(r"(?:The|An?|Each|Every|All|Most|Some|No)\b")
_SUBJECT = r"(?P<subject>[A-Z][^,;:()]{2,70}?)"
_AMOUNT = "about|at least|at most|up to|between|only|not more than|less than|more than"
_THING = rf"(?P<answer>(?:(?:an?|the|no(?! longer)|{_AMOUNT}) |[€$£\d]).+)"
_WHO = (
    r"(?P<answer>(?:the|your|an?|another) (?!end\b|start\b|hour\b|day\b|week\b|month\b|year\b).+)"
)
_IS = re.compile(rf"{_SUBJECT} (?P<verb>is|are|was|were) {_THING}")
_BY = re.compile(
    rf"{_SUBJECT} (?P<verb>is|are|was|were) (?P<done>\w+ed|led|made|paid|kept) by {_WHO}"
)
_DOES = re.compile(
    rf"{_SUBJECT} (?P<verb>costs?|needs?|requires?|includes?|contains?|covers?|carry|carries"
    rf"|receives?|weighs?|lasts?|measures?|provides?|produces?|supports?) {_THING}"
)
# A second verb or clause in what should be a subject: the sentence says something else.
_CLAUSE = re.compile(
    r"\b(?:is|are|was|were|has|have|had|may|must|can|will|does|do|did|who|which|that|if|it|they"
    r"|and|or|to|[a-z]+ed|takes?|counts|carries|carry|costs?|needs?|felt|saw|made|said|gave|got"
    r"|went|began|became|kept|held|left|gets?|gives?|runs?|goes|go|stays|starts?|ends?)\b"
)
_ANSWER_WORDS = 16


def draft_of_sentences(chunk: Chunk, most: int) -> list[Draft]:
    """Make at most `most` drafts of a passage, those that ask something first."""
    said = [one_line(chunk.text[start:end]) for start, end in sentence_spans(chunk.text)]
    usable = [each for each in said if _stands_alone(each)]
    asked = [draft for each in usable if (draft := _question(each))]
    quoted = {draft.quote for draft in asked}
    typed = [draft for each in usable if each not in quoted and (draft := _keywords(each))]
    return [*asked, *typed][:most]


def _stands_alone(sentence: str) -> bool:
    return (
        sentence.endswith(".")
        and sentence[0].isupper()
        and len(sentence.split()) in _WORDS
        and not _LEANING.match(sentence)
    )


def _question(sentence: str) -> Draft | None:
    body = sentence.rstrip(".")
    if found := _IS.fullmatch(body):
        question = f"What {found['verb']} {_small(found['subject'])}?"
    elif found := _BY.fullmatch(body):
        question = f"What {found['verb']} {_small(found['subject'])} {found['done']} by?"
    elif found := _DOES.fullmatch(body):
        plain = _plain(found["verb"])
        auxiliary = "do" if plain == found["verb"] else "does"
        question = f"What {auxiliary} {_small(found['subject'])} {plain}?"
    else:
        return None
    answer = found["answer"]
    if (
        _CLAUSE.search(found["subject"])
        or ", but " in answer
        or len(answer.split()) > _ANSWER_WORDS
    ):
        return None
    return Draft(question, answer, sentence)


def _keywords(sentence: str) -> Draft | None:
    spans = word_spans(sentence)
    words = [sentence[start:end] for start, end, _ in spans]
    named = [word for word in dict.fromkeys(words) if not any(map(str.isdigit, word))]
    if len(named) < _LEAST_KEYWORDS:
        return None
    return Draft(" ".join(_spread(named)), sentence.rstrip("."), sentence, form="keywords")


def _spread(words: Sequence[str]) -> list[str]:
    """Take words from all of a sentence, in their order."""
    count = min(len(words), _MOST_KEYWORDS)
    return [words[place * len(words) // count] for place in range(count)]


def _small(subject: str) -> str:
    return subject[0].lower() + subject[1:] if _SMALL.match(subject) else subject


def _plain(verb: str) -> str:
    return "carry" if verb == "carries" else verb.removesuffix("s")
