"""TuneConfig: the settings of tuning a language model, and of each method of doing so."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from finetune.answer_rewards import Rewards
from finetune.config import RunConfig, build, read_recipe
from finetune.errors import ConfigError

ATTENTION = ("q_proj", "k_proj", "v_proj")
"""The `attention` preset: the modules' names in the Llama family and its many relatives."""


class TuneConfig(RunConfig):
    """Settings that every method on a language model has.

    `adapter` is the folder of an adapter on the model which the run trains further. `frequency` is
    that of a neural adapter's sine: the larger, the less it is a LoRA. `micro_batch` rows go
    through the model at once, padded to the longest; `batch` of them make a step, in all of the
    `processes`, each of which takes a GPU of its own. With `effects` the run measures what it did
    to general text and to the variety of what the model writes. With `compare`, as a neural adapter
    has it unless it is set, the run trains a LoRA and an rsLoRA of as many parameters for as many
    steps when it is done, and puts them beside its own numbers.
    """

    method: ClassVar[str]

    adapter: Path | None = None
    chat_template: Path | None = None

    tuner: Literal["lora", "rslora", "dora", "neural", "full"] = "lora"
    lora_rank: int = Field(32, ge=1, le=512)
    lora_alpha: int | None = Field(None, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    frequency: float = Field(200.0, gt=0)
    target_modules: Literal["all", "attention"] | tuple[str, ...] = "all"
    quantize_4bit: bool = False
    micro_batch: int = Field(1, ge=1)
    processes: int = Field(1, ge=1)
    effects: bool = True
    compare: bool | None = None

    @property
    def compares(self) -> bool:
        """Return whether other adapters are trained beside: for a neural one unless it is set."""
        if self.compare is None:
            return self.tuner == "neural" and self.adapter is None and self.processes == 1
        return self.compare

    @property
    def rows_a_step(self) -> int:
        """Return how many rows go through the model for a step, in all processes."""
        return self.batch

    @property
    def accumulation(self) -> int:
        """Return how many micro batches each process takes for a step."""
        return self.rows_a_step // (self.micro_batch * self.processes)

    @property
    def alpha(self) -> int:
        """Return LoRA's alpha: twice the rank unless it is set."""
        return self.lora_alpha or 2 * self.lora_rank

    @model_validator(mode="after")
    def _fit_the_tuner(self) -> Self:
        if self.quantize_4bit and not self.bf16:
            msg = "quantize_4bit computes in bf16: leave bf16 on"
            raise ValueError(msg)
        if self.target_modules == ():
            msg = "target_modules names no module: use 'all', 'attention' or a list of names"
            raise ValueError(msg)
        if self.tuner == "full" and (self.quantize_4bit or self.adapter):
            wrong = "quantize_4bit" if self.quantize_4bit else "adapter"
            msg = f"tuner=full trains the model's own weights: leave {wrong} out"
            raise ValueError(msg)
        if self.compare and (self.tuner == "full" or self.adapter):
            msg = "compare trains adapters from the start: leave it out with tuner=full or adapter"
            raise ValueError(msg)
        if self.rows_a_step % (self.micro_batch * self.processes):
            shares = "" if self.processes == 1 else f" times processes={self.processes}"
            rows = f"batch={self.batch}"
            if self.rows_a_step > self.batch:
                rows = f"the {self.rows_a_step} rows of a step"
            msg = f"micro_batch={self.micro_batch}{shares} does not divide {rows}"
            raise ValueError(msg)
        if self.processes > 1 and self.compare:
            msg = "compare trains the others in one process: leave it out with processes"
            raise ValueError(msg)
        return self

    def resolved(self) -> dict[str, Any]:
        """Return every setting as plain data, derived ones filled in."""
        return super().resolved() | {"lora_alpha": self.alpha, "compare": self.compares}


class CptConfig(TuneConfig):
    """Continued pre-training: every token of plain text, packed into blocks of `max_length`."""

    method: ClassVar[str] = "cpt"

    learning_rate: float = Field(1e-4, gt=0)


class SftConfig(TuneConfig):
    """Supervised tuning on what the assistant writes in conversations."""

    method: ClassVar[str] = "sft"

    learning_rate: float = Field(2e-4, gt=0)
    max_tokens: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.max_steps and self.max_tokens:
            msg = "max_steps and max_tokens both end the run: keep one of them"
            raise ValueError(msg)
        return self


class DpoConfig(TuneConfig):
    """Direct preference optimisation (Rafailov et al. 2023): pairs against a frozen reference.

    `beta` holds the model to the reference; `loss` is TRL's name of the loss on the margin.
    """

    method: ClassVar[str] = "dpo"

    learning_rate: float = Field(2e-5, gt=0)
    beta: float = Field(0.1, gt=0)
    loss: Literal["sigmoid", "ipo", "hinge", "robust"] = "sigmoid"
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)


