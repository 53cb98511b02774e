"""Encoded: a conversation or text as token ids, with labels on what is to be learned."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.calls import with_readable_calls
from finetune.data.rows import Conversation, Text
from finetune.errors import ExampleError, TemplateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True)
class Encoded:
    """Token ids of a whole conversation; a label of -100 is a token that is not learned."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def learned(self) -> int:
        """Return how many tokens are predicted and learned (the first has nothing before it)."""
        return sum(label != IGNORED for label in self.labels[1:])


def template_of(path: Path) -> str:
    """Read a chat template's file; raise TemplateError where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise TemplateError(f"{path} does not exist. Set chat_template to a Jinja file.") from error


def check_marks(template: str, name: str) -> None:
    """Raise TemplateError where a template does not mark what the assistant writes."""
    if not GENERATION.search(template):
        raise TemplateError(
            f"{name} has no {{% generation %}} marks, so it cannot say what the assistant writes. "
            "Put {% generation %} and {% endgeneration %} around the assistant's text and its end "
            "mark, or set chat_template to a file that has them."
        )


def require_template(path: Path | None, tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return the chat template of the file, or the tokenizer's own."""
    template = template_of(path) if path else tokenizer.chat_template
    if not isinstance(template, str):
        raise _without_template(tokenizer.name_or_path)
    return template


def check_own_template(folder: Path, *, marks: bool) -> None:
    """Raise TemplateError where a model's folder has no chat template, or none with `marks`.

    The model is not loaded, and its tokenizer only to see whether TRL knows where the marks go.
    """
    template = _template_in(folder)
    if template is None:
        raise _without_template(str(folder))
    if marks and not GENERATION.search(template):
        try:
            from finetune.base_model import load_tokenizer
        except ImportError:  # without the extra that trains nothing runs; a dry run tells the rest
            return
        read_template(None, load_tokenizer(folder))


def _template_in(folder: Path) -> str | None:
    """Return the chat template of a model's folder, which lies in one of two files."""
    own, settings = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    if not settings.is_file():
        return None
    named = json.loads(settings.read_text(encoding="utf-8")).get("chat_template")
    if isinstance(named, list):  # several, by name
        named = {each["name"]: each["template"] for each in named}.get("default")
    return named if isinstance(named, str) else None


def _without_template(model: str) -> TemplateError:
    return TemplateError(
        f"{model} has no chat template: it was not tuned to chat. Set chat_template to a Jinja "
        "file, or take a model that was."
    )


def read_template(path: Path | None, tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return a chat template that marks what the assistant writes: the file's, or the tokenizer's.

    Of well-known models TRL has the template with marks, which renders the same text. Raises
    TemplateError for one without them.
    """
    template = require_template(path, tokenizer)
    if not path and not GENERATION.search(template):
        template = _marked_by_trl(tokenizer) or template
    check_marks(template, str(path) if path else "the model's own chat template")
    return template


def _marked_by_trl(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    from trl.chat_template_utils import get_training_chat_template

    try:
        return get_training_chat_template(tokenizer)
    except ValueError:  # a template that it does not know
        return None


def encode(
    example: Conversation | Text, tokenizer: "PreTrainedTokenizerBase", template: str
) -> Encoded:
    """Render one conversation and label what stands between the generation marks.

    Of a plain text every token is learned.
    """
    if isinstance(example, Text):
        read = tuple(tokenizer(example.text)["input_ids"])
        return Encoded(read, read)
    rendered: Any = tokenizer.apply_chat_template(
        with_readable_calls(example.messages, tokenizer, template),
        tools=[dict(tool) for tool in example.tools] if example.tools else None,
        chat_template=template,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    ids, mask = rendered["input_ids"], rendered["assistant_masks"]
    labels = [token if learned else IGNORED for token, learned in zip(ids, mask, strict=True)]
    encoded = Encoded(tuple(ids), tuple(labels))
    if not encoded.learned:
        raise TemplateError(
            f"{example.place}: the chat template marks no token of this conversation as the "
            "assistant's. Look at its {% generation %} marks and at the row."
        )
    return encoded


def encode_all(
    examples: Iterable[Conversation | Text],
    tokenizer: "PreTrainedTokenizerBase",
    template: str,
    *,
    max_length: int,
) -> tuple[list[Encoded], tuple[str, ...]]:
    """Encode every conversation; return those that fit, and the places of those that do not.

    A conversation which is too long is left out whole: cut, it would teach to stop half-way.
    """
    kept: list[Encoded] = []
    left_out: list[str] = []
    for example in examples:
        encoded = encode(example, tokenizer, template)
        if len(encoded.input_ids) > max_length:
            left_out.append(example.place)
        else:
            kept.append(encoded)
    if not kept:
        raise ExampleError(
            f"All {len(left_out)} conversations are longer than max_length={max_length} tokens. "
            "Raise max_length or shorten them."
        )
    return kept, tuple(left_out)
