"""Tokens: how long a row is to a model."""

from pathlib import Path
from typing import Any

from finetune.calls import with_readable_calls
from finetune.data.content import content_of
from finetune.data.rows import Conversation, Label, Pair, Ranking, Said, as_messages, as_text


class TokenCounter:
    """Counts the tokens of rows by a model's tokenizer, with its chat template if it has one."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder)

    def __call__(self, row: Any) -> int:
        """Count a row's tokens; of answers that stand for choice the longest counts."""
        match row:
            case Conversation():
                return self._talk(row.messages, row.tools)
            case Pair():
                return self._longest(row.prompt, row.chosen, row.rejected)
            case Label():
                return self._longest(row.prompt, row.completion)
            case Ranking():
                return self._longest(row.prompt, *row.completions)
            case _:
                return self._words(content_of(row).whole)

    def _longest(self, prompt: Said, *answers: Said) -> int:
        before = as_messages(prompt, "user")
        return max(self._talk((*before, *as_messages(each, "assistant"))) for each in answers)

    def _talk(self, messages: Any, tools: Any = None) -> int:
        if not self._tokenizer.chat_template:
            return self._words(as_text(tuple(messages)))
        encoded: Any = self._tokenizer.apply_chat_template(
            with_readable_calls(messages, self._tokenizer),
            tools=[dict(each) for each in tools] if tools else None,
            tokenize=True,
            return_dict=True,
        )
        return len(encoded["input_ids"])

    def _words(self, text: str) -> int:
        return len(self._tokenizer(text, verbose=False)["input_ids"])
