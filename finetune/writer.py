"""Writer: a base with an adapter that writes answers and says how likely others are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from peft.peft_model import PeftModel
from torch.nn import functional
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from finetune.base_model import no_bars
from finetune.completed import Completed
from finetune.data.rows import Message, Prompt, Said, as_messages
from finetune.errors import ModelError
from finetune.precision import dtype_of
from finetune.rlmf_config import RlmfConfig
from finetune.rollouts import Roller, Sampling

BATCH = 8


class Writer:
    """Loaded for as long as its context lasts; its samples are the same each time."""

    def __init__(
        self,
        base: Path,
        adapter: Path | None,
        config: RlmfConfig,
        tokenizer: PreTrainedTokenizerBase,
        template: str,
    ) -> None:
        self.base, self.adapter, self.config = base, adapter, config
        self.tokenizer, self.template = tokenizer, template
        self.model: Any = None

    def __enter__(self) -> Self:
        with no_bars():
            model: Any = AutoModelForCausalLM.from_pretrained(
                self.base, dtype=dtype_of(self.config), local_files_only=True
            )
            if self.adapter:
                try:
                    model = PeftModel.from_pretrained(model, str(self.adapter))
                except (OSError, ValueError, RuntimeError) as error:
                    raise ModelError(
                        f"{self.adapter} does not fit {self.base}: {error}. "
                        "Give the model that it was trained on."
                    ) from error
        if torch.cuda.is_available():
            model.to("cuda")
        self.model = model.eval()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.model = None

    def answer(self, prompts: Sequence[Said], *, samples: int) -> list[list[str]]:
        """Return `samples` answers to each prompt."""
        config = self.config
        sampling = Sampling(1, config.answer_tokens, length=1 << 30, temperature=config.temperature)
        roller = Roller(self.tokenizer, self.template, _Talk(), sampling)
        asked = [Prompt(prompt) for prompt in prompts for _ in range(samples)]
        written: list[str] = []
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            for start in range(0, len(asked), BATCH):
                rolled = roller.roll(self.model, asked[start : start + BATCH])
                written += [
                    str(self.tokenizer.decode(each.completion_ids, skip_special_tokens=True))
                    for each in rolled
                ]
        return [written[at : at + samples] for at in range(0, len(written), samples)]

    @torch.no_grad()
    def likelihood(self, completed: Completed) -> float:
        """Return the mean log-probability of the completion's tokens, in nats."""
        ids = torch.tensor([completed.ids], device=self.model.device)
        count = len(completed.completion_ids)
        logits = self.model(input_ids=ids, use_cache=False).logits[0, -count - 1 : -1].float()
        return -functional.cross_entropy(logits, ids[0, -count:]).item()


class _Talk:
    """A world without tools, where the first answer is the last."""

    tools: Sequence[Mapping[str, Any]] = ()
    rewards: Sequence[str] = ()

    def begin(self, prompt: Prompt) -> "_Turn":
        return _Turn(as_messages(prompt.prompt, "user"))


class _Turn:
    """One answer."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages

    def take(self, written: str) -> Sequence[Message]:  # noqa: ARG002 - nothing answers
        return ()

    def rewards(self) -> Mapping[str, float]:
        return {}