class KtoConfig(TuneConfig):
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024): thumbs up or down, no pairs.

    The weights say how much a row of each kind counts; None balances the two kinds. A micro batch
    needs two rows, whose completions are swapped to estimate the KL divergence.
    """

    method: ClassVar[str] = "kto"

    learning_rate: float = Field(2e-5, gt=0)
    beta: float = Field(0.1, gt=0)
    desirable_weight: float | None = Field(None, gt=0)
    undesirable_weight: float | None = Field(None, gt=0)
    micro_batch: int = Field(4, ge=2)


class OrpoConfig(TuneConfig):
    """Odds-ratio preference optimisation (Hong et al. 2024): pairs in one stage, no reference.

    `beta` weighs the odds ratio beside the supervised loss (lambda in the paper).
    """

    method: ClassVar[str] = "orpo"

    learning_rate: float = Field(5e-5, gt=0)
    beta: float = Field(0.1, gt=0)


class RewardConfig(TuneConfig):
    """A reward model: one number for how good an answer is (Bradley and Terry 1952).

    `centering` pulls the two rewards of a pair towards a sum of 0 (Eisenstein et al. 2023, 0.01
    there). With `margins` each row's field `margin` is by how much the better answer has to win.
    """

    method: ClassVar[str] = "reward"

    learning_rate: float = Field(1e-4, gt=0)
    micro_batch: int = Field(4, ge=1)
    centering: float | None = Field(None, gt=0)
    margins: bool = False


class GrpoConfig(TuneConfig):
    """Group-relative policy optimisation (Shao et al. 2024) on whole episodes with tools.

    A step takes `batch` prompts, each acted on `generations` times: `turns` messages of at most
    `turn_tokens` tokens, `max_length` tokens with what the tools say. `rewards` weighs the world's
    rewards by name; `beta` adds a KL penalty, `epsilon` clips the ratio.
    """

    method: ClassVar[str] = "grpo"

    learning_rate: float = Field(2e-5, gt=0)
    batch: int = Field(4, ge=1)
    generations: int = Field(4, ge=2)
    temperature: float = Field(1.0, gt=0)
    turns: int = Field(3, ge=1)
    turn_tokens: int = Field(96, ge=4)
    rewards: dict[str, float] | None = None
    beta: float = Field(0.0, ge=0)
    epsilon: float = Field(0.2, gt=0, lt=1)

    @property
    def rows_a_step(self) -> int:
        """Return how many episodes a step learns from."""
        return self.batch * self.generations

    def weights(self, known: Sequence[str]) -> dict[str, float]:
        """Return the weight of each reward, 1 for all that are known where none is set.

        Raises ConfigError for rewards that are not known, or that all weigh nothing.
        """
        weights = self.rewards or dict.fromkeys(known, 1.0)
        unknown = weights.keys() - set(known)
        if unknown:
            raise ConfigError(f"No reward {min(unknown)!r} here. Use: {', '.join(known)}.")
        if not any(weights.values()):
            raise ConfigError(f"rewards weighs all by 0: give one of {', '.join(known)} a weight.")
        return weights


class RagConfig(TuneConfig):
    """Retriever and generator together: RAG-sequence (Lewis et al. 2020) on a frozen index.

    `encoder` names the embedder of the index, whose copy for questions learns at a rate of its own;
    0 leaves it as it is. A step weighs the best `passages` of a row's first `candidates` by their
    cosines divided by `temperature`. `prompt` is the template by which passage, question and answer
    are written.
    """

    method: ClassVar[str] = "rag"

    learning_rate: float = Field(2e-4, gt=0)
    max_length: int = Field(512, ge=8)
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    encoder_learning_rate: float = Field(2e-5, ge=0)
    passages: int = Field(4, ge=2)
    candidates: int = Field(8, ge=2)
    temperature: float = Field(0.05, gt=0)
    prompt: str = "chat"

    @model_validator(mode="after")
    def _of_candidates_by_an_adapter(self) -> Self:
        if self.tuner == "full":
            msg = "rag trains an adapter beside the encoder: leave tuner=full out"
            raise ValueError(msg)
        if self.processes > 1:
            msg = "rag trains encoder and model in one process on one GPU: leave processes out"
            raise ValueError(msg)
        if self.passages > self.candidates:
            msg = (
                f"passages={self.passages} are weighed of candidates={self.candidates}: raise those"
            )
            raise ValueError(msg)
        return self


class PpoConfig(TuneConfig):
    """Proximal policy optimisation (Schulman et al. 2017) of answers that the model writes itself.

    Of each `rollout` answers (4 batches or more unless it is set), at most `completion_length`
    tokens long, steps of `batch` learn in `passes` passes. `rewards` say how good an answer is; one
    that was not ended loses `unended_penalty`. `kl` is what a nat away from the reference costs,
    which `kl_target`, nats an answer, adapts (Ziegler et al. 2019); beyond `kl_limit`, nats a
    token, the run stops.
    """

    method: ClassVar[str] = "ppo"

    rewards: Rewards | None = None
    rollout: int | None = Field(None, ge=1)
    passes: int = Field(2, ge=1)
    completion_length: int = Field(64, ge=1)
    temperature: float = Field(1.0, gt=0)
    unended_penalty: float = Field(1.0, ge=0)

    learning_rate: float = Field(5e-5, gt=0)
    batch: int = Field(16, ge=1)
    micro_batch: int = Field(4, ge=1)
    kl: float = Field(0.05, ge=0)
    kl_target: float | None = Field(None, gt=0)
    kl_limit: float = Field(1.0, gt=0)
    gamma: float = Field(1.0, gt=0, le=1)
    lam: float = Field(0.95, ge=0, le=1)
    clip: float = Field(0.2, gt=0, lt=1)
    value_clip: float = Field(0.2, gt=0)
    value_weight: float = Field(0.1, ge=0)
    entropy_weight: float = Field(0.0, ge=0)
    keep_value_head: bool = False

    @property
    def answers(self) -> int:
        """Return how many answers a rollout has."""
        return self.rollout or self.batch * self.processes * math.ceil(4 / self.processes)

    def needed_rewards(self) -> Rewards:
        """Return the rewards; raise ConfigError where there are none."""
        if self.rewards is None:
            raise ConfigError(
                "ppo needs rewards, which say how good an answer is. Set one or a list of them: "
                "the folder of a reward model that `agentlab finetune reward` trained (--set "
                "rewards=FOLDER), or a rule (--set 'rewards={reward: contains, text: please}', "
                "contains with field: NAME of the row, {reward: length, words: 40}, {reward: "
                "form, pattern: '...'}). In a plan, a stage `reward` before this one gives one."
            )
        return self.rewards

    def steps(self, rows: int) -> int:
        """Return the steps over the rollouts that take each of the prompts `epochs` times."""
        rollouts = max(1, math.ceil(rows * self.epochs / self.answers))
        return self.max_steps or rollouts * self.passes * self.answers // self.batch

    @model_validator(mode="after")
    def _fit_the_rollout(self) -> Self:
        if self.tuner == "full":
            msg = (
                "ppo holds the model to the one that it was, which is the base with its adapter "
                "switched off: tuner=full has none. Use lora"
            )
            raise ValueError(msg)
        if self.lora_dropout:
            msg = (
                "ppo compares the model with itself a moment earlier, and dropout would make the "
                "two differ: leave lora_dropout out"
            )
            raise ValueError(msg)
        if self.answers % self.batch:
            msg = f"batch={self.batch} does not divide rollout={self.answers}"
            raise ValueError(msg)
        if self.answers // self.batch % self.processes:
            whole = self.batch * self.processes
            msg = (
                f"each of processes={self.processes} writes as many batches of a rollout: make "
                f"rollout={self.answers} a multiple of {whole}"
            )
            raise ValueError(msg)
        if self.completion_length >= self.max_length:
            msg = f"completion_length={self.completion_length} leaves no room in max_length"
            raise ValueError(msg)
        if self.kl_target and not self.kl:
            msg = "kl_target adapts kl, which is 0: set kl to where it begins"
            raise ValueError(msg)
        return self

    def resolved(self) -> dict[str, Any]:
        """Return every setting as plain data, derived ones filled in."""
        return super().resolved() | {"rollout": self.answers}


METHODS: dict[str, type[TuneConfig]] = {
    kind.method: kind
    for kind in (
        CptConfig,
        SftConfig,
        DpoConfig,
        KtoConfig,
        OrpoConfig,
        RewardConfig,
        PpoConfig,
        GrpoConfig,
        RagConfig,
    )
}
"""The settings of each method on a language model, in the order in which they are usually run."""


def load_config(
    method: str, recipe: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> TuneConfig:
    """Build a method's settings: the recipe's, then what `overrides` sets (not None).

    A recipe may name the method that it is for, and is then refused to any other.
    """
    if method not in METHODS:
        raise ConfigError(f"No method {method!r}. Use one of: {', '.join(METHODS)}.")
    settings = read_recipe(recipe)
    meant = settings.pop("method", method)
    if meant != method:
        raise ConfigError(f"The recipe {recipe} is for {meant}, not for {method}.")
    return build(METHODS[method], settings, overrides)
