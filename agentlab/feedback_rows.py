"""Rows from feedback: what a person said of the agent's runs, as rows that a model learns from."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentlab.citations import holds_quote
from agentlab.journal import Journal
from agentlab.prompts import TOOLS, cited_answer
from finetune.data.rows import Conversation, Label, Message, Pair, Row
from ingest.sentences import one_line, sentence_spans

Run = dict[str, Any]
_PLACE = "journal"


@dataclass
class FeedbackRows:
    """What the journal gives: a conversation for each good answer, labels, and pairs.

    `left_out` counts what was said of a run from which nothing can be learned, by its reason.
    """

    conversations: list[Conversation] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def rows(self, to: str) -> Sequence[Row]:
        """Give the rows that conversion to a method starts from."""
        rows: dict[str, Sequence[Row]] = {"dpo": self.pairs, "kto": self.labels}
        return rows.get(to, self.conversations)


def read_feedback(journal: Journal) -> FeedbackRows:
    """Read the rated runs, the oldest first.

    Of several thumbs the last one counts. A better answer makes the run's own one bad; where one
    sentence that the run was shown holds it, it is written with that quote, as the agent answers.
    Of a good and a bad answer to one question, and of a preference, comes a pair; its prompt is
    what the better run saw.
    """
    found = FeedbackRows()
    runs = [run for run in journal.rated() if _usable(run, found)]
    for number, run in enumerate(runs, start=1):
        _add(found, run, number)
    _add_preferences(found, journal, runs)
    _add_contrasts(found, runs)
    found.pairs = [pair for at, pair in enumerate(found.pairs) if pair not in found.pairs[:at]]
    return found


def _usable(run: Run, found: FeedbackRows) -> bool:
    if run["status"] != "answered" or not run["messages"] or not (run["raw"] or "").strip():
        found.left_out["the run has no answer"] += len(run["feedback"])
        return False
    return True


def _add(found: FeedbackRows, run: Run, line: int) -> None:
    better = _better(run)
    good = thumb(run)
    if good is not None:
        found.labels.append(_label(run, run["raw"], good, line))
    if good:
        found.conversations.append(_conversation(run, run["raw"], line))
    if better:
        found.labels.append(_label(run, better, True, line))
        found.conversations.append(_conversation(run, better, line))
        if better.strip() != run["raw"].strip():
            found.pairs.append(_pair(run, better, run["raw"], line))


def _add_preferences(found: FeedbackRows, journal: Journal, runs: Sequence[Run]) -> None:
    for line, run in enumerate(runs, start=1):
        for said in run["feedback"]:
            if said["kind"] != "preference":
                continue
            other = journal.run(said["other"]) if said["other"] else None
            if other is None or not (other["raw"] or "").strip():
                found.left_out["the run that was liked less has no answer"] += 1
            elif _question(other) != _question(run):
                found.left_out["the run that was liked less answers another question"] += 1
            elif other["raw"].strip() == run["raw"].strip():
                found.left_out["both runs answer the same"] += 1
            else:
                found.pairs.append(_pair(run, run["raw"], other["raw"], line))
                if thumb(run) is None:
                    found.conversations.append(_conversation(run, run["raw"], line))


def _add_contrasts(found: FeedbackRows, runs: Sequence[Run]) -> None:
    bad = {_question(run): run for run in runs if thumb(run) is False}
    for line, run in enumerate(runs, start=1):
        worse = bad.get(_question(run))
        if thumb(run) and worse and worse["raw"].strip() != run["raw"].strip():
            found.pairs.append(_pair(run, run["raw"], worse["raw"], line))


def thumb(run: Mapping[str, Any]) -> bool | None:
    """Tell whether a person called a run's answer good, by the last thumb; None without one."""
    kinds = [said["kind"] for said in run["feedback"]]
    thumbs = [kind for kind in kinds if kind in ("good", "bad", "better")]
    return thumbs[-1] == "good" if thumbs else None


def _better(run: Run) -> str | None:
    """Give the better answer, quoted from the sentence that holds it where one was shown."""
    texts = [said["text"] for said in run["feedback"] if said["kind"] == "better" and said["text"]]
    if not texts:
        return None
    text = texts[-1].strip()
    bare = text.rstrip(".").strip()
    for source in _sources(run):
        for start, end in sentence_spans(source["text"]):
            sentence = one_line(source["text"][start:end])
            if holds_quote(sentence, bare):
                return cited_answer(sentence, bare, source["number"])
    return text


def _sources(run: Run) -> Iterator[Mapping[str, Any]]:
    for step in run["steps"]:
        yield from step["sources"] or ()


def _question(run: Run) -> str:
    return " ".join(run["question"].casefold().split())


def _prompt(run: Run) -> tuple[Message, ...]:
    return tuple(run["messages"][:-1])


def _answer(text: str) -> tuple[Message, ...]:
    return ({"role": "assistant", "content": text},)


def _origin(run: Run, line: int) -> dict[str, Any]:
    extra = {"run": run["id"], "model": run["model"], "adapter": run["adapter"]}
    return {
        "path": _PLACE,
        "line": line,
        "extra": {name: value for name, value in extra.items() if value},
    }


def _conversation(run: Run, answer: str, line: int) -> Conversation:
    return Conversation((*_prompt(run), *_answer(answer)), tuple(TOOLS), **_origin(run, line))


def _label(run: Run, answer: str, good: bool, line: int) -> Label:
    return Label(_prompt(run), _answer(answer), good, tuple(TOOLS), **_origin(run, line))


def _pair(run: Run, chosen: str, rejected: str, line: int) -> Pair:
    return Pair(
        _prompt(run), _answer(chosen), _answer(rejected), tuple(TOOLS), **_origin(run, line)
    )
