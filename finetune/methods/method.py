"""Method: what one way of tuning a language model adds to the run that all of them share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import torch
from peft.peft_model import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer
from transformers.trainer_callback import PrinterCallback

from finetune.base_model import add_adapter, load_adapter, load_base
from finetune.continuing import Earlier
from finetune.tune_config import TuneConfig

if TYPE_CHECKING:
    from finetune.rollouts import World

Settings = TypeVar("Settings", bound=TuneConfig)
Model = PeftModel | PreTrainedModel


@dataclass(frozen=True)
class Rows:
    """The rows of some files as a method takes them; `left_out` names those that are too long.

    `learned` of their `tokens` are what the loss is taken on.
    """

    items: Sequence[Any]
    tokens: int
    learned: int
    left_out: tuple[str, ...] = ()


class Method(ABC, Generic[Settings]):
    """Reads rows, loads the model, builds the trainer, and measures on what was held out."""

    rows_are: ClassVar[str]
    """What a row is, in the plural."""

    loss_is: ClassVar[str] = "loss per learned token"
    """What the loss curve's axis says."""

    writes: ClassVar[bool] = True
    """Whether the tuned model writes text, whose variety and forgetting can be measured."""

    world: "World | None" = None
    """What the model acts in, for the methods that let it."""

    template: str | None = None
    """The chat template that the rows are rendered by, where they are."""

    files: tuple[Path, ...] = ()
    """Files beside the data that decide what is learned, such as those of a reward model."""

    def __init__(self, config: Settings, tokenizer: PreTrainedTokenizerBase) -> None:
        self.config, self.tokenizer = config, tokenizer

    @abstractmethod
    def read(self, paths: Sequence[Path]) -> Rows:
        """Read and check the rows of the files."""

    def load(self, base: Path, earlier: Earlier | None) -> Model:
        """Load the base and put on it what is trained."""
        model = load_base(self.config, base)
        if self.config.tuner == "full":
            return model
        if earlier:
            return load_adapter(model, self.config, earlier)
        return add_adapter(model, self.config)

    @abstractmethod
    def make_trainer(self, model: Model, rows: Rows, folder: Path) -> Trainer:
        """Build the trainer, whose checkpoints go into `folder`."""

    @abstractmethod
    def measure(self, trainer: Trainer, held_out: Rows) -> Mapping[str, float]:
        """Return the held-out `loss`, and whatever else tells how good the model is."""

    def conclude(self, trainer: Trainer, rows: Rows, folder: Path) -> None:
        """Write into `folder` what the result holds beside the weights; nothing, as a rule."""


def model_of(trainer: Trainer) -> Model:
    """Return the model that the trainer was built on, which its types leave open."""
    return cast("Model", trainer.model)


def ready(trainer: Trainer) -> None:
    """Silence the trainer's own prints, and keep in fp32 what is trained.

    TRL rounds an adapter on 4 bits to bf16, where small steps vanish.
    """
    trainer.remove_callback(PrinterCallback)
    for weight in model_of(trainer).parameters():
        if weight.requires_grad and weight.dtype in (torch.bfloat16, torch.float16):
            weight.data = weight.data.float()
