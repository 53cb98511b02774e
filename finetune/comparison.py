"""Comparison: what LoRA and rsLoRA make of the same rows, steps and parameters as another adapter.

A neural adapter of rank r has exactly the parameters of a LoRA of rank r, and so has an rsLoRA;
a DoRA has one more for each output of its layers.
"""

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from transformers import set_seed

from finetune.base_model import no_bars
from finetune.errors import DivergedError
from finetune.events import Comparing, Event, Progress
from finetune.methods.method import Method, Rows, model_of
from finetune.run_folder import RunFolder
from finetune.running import summary
from finetune.telling import Teller
from finetune.tune_config import TuneConfig

PLAIN = ("lora", "rslora")
SHOWN = ("parameters", "last_loss", "held_out_loss", "held_out_reward", "tokens_per_second")

Numbers = dict[str, Any]


def rivals(config: TuneConfig) -> Iterator[TuneConfig]:
    """Yield the settings of the runs to compare with: the run's own but for the kind of adapter."""
    for tuner in PLAIN:
        if tuner != config.tuner:
            changed = {"tuner": tuner, "compare": False, "effects": False}
            yield config.model_copy(update={**changed, "out": config.out / "compared" / tuner})


def shown(metrics: Mapping[str, Any]) -> Numbers:
    """Return of a run's metrics those that are put side by side."""
    return {name: metrics[name] for name in SHOWN if name in metrics}


def train_beside(
    method: Method[Any],
    base: Path,
    rows: Rows,
    held_out: Rows | None,
    *,
    tell: Callable[[Event], None],
    stop: threading.Event,
) -> Numbers | None:
    """Train as the main run did, keep its lines and no weights; None where `stop` ended it.

    An adapter that diverges where the run's own did not says so instead of its numbers.
    """
    config: TuneConfig = method.config
    folder = RunFolder(config.out)
    folder.path.mkdir(parents=True, exist_ok=True)
    set_seed(config.seed)
    trainer = method.make_trainer(method.load(base, None), rows, folder.checkpoints)
    trainer.args.save_strategy = "no"

    def pass_on(event: Event) -> None:
        if isinstance(event, Progress):
            tell(Comparing(config.tuner, event))

    trainer.add_callback(
        Teller(folder, tell=pass_on, stop=stop, evaluate=lambda _: None, eval_every=None)
    )
    try:
        with no_bars():
            trainer.train()
    except DivergedError as error:
        return {"diverged": str(error).split(".", 1)[0]}
    finally:
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    if trainer.state.global_step < trainer.args.max_steps:
        return None
    numbers = summary(folder.lines())
    numbers["parameters"] = sum(
        weight.numel() for weight in model_of(trainer).parameters() if weight.requires_grad
    )
    if held_out:
        measured = method.measure(trainer, held_out)
        numbers |= {f"held_out_{name}": value for name, value in measured.items()}
    return shown(numbers)
