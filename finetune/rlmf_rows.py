"""The rows of machine feedback: people's labels, the generator's answers, pairs made of both."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.data.reading import read_labels
from finetune.data.rows import Label, Said, as_text
from finetune.errors import ExampleError
from finetune.rlmf_config import RlmfConfig
from finetune.run_folder import write

if TYPE_CHECKING:
    from finetune.reward_model import RewardModel


@dataclass(frozen=True)
class Answers:
    """What the generator wrote to a prompt, and an answer to it that people found good, if any."""

    prompt: Said
    written: tuple[str, ...]
    good: Said | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the row as it is written."""
        return {"prompt": _plain(self.prompt), "written": self.written, "good": _plain(self.good)}


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as JSONL, whole or not at all."""
    write(path, "".join(json.dumps(row) + "\n" for row in rows))


def read_answers(path: Path) -> list[Answers]:
    """Read what an earlier call has let the generator write."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Answers(_said(row["prompt"]), tuple(row["written"]), _said(row["good"])) for row in rows
    ]


def people(config: RlmfConfig) -> tuple[list[Label], list[Label]]:
    """Read people's labels: those to learn from, and those that keep the discriminator honest.

    The latter are `eval_data`, or of a share of the prompts, which then are in one part only.
    """
    labels = read_labels(config.data)
    if config.eval_data:
        learn, honest = labels, read_labels(config.eval_data)
    else:
        asked = list(dict.fromkeys(as_text(each.prompt) for each in labels))
        step = max(2, round(1 / config.honest_share))
        held = set(asked[::step])
        learn = [each for each in labels if as_text(each.prompt) not in held]
        honest = [each for each in labels if as_text(each.prompt) in held]
    for name, some in (("to learn from", learn), ("held out", honest)):
        kinds = {each.label for each in some}
        if kinds != {True, False}:
            raise ExampleError(
                f"The {len(some)} labels {name} are not of both kinds, good and bad. Label more "
                "answers, or give eval_data."
            )
    return learn, honest


def discriminator_pairs(
    labels: Sequence[Label], answers: Sequence[Answers]
) -> list[dict[str, Any]]:
    """Set what people found good above what they found bad and above what was generated."""
    pairs = []
    for each in answers:
        if each.good is None:
            continue
        same = [label for label in labels if label.prompt == each.prompt and not label.label]
        worse = [label.completion for label in same] + list(each.written)
        pairs += [
            {"prompt": _plain(each.prompt), "chosen": _plain(each.good), "rejected": _plain(other)}
            for other in worse
            if as_text(other).strip() and as_text(other).strip() != as_text(each.good).strip()
        ]
    if not pairs:
        raise ExampleError(
            "No prompt to learn from has an answer that people found good. Label some good answers."
        )
    return pairs


def generator_pairs(
    answers: Sequence[Answers], judge: "RewardModel", *, margin: float
) -> list[dict[str, Any]]:
    """Set the answer that the discriminator likes best above the one that it likes least.

    A good answer of people stands among the generator's own. Pairs nearer than `margin`, in
    deviations of the scores, are left out.
    """
    pairs = []
    for each in answers:
        options = [text for text in dict.fromkeys(each.written) if text.strip()]
        options += [as_text(each.good)] if each.good is not None else []
        if len(options) < 2:
            continue
        scores = judge.score([each.prompt] * len(options), options)
        ranked = sorted(zip(scores, options, strict=True), key=lambda pair: pair[0])
        (low, worst), (high, best) = ranked[0], ranked[-1]
        if high - low >= margin:
            pairs.append({"prompt": _plain(each.prompt), "chosen": best, "rejected": worst})
    return pairs


def good_answer(label: Label, labels: Sequence[Label]) -> Said | None:
    """Return an answer to the same prompt that people found good, if there is one."""
    same = (each for each in labels if each.prompt == label.prompt and each.label)
    return next((each.completion for each in same), None)


def _plain(said: Said | None) -> Any:
    return list(map(dict, said)) if isinstance(said, tuple) else said


def _said(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
