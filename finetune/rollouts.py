"""Rollout: a conversation that the tuned model has in a world of tools, token by token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from finetune.calls import with_readable_calls
from finetune.data.rows import Message, Prompt
from finetune.methods.method import Model

_SAID = "said-by-the-model"


class Episode(Protocol):
    """One conversation as it goes on."""

    @property
    def messages(self) -> Sequence[Message]:
        """Return how the conversation begins, up to the first word of the model."""

    def take(self, written: str) -> Sequence[Message]:
        """Take what the model wrote and return what its tools answer; nothing ends the episode."""

    def rewards(self) -> Mapping[str, float]:
        """Judge the episode by each of the world's rewards."""


class World(Protocol):
    """What a model acts in while it is tuned, and by what its acts are judged."""

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """Return the tools in OpenAI's shape."""

    @property
    def rewards(self) -> Sequence[str]:
        """Return the names of the rewards."""

    def begin(self, prompt: Prompt) -> Episode:
        """Begin an episode on a row's prompt; the row's `extra` is what rewards may look at."""


@dataclass
class Rollout:
    """The tokens of an episode; `own` is 1 where the model wrote one and 0 where a tool did.

    `said` is the same in messages, what the model wrote as it wrote it.
    """

    episode: Episode
    prompt_ids: list[int]
    completion_ids: list[int] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    said: list[Message] = field(default_factory=list)
    turns: int = 0
    over: bool = False

    def append(self, ids: Sequence[int], *, own: bool) -> None:
        """Add tokens to the completion."""
        self.completion_ids += ids
        self.own += [int(own)] * len(ids)

    @property
    def ids(self) -> list[int]:
        """Return all tokens so far."""
        return self.prompt_ids + self.completion_ids


@dataclass(frozen=True)
class Sampling:
    """How the model writes: `turns` messages of at most `tokens` each, `length` tokens in all.

    A temperature of 0 always takes the likeliest token.
    """

    turns: int
    tokens: int
    length: int
    temperature: float = 1.0


class Roller:
    """Lets a model act in a world, many episodes at a time."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        template: str,
        world: World,
        sampling: Sampling,
    ) -> None:
        self.tokenizer, self.template = tokenizer, template
        self.world, self.sampling = world, sampling

    @torch.no_grad()
    def roll(self, model: Model, prompts: Sequence[Prompt]) -> list[Rollout]:
        """Act on each prompt once, all turn by turn together; the model's state is kept."""
        was_training = model.training
        model.eval()
        try:
            rollouts = [self._begin(prompt) for prompt in prompts]
            for _ in range(self.sampling.turns):
                active = [each for each in rollouts if not each.over]
                if not active:
                    break
                for rollout, written in zip(active, self._write(model, active), strict=True):
                    self._go_on(rollout, written)
        finally:
            model.train(was_training)
        return rollouts

    def _begin(self, prompt: Prompt) -> Rollout:
        episode = self.world.begin(prompt)
        return Rollout(episode, self._encode(self._render(episode.messages, asked=True)))

    def _go_on(self, rollout: Rollout, written: list[int]) -> None:
        """Add a message of the model and what the tools say to it, as the template writes both."""
        rollout.append(written, own=True)
        rollout.turns += 1
        said = str(self.tokenizer.decode(written, skip_special_tokens=True))
        observed = rollout.episode.take(said)
        rollout.said.append({"role": "assistant", "content": said})
        rollout.over = not observed or rollout.turns == self.sampling.turns
        if rollout.over:
            return
        shown = self._between(rollout.episode.messages, observed)
        if written and written[-1] == self.tokenizer.eos_token_id:
            shown = shown.removeprefix(str(self.tokenizer.eos_token))
        ids = self._encode(shown)
        if len(rollout.ids) + len(ids) + self.sampling.tokens > self.sampling.length:
            rollout.over = True
            return
        rollout.append(ids, own=False)
        rollout.said += observed

    def _between(self, begun: Sequence[Message], observed: Sequence[Message]) -> str:
        """Return what the template writes from the end of a message to the model's next word.

        What the model wrote is not rendered again, so that its own tokens stay as they are.
        """
        whole = self._render(
            [*begun, {"role": "assistant", "content": _SAID}, *observed], asked=True
        )
        return whole[whole.rindex(_SAID) + len(_SAID) :]

    def _render(self, messages: Sequence[Message], *, asked: bool) -> str:
        text = self.tokenizer.apply_chat_template(
            with_readable_calls(messages, self.tokenizer, self.template),
            tools=[dict(tool) for tool in self.world.tools] or None,
            chat_template=self.template,
            add_generation_prompt=asked,
            tokenize=False,
        )
        return str(text)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _write(self, model: Model, rollouts: Sequence[Rollout]) -> list[list[int]]:
        """Let the model write one message for each, up to its end mark."""
        ids, seen = self._padded(model, [each.ids for each in rollouts])
        written = model.generate(  # type: ignore[operator]
            input_ids=ids,
            attention_mask=seen,
            past_key_values=self._read(model, rollouts),
            generation_config=self._generation(self.sampling.tokens, self.sampling.temperature),
        )
        end = self.tokenizer.eos_token_id
        return [_until(row, end) for row in written[:, ids.shape[1] :].tolist()]

    def _read(self, model: Model, rollouts: Sequence[Rollout]) -> Any:
        """Read siblings that are still alike once; return the cache of all but each last token.

        None where all differ, and for a model without such a cache.
        """
        alike: dict[tuple[int, ...], int] = {}
        which = [alike.setdefault(tuple(each.ids), len(alike)) for each in rollouts]
        if len(alike) == len(rollouts):
            return None
        ids, seen = self._padded(model, list(alike))
        cache = model.generate(  # type: ignore[operator]
            input_ids=ids[:, :-1],
            attention_mask=seen[:, :-1],
            generation_config=self._generation(1, 0.0, return_dict_in_generate=True),
        ).past_key_values
        if cache is not None:
            cache.reorder_cache(torch.tensor(which, device=ids.device))
        return cache

    def _padded(
        self, model: Model, rows: Sequence[Sequence[int]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return token ids, padded on the left, and a mask of which are none of the padding."""
        longest = max(map(len, rows))
        device, pad = next(model.parameters()).device, self.tokenizer.pad_token_id
        ids = [[pad] * (longest - len(row)) + [*row] for row in rows]
        seen = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        return torch.tensor(ids, device=device), torch.tensor(seen, device=device)

    def _generation(self, tokens: int, heat: float, **more: Any) -> GenerationConfig:
        """Name all of it, since what is left out here comes from the model's own settings."""
        return GenerationConfig(
            do_sample=heat > 0,
            temperature=heat or 1.0,
            top_k=0 if heat else None,
            top_p=1.0,
            min_p=0.0 if heat else None,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            max_new_tokens=tokens,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
            **more,
        )


def _until(ids: list[int], end: int | None) -> list[int]:
    """Return the tokens up to and with the first end mark."""
    return ids[: ids.index(end) + 1] if end in ids else ids
