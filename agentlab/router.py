"""Router: what kind of question a person asks, which tells where to look first.

A small classifier on the embedder's architecture, tuned on questions of three kinds: `ask`, whose
answer stays as it is, `live`, whose answer changes from day to day, and `talk`, which needs no
search. A second, smaller one tells the intents of talk apart, such as `talk:thanks`, and finds in
it what is asked about the `library` itself. What is stored are the weights that differ from the
base model.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agentlab.probing import Wording
from agentlab.prompts import LIST_DOCUMENTS, SEARCHES
from agentlab.small_talk import UNSURE, replies
from ingest.evidence import Strength

WEIGHTS, CONFIG = "router.safetensors", "router_config.json"
ASK, LIVE, LIBRARY, TALK = "ask", "live", "library", "talk"
_DOCUMENTS, _WEB = SEARCHES
LISTS = str(LIST_DOCUMENTS["function"]["name"])
SURE = 0.7
"""The probability from which on a kind decides; below it the model does."""
CLEAR = 0.9
"""What is talk with at least this probability needs no search, though the library matches it."""
SURELY = 0.75
"""The probability of an answer that the library must see for what is as clearly live."""


class Kinds(Protocol):
    """What tells the kinds of a question apart: `Router`."""

    def kinds(self, question: str) -> Mapping[str, float]:
        """Give the probability of each kind, and of talk's intents `talk:INTENT` each alone."""


def first_calls(
    kinds: Mapping[str, float],
    strength: Strength,
    *,
    answers: Callable[[float], bool] = lambda _: False,
) -> Sequence[str] | None:
    """Tell which tools may be called first, by their names; None leaves it to the model.

    What the library matches well and answers, as `answers` tells of a least probability, is looked
    up there, whatever it is taken for. Else what changes from day to day is for the web, what
    documents there are for the list of them, and anything else for where the library's evidence
    points; talk is for no tool, unless the library matches it well.
    """
    shares = _by_kind(kinds)
    kind = _likeliest(shares)
    sure = sum(shares.get(each, 0.0) for each in _alike(kind, strength)) >= SURE
    matches = strength in ("good", "strong")
    # "Can I save it as a file?" may be asked of us, or of a handbook.
    least = SURELY if kind == LIVE and shares[kind] >= CLEAR else 0.0
    if matches and ((sure and kind == ASK) or answers(least)):
        return (_DOCUMENTS,)
    if not sure:
        return None
    if kind == LIBRARY:
        return (LISTS,)
    if kind == TALK:
        return None if matches and shares[kind] < CLEAR else ()
    if kind == LIVE or strength == "none":
        return (_WEB,)
    return None


def _alike(kind: str, strength: Strength) -> Sequence[str]:
    """Give the kinds that lead to the same place as one, so that they are sure together."""
    if kind in (LIBRARY, TALK):
        return LIBRARY, TALK  # neither needs a search
    # What the library does not match is for the web, whether its answer lasts or not.
    return (ASK, LIVE) if strength == "none" else (kind,)


def reply_to(kinds: Mapping[str, float]) -> str | None:
    """Give the reply to the likeliest intent of talk; None where the router knows no intents.

    An intent that the others together outweigh is a guess, which would answer what nobody said.
    """
    known = replies()
    intents = {kind: known.get(kind.partition(":")[2]) for kind in kinds}
    talk = {kind: kinds[kind] for kind, reply in intents.items() if reply}
    if not talk:
        return None
    kind = _likeliest(talk)
    return intents[kind] if 2 * talk[kind] > sum(talk.values()) else UNSURE


def _by_kind(kinds: Mapping[str, float]) -> Mapping[str, float]:
    """Add up the intents of each kind."""
    shares: dict[str, float] = {}
    for kind, share in kinds.items():
        whole = kind.partition(":")[0]
        shares[whole] = shares.get(whole, 0.0) + share
    return shares


def _likeliest(kinds: Mapping[str, float]) -> str:
    return max(kinds, key=lambda each: kinds[each])


def base_of(folder: Path) -> str:
    """Name the base model that a router's weights belong to."""
    return str(json.loads((folder / CONFIG).read_text(encoding="utf-8"))["base"])


def kinds_of(kinds: Kinds, asked: Wording) -> Mapping[str, float]:
    """Give the kinds' probabilities of a question, which may lean on the one before it.

    Such a question is judged together with what it leans on. What looks like talk when it stands
    alone, such as thanks and "Where is it?", is judged both ways, which count alike.
    """
    alone = kinds.kinds(asked.question)
    if not asked.leans:
        return alone
    together = kinds.kinds(asked.own)
    if _likeliest(_by_kind(alone)) != TALK:
        return together
    return {
        kind: (alone.get(kind, 0.0) + together.get(kind, 0.0)) / 2
        for kind in dict.fromkeys((*alone, *together))
    }


class IntentRouter:
    """A router and a second one, which looks closer at what the first takes for talk."""

    def __init__(self, kinds: Kinds, intents: Kinds) -> None:
        self._kinds = kinds
        self._intents = intents

    def kinds(self, question: str) -> dict[str, float]:
        """Give each kind's probability; talk, where it is likeliest, by its intents."""
        shares = dict(self._kinds.kinds(question))
        if _likeliest(shares) != TALK:
            return shares
        talk = shares.pop(TALK)
        for kind, share in self._intents.kinds(question).items():
            shares[kind] = shares.get(kind, 0.0) + talk * share
        return shares


class Router:
    """Tells the kinds of question apart; safe to share between threads."""

    def __init__(self, folder: Path, base: Path) -> None:
        """Load the router's own weights from `folder` and the rest from its `base` model."""
        import torch
        from safetensors.torch import load_file
        from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

        settings: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        self.labels: tuple[str, ...] = tuple(settings["labels"])
        self._max_length = int(settings["max_length"])
        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(base)
        config = AutoConfig.from_pretrained(base, num_labels=len(self.labels))
        model: Any = BertForSequenceClassification(config)
        shared = load_file(base / "model.safetensors")
        weights = {f"bert.{name}": weight for name, weight in shared.items()}
        weights |= load_file(folder / WEIGHTS)
        model.load_state_dict({name: weights[name].float() for name in model.state_dict()})
        self._model = model.eval()

    def kinds(self, question: str) -> dict[str, float]:
        """Give each kind's probability; of a long text the end counts, where the question is."""
        ids = self._tokenizer(question)["input_ids"]
        if len(ids) > self._max_length:
            ids = [ids[0], *ids[1 - self._max_length :]]
        with self._torch.inference_mode():
            logits = self._model(self._torch.tensor([ids])).logits[0]
        shares = logits.softmax(0).tolist()
        return dict(zip(self.labels, shares, strict=True))
