"""RLMF: a generator learns from a discriminator, which learns from people, in rounds.

Each round the generator answers the prompts of the logged interactions several times. A reward
model, the discriminator, is trained to prefer what people found good to what they found bad and to
what the generator wrote. It is kept honest by labels of people that it never saw: where it agrees
with them too little, the rounds end. What it prefers among the generator's own answers makes the
pairs that the generator is tuned on.
"""

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

from finetune.base_model import load_tokenizer
from finetune.completed import complete
from finetune.continuing import ADAPTER_WEIGHTS
from finetune.curve import draw_measures
from finetune.data.rows import Label
from finetune.diversity import distinct
from finetune.encoding import require_template
from finetune.errors import RunChangedError
from finetune.events import Event
from finetune.methods.reward import auc
from finetune.reward_model import RewardModel, load_reward
from finetune.rlmf_config import RlmfConfig
from finetune.rlmf_forecast import look_at_labels
from finetune.rlmf_rows import (
    Answers,
    discriminator_pairs,
    generator_pairs,
    good_answer,
    read_answers,
    write_rows,
)
from finetune.run_folder import data_hashes, held, write
from finetune.training import train
from finetune.writer import Writer

ADAPTER_FILES = ("adapter_config.json", ADAPTER_WEIGHTS, "chat_template.jinja")


@dataclass(frozen=True)
class Round:
    """What a round came to; `stopped` says why it is the last one, if it is.

    `auc_people` is how often the discriminator scores an answer that people found good above one
    that they found bad, over labels that it never saw, and `auc_generated` how often above one that
    the generator wrote. `gain` is by how much the generator's answers to held-out prompts rose, in
    deviations of the discriminator's scores; `people` is by how many nats a token the generator
    prefers people's good answers to their bad ones, after the round and before it. `variety` is the
    share of different pairs of words, as a share of the first round's.
    """

    number: int
    adapter: str | None
    pairs: int
    auc_people: float
    auc_generated: float
    gain: float | None = None
    people: float | None = None
    people_before: float | None = None
    variety: float | None = None
    stopped: str | None = None


def rounds(config: RlmfConfig, *, base: Path) -> Iterator[Event | Round]:
    """Improve a generator round by round, and yield what happens, each Round at its end.

    What is done is not done again: the same call goes on where an earlier one stopped. The adapter
    of the last round that helped lies in `config.out` at the end.
    """
    with held(config.out):
        yield from _Rounds(config, base).run()


