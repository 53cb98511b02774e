"""Preflight: what a run would stumble over, looked at without its model.

Its rows, its settings and the folders that it goes on from are read before a model is fetched, and
all stages of a plan before the first of them takes its hours.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.answer_rewards import Model as RewardModelAt
from finetune.continuing import agree, read_earlier
from finetune.data.kinds import SHAPES, Kind
from finetune.data.reading import (
    kind_of,
    read_examples,
    read_labels,
    read_pairs,
    read_prompts,
    read_texts,
)
from finetune.data.rows import Conversation, Label, Pair, Prompt, Said, Text
from finetune.data.templates import load_template
from finetune.encoding import check_marks, check_own_template, template_of
from finetune.errors import ConfigError, ExampleError
from finetune.lookup_rows import Lookup, read_lookups
from finetune.method_config import KtoConfig, RagConfig, RewardConfig
from finetune.policy_config import GrpoConfig, PpoConfig
from finetune.reward_folder import base_folder, read_reward_config
from finetune.row_checks import check_both_labels, margin_of
from finetune.tune_config import TuneConfig
from finetune.workload import PAIRED

LETTERS_A_TOKEN = 4.0
"""About what a token takes of English text, its marks of who speaks included."""

READERS: Mapping[str, Callable[[Iterable[Path]], Sequence[Any]]] = {
    "cpt": read_texts,
    "sft": read_examples,
    "dpo": read_pairs,
    "kto": read_labels,
    "orpo": read_pairs,
    "reward": read_pairs,
    "ppo": read_prompts,
    "grpo": read_prompts,
    "rag": read_lookups,
}


@dataclass(frozen=True)
class Seen:
    """How many rows a run has, and about how many of their tokens go through its model an epoch.

    `notes` are what it will not stumble over, and may not be meant.
    """

    rows: int
    tokens: int
    notes: tuple[str, ...] = ()


def look_at(
    config: TuneConfig,
    *,
    base: Path | None = None,
    rewards: Sequence[str] = (),
    to_come: Collection[Path] = (),
) -> Seen:
    """Read and check all that a run is told; raise what it would raise once its model is loaded.

    `base` is the model's folder, where it is at hand; its weights are not looked at. `rewards` are
    those of the world that grpo acts in. `to_come` are folders that are not there yet and will be.
    """
    rows = _read(config.method, config.data)
    if config.eval_data:
        _read(config.method, config.eval_data)
    check_template(config, base)
    if config.adapter and config.adapter not in to_come:
        config = agree(config, read_earlier(config.adapter))
    notes: tuple[str, ...] = ()
    match config:
        case KtoConfig():
            check_both_labels([row.label for row in rows])
        case RewardConfig(margins=True):
            for pair in rows:
                margin_of(pair)
        case PpoConfig():
            _check_rewards(config, rows, to_come)
        case GrpoConfig():
            notes = _idle_rewards(config.weights(rewards), rows) if rewards else ()
        case RagConfig():
            load_template(config.prompt)
            _check_encoder(config, rows)
    return Seen(len(rows), sum(_tokens(row, config) for row in rows), notes)


def _read(method: str, paths: Sequence[Path]) -> Sequence[Any]:
    """Read the rows; where they are of another kind, say what learns from those."""
    try:
        return READERS[method](paths)
    except ExampleError as error:
        shape = SHAPES[kind] if (kind := _kind(paths)) else None
        if shape is None or method in shape.methods:
            raise
        raise ExampleError(
            f"{error} They look like rows of another kind ({shape.noun}), which "
            f"{' and '.join(shape.methods)} can learn from; see `agentlab data convert`."
        ) from error


def _kind(paths: Sequence[Path]) -> Kind | None:
    try:
        return kind_of(paths[0])
    except ExampleError:
        return None


def check_template(config: TuneConfig, base: Path | None) -> None:
    """Raise TemplateError where neither settings nor the model give the template that is needed."""
    marks = config.method == "sft"
    if config.chat_template:
        template = template_of(config.chat_template)
        if marks:
            check_marks(template, str(config.chat_template))
    elif base and config.method != "cpt":  # which reads plain text
        check_own_template(base, marks=marks)


def _check_rewards(config: PpoConfig, rows: Sequence[Prompt], to_come: Collection[Path]) -> None:
    for reward in config.needed_rewards():
        if isinstance(reward, RewardModelAt):
            if reward.folder in to_come:
                continue
            told = read_reward_config(reward.folder)
            if reward.base or told.model != config.model:
                base_folder(reward.folder, told, reward.base)
            continue
        for row in rows:
            try:
                reward.of("", row.extra)
            except ExampleError as error:
                raise ExampleError(f"{row.place}: {error}") from error


def _idle_rewards(weights: Mapping[str, float], rows: Sequence[Prompt]) -> tuple[str, ...]:
    """Say which rewards the rows leave at nothing, whatever the model does."""
    idle = [
        (reward, field)
        for reward, field in (("answer", "answers"), ("route", "route"))
        if weights.get(reward) and not any(field in row.extra for row in rows)
    ]
    if len(idle) == sum(bool(weight) for weight in weights.values()):
        missing = " or ".join(f"`{field}`" for _, field in idle)
        raise ExampleError(
            f"No row names {missing}, which is all that these rewards look at. Add that to the "
            "rows, or weigh other rewards."
        )
    return tuple(
        f"the reward {reward} stays 0: no row names `{field}`; it can be left out of `rewards`"
        for reward, field in idle
    )


def _check_encoder(config: RagConfig, rows: Sequence[Lookup]) -> None:
    """Refuse an encoder whose vectors have another length than the rows'."""
    file = Path(config.encoder) / "config.json"
    if not file.is_file():
        return  # a name, whose folder is fetched later
    width, own = rows[0].vectors.shape[1], json.loads(file.read_text(encoding="utf-8"))
    if own.get("hidden_size") not in (None, width):
        raise ConfigError(
            f"{rows[0].place} has vectors of {width} numbers, and {config.encoder} makes them of "
            f"{own['hidden_size']}. Set encoder to the embedder that the library was read with."
        )


def _tokens(row: Any, config: TuneConfig) -> int:
    """Guess the tokens that go through the model for a row; what is too long is cut, or left."""
    longest = config.max_length
    if config.method == "cpt":
        return round(len(row.text) / LETTERS_A_TOKEN)
    if config.method in PAIRED:
        longest *= 2
    elif isinstance(config, RagConfig):
        longest *= config.passages
    elif isinstance(config, PpoConfig):
        longest -= config.completion_length
    elif isinstance(config, GrpoConfig):
        return longest  # with what the world says before, between and after it
    return min(round(_letters(row, config) / LETTERS_A_TOKEN), longest)


def _letters(row: Any, config: TuneConfig) -> int:
    match row:
        case Conversation():
            return _size(row.messages) + _size(row.tools)
        case Text():
            return len(row.text)
        case Pair():
            asked = _size(row.prompt) + _size(row.tools)
            return 2 * asked + _size(row.chosen) + _size(row.rejected)
        case Label():
            return _size(row.prompt) + _size(row.completion) + _size(row.tools)
        case Prompt():
            return _size(row.prompt) + _size(row.tools)
        case Lookup():
            best = row.passages[: config.passages] if isinstance(config, RagConfig) else ()
            return sum(map(len, best)) + len(best) * (len(row.question) + len(row.answer))
    raise TypeError(row)


def _size(said: Said | Sequence[Any] | None) -> int:
    if said is None:
        return 0
    return len(said if isinstance(said, str) else json.dumps(said, ensure_ascii=False, default=str))
