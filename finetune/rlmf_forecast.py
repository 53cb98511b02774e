"""What rounds of machine feedback will take, told from the labels before a model is loaded."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from finetune.amounts import duration
from finetune.data.rows import Label, as_text
from finetune.duration import generation_seconds
from finetune.forecast import forecast, workload
from finetune.hardware import Hardware
from finetune.preflight import LETTERS_A_TOKEN, Seen, check_template
from finetune.rlmf_config import RlmfConfig
from finetune.rlmf_rows import people
from finetune.shape import ModelShape


def look_at_labels(
    config: RlmfConfig, *, base: Path | None = None
) -> tuple[list[Label], list[Label]]:
    """Read the labels to learn from and those held out, and check the settings of both runs.

    `base` is the model's folder, where it is at hand. Raises what the rounds would raise, at times
    after hours of answers.
    """
    for method in ("reward", config.tune_by):
        run = config.of_run(method, data=config.data[0], out=config.out, adapter=None)
        check_template(run, base)
    return people(config)


def foretell(config: RlmfConfig, shape: ModelShape, hardware: Hardware) -> list[str]:
    """Say what a round takes at most: its answers, its discriminator and its generator."""
    learn, honest = look_at_labels(config)
    asked = Counter(_prompt(each) for each in learn)
    good = {_prompt(each) for each in learn if each.label}
    bad = sum(not each.label and _prompt(each) in good for each in learn)
    pairs = bad + len(good) * config.samples
    tokens = 2 * round(fmean(_letters(each) for each in learn) / LETTERS_A_TOKEN)
    lines = [
        f"labels: {len(learn)} on {len(asked)} prompts to learn from, {len(honest)} held out",
        f"a round, of at most {config.rounds}:",
    ]
    writes = config.of_run(config.tune_by, data=config.data[0], out=config.out, adapter=None)
    judges = config.of_run("reward", data=config.data[0], out=config.out, adapter=None)
    held_out = len({_prompt(each) for each in honest})
    answers = len(asked) * config.samples + 2 * held_out
    work = replace(workload(writes, hardware), completion=config.answer_tokens)
    told = forecast(judges, shape, hardware, Seen(pairs, pairs * tokens))
    seconds = generation_seconds(work, shape, sequences=answers, speed=told.speed)
    lines.append(f"  {answers:,} answers: about {duration(seconds)}")
    lines += [f"  discriminator, {pairs:,} pairs", *_indented(str(told))]
    told = forecast(writes, shape, hardware, Seen(len(asked), len(asked) * tokens))
    lines += [f"  generator, by {config.tune_by}", *_indented(str(told))]
    return lines


def _prompt(label: Label) -> str:
    return json.dumps(label.to_dict()["prompt"])


def _letters(label: Label) -> int:
    return len(as_text(label.prompt)) + len(as_text(label.completion))


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]