class _Rounds:
    """The rounds over one set of logged interactions."""

    def __init__(self, config: RlmfConfig, base: Path) -> None:
        self.config, self.base = config, base
        self.learn, self.honest = look_at_labels(config, base=base)
        self.tokenizer = load_tokenizer(base)
        self.template = require_template(config.chat_template, self.tokenizer)
        self.first_variety: float | None = None

    def run(self) -> Iterator[Event | Round]:
        """Do the rounds that are not done yet."""
        self._check_same()
        adapter, done = self.config.adapter, []
        for number in range(1, self.config.rounds + 1):
            folder = self.config.out / f"round-{number}"
            found = read_round(folder)
            if found is None:
                found = yield from self._round(number, folder, adapter)
                write(folder / "round.json", json.dumps(asdict(found), indent=2))
            yield found
            done.append(found)
            adapter = Path(found.adapter) if found.adapter else None
            if found.stopped:
                break
        self._finish(done, adapter)

    def _check_same(self) -> None:
        """Refuse to go on with rounds that were begun on other data or otherwise."""
        settings = self.config.model_dump(mode="json", exclude={"out", "rounds"})
        data = data_hashes((*self.config.data, *self.config.eval_data))
        now = json.dumps({"config": settings, "data": data}, indent=2, sort_keys=True)
        path = self.config.out / "rounds.json"
        if not path.is_file():
            write(path, now)
        elif path.read_text(encoding="utf-8") != now:
            raise RunChangedError(
                f"The rounds in {self.config.out} were begun with other data or settings ({path}). "
                "Go on as they were, or give another `out`."
            )

    def _round(
        self, number: int, folder: Path, adapter: Path | None
    ) -> Generator[Event, None, Round]:
        folder.mkdir(parents=True, exist_ok=True)
        answers = self._answers(folder / "answers.jsonl", adapter, self.learn, self.config.samples)
        before = self._answers(folder / "before.jsonl", adapter, self.honest, 1)
        write_rows(folder / "judged.jsonl", discriminator_pairs(self.learn, answers))
        yield from self._train("reward", folder / "judged.jsonl", folder / "discriminator", None)
        judge = load_reward(folder / "discriminator", base=self.base)
        told = self._honesty(judge, before)
        kept = Round(number, str(adapter) if adapter else None, 0, *told)
        if kept.auc_people < self.config.min_auc:
            return replace(
                kept,
                stopped=f"the discriminator agrees with people in {kept.auc_people:.0%} of pairs "
                f"only (min_auc is {self.config.min_auc}): label more answers, "
                "and give another `out`",
            )
        pairs = generator_pairs(answers, judge, margin=self.config.min_margin)
        if not pairs:
            return replace(kept, stopped="the discriminator finds the generator's answers alike")
        write_rows(folder / "preferred.jsonl", pairs)
        del judge  # the generator needs the memory
        yield from self._train(
            self.config.tune_by, folder / "preferred.jsonl", folder / "generator", adapter
        )
        after = self._answers(folder / "after.jsonl", folder / "generator", self.honest, 1)
        return self._judged(kept, folder, before, after, pairs=len(pairs))

    def _judged(
        self,
        kept: Round,
        folder: Path,
        before: Sequence[Answers],
        after: Sequence[Answers],
        *,
        pairs: int,
    ) -> Round:
        """Say whether the round helped; where it did not, the adapter stays the one before it."""
        judge = load_reward(folder / "discriminator", base=self.base)
        gain = fmean(_scores(judge, after)) - fmean(_scores(judge, before))
        del judge
        earlier, tuned = kept.adapter, folder / "generator"
        if self.first_variety is None:
            self.first_variety = self._first_variety(before)
        variety = _variety(after) / max(self.first_variety, 1e-9)
        found = replace(
            kept,
            pairs=pairs,
            gain=gain,
            variety=variety,
            people_before=self._people(Path(earlier) if earlier else None),
            people=self._people(tuned),
        )
        if variety < self.config.min_variety:
            why = f"collapse: the answers' variety fell to {variety:.0%} of what it was"
            return replace(found, stopped=why)
        if gain <= 0:
            return replace(found, stopped="the generator no longer gains")
        return replace(found, adapter=str(tuned))

    def _first_variety(self, before: Sequence[Answers]) -> float:
        first = self.config.out / "round-1" / "before.jsonl"
        return _variety(read_answers(first) if first.is_file() else before)

    def _honesty(self, judge: RewardModel, generated: Sequence[Answers]) -> tuple[float, float]:
        good = [label for label in self.honest if label.label]
        bad = [label for label in self.honest if not label.label]
        scores = [
            judge.score([each.prompt for each in some], [each.completion for each in some])
            for some in (good, bad)
        ]
        return auc(scores[0], scores[1]), auc(scores[0], _scores(judge, generated))

    def _people(self, adapter: Path | None) -> float:
        """Return by how many nats a token the generator prefers people's good answers to bad."""
        with Writer(self.base, adapter, self.config, self.tokenizer, self.template) as writer:
            likely = {
                kind: fmean(
                    writer.likelihood(
                        complete(
                            each.prompt,
                            each.completion,
                            each.tools,
                            tokenizer=self.tokenizer,
                            template=self.template,
                        )
                    )
                    for each in self.honest
                    if each.label == kind
                )
                for kind in (True, False)
            }
        return likely[True] - likely[False]

    def _answers(
        self, path: Path, adapter: Path | None, labels: Sequence[Label], samples: int
    ) -> list[Answers]:
        """Let the generator answer each prompt; what is in the file already is not asked again."""
        if path.is_file():
            return read_answers(path)
        prompts = list({json.dumps(each.to_dict()["prompt"]): each for each in labels}.values())
        with Writer(self.base, adapter, self.config, self.tokenizer, self.template) as writer:
            written = writer.answer([each.prompt for each in prompts], samples=samples)
        found = [
            Answers(each.prompt, tuple(texts), good_answer(each, labels))
            for each, texts in zip(prompts, written, strict=True)
        ]
        write_rows(path, [each.to_dict() for each in found])
        return found

    def _train(self, method: str, data: Path, out: Path, adapter: Path | None) -> Iterator[Event]:
        if (out / "metrics.json").is_file():
            return
        config = self.config.of_run(method, data=data, out=out, adapter=adapter)
        yield from train(config, base=self.base, resume=True)

    def _finish(self, done: Sequence[Round], adapter: Path | None) -> None:
        """Put the best adapter and the story of the rounds into the folder."""
        out = self.config.out
        lines = [
            {
                "step": each.number,
                "measures": {
                    name: value for name, value in asdict(each).items() if isinstance(value, float)
                },
            }
            for each in done
        ]
        draw_measures(lines, out / "rounds.png")
        if adapter and adapter != self.config.adapter:
            for name in ADAPTER_FILES:
                if (adapter / name).is_file():
                    write(out / name, (adapter / name).read_bytes())
        metrics = {
            "method": "rlmf",
            "rounds": [asdict(each) for each in done],
            "lineage": data_hashes((*self.config.data, *self.config.eval_data)),
        }
        write(out / "metrics.json", json.dumps(metrics, indent=2))


def read_round(folder: Path) -> Round | None:
    """Read a round that is done."""
    path = folder / "round.json"
    return Round(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _scores(judge: RewardModel, answers: Sequence[Answers]) -> list[float]:
    pairs = [(each.prompt, text) for each in answers for text in each.written]
    return judge.score([prompt for prompt, _ in pairs], [text for _, text in pairs])


def _variety(answers: Sequence[Answers]) -> float:
    return distinct([text.split() for each in answers for text in each.written], 2)
