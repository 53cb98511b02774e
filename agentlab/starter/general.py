"""General text: what the starter model forgot of plain prose when it learned to work the tools."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentlab.model import STARTER, STARTER_BASE, model_folder
from agentlab.settings import Settings
from agentlab.starter.questions import held_out_articles
from finetune.forgetting import text_loss
from serve.models import resolve

TEXTS, TOKENS = 40, 256


@dataclass(frozen=True)
class Forgotten:
    """The loss on general text, in nats a token, of the base model and of the tuned one."""

    base: float
    tuned: float

    @property
    def share(self) -> float:
        """Give how much higher the tuned model's loss is; below 0 it is lower."""
        return self.tuned / self.base - 1

    def __str__(self) -> str:
        return (
            f"loss on general text: base {self.base:.3f}, starter {self.tuned:.3f} "
            f"({self.share:+.1%}; aim <= +2 %)"
        )


def forgotten(
    settings: Settings, questions: Path, *, progress: Callable[[str], None] | None = None
) -> Forgotten:
    """Measure the loss on passages of the held-out articles, without a chat template."""
    passages = [text for article in held_out_articles(questions) for text in article.passages]
    texts = passages[:: max(1, len(passages) // TEXTS)][:TEXTS]
    base = resolve(
        STARTER_BASE, cache=settings.models_folder, progress=progress, sources=("wheel", "hub")
    )
    tuned = model_folder(STARTER, settings, progress=progress)
    return Forgotten(*(text_loss(each, texts, max_tokens=TOKENS) for each in (base, tuned)))
