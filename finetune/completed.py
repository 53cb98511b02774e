"""Completed: a prompt and a completion as token ids, rendered by one chat template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finetune.calls import with_readable_calls
from finetune.data.rows import Said, as_messages
from finetune.encoding import GENERATION

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Tools = Sequence[Mapping[str, Any]] | None


@dataclass(frozen=True)
class Completed:
    """A prompt and a completion as token ids, which make the whole when joined."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Return the whole."""
        return self.prompt_ids + self.completion_ids

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


def complete(
    prompt: Said,
    completion: Said,
    tools: Tools,
    *,
    tokenizer: "PreTrainedTokenizerBase",
    template: str,
) -> Completed:
    """Encode a prompt with a completion; a plain text is one message of the person or model.

    What the template writes after the model's end mark belongs to neither, where it says so.
    """
    asked = as_messages(prompt, "user")
    said = as_messages(completion, "assistant")
    before = encode_prompt(prompt, tools, tokenizer=tokenizer, template=template)
    marked = bool(GENERATION.search(template))
    rendered = _render((*asked, *said), tools, tokenizer, template, marked=marked)
    whole = rendered["input_ids"]
    if marked and 1 in (mask := rendered["assistant_masks"]):
        whole = whole[: len(mask) - mask[::-1].index(1)]
    shared = 0
    while shared < min(len(before), len(whole)) and before[shared] == whole[shared]:
        shared += 1
    return Completed(tuple(whole[:shared]), tuple(whole[shared:]))


def of_one_prompt(chosen: Completed, rejected: Completed) -> tuple[Completed, Completed]:
    """Let the completions of one prompt begin at the same token.

    One that joins with the end of the prompt, as with a line break, begins a token earlier.
    """
    shared = min(len(chosen.prompt_ids), len(rejected.prompt_ids))
    first, second = (Completed(ids[:shared], ids[shared:]) for ids in (chosen.ids, rejected.ids))
    return first, second


def encode_prompt(
    prompt: Said, tools: Tools, *, tokenizer: "PreTrainedTokenizerBase", template: str
) -> tuple[int, ...]:
    """Encode a prompt up to where the assistant begins to write."""
    asked = as_messages(prompt, "user")
    return tuple(_render(asked, tools, tokenizer, template, asked=True)["input_ids"])


def _render(
    messages: Sequence[Mapping[str, Any]],
    tools: Tools,
    tokenizer: "PreTrainedTokenizerBase",
    template: str,
    *,
    asked: bool = False,
    marked: bool = False,
) -> Any:
    return tokenizer.apply_chat_template(
        with_readable_calls(messages, tokenizer, template),
        tools=[dict(tool) for tool in tools] if tools else None,
        chat_template=template,
        add_generation_prompt=asked,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=marked,
    )
