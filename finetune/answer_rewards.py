"""AnswerReward: a named way to say how good an answer is, as data in a run's settings."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from finetune.errors import ExampleError


class AnswerReward(BaseModel):
    """What every reward has: `weight` times what it says is added to the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = 1.0


class Model(AnswerReward):
    """A reward model: the folder that a run of `reward` left, and of the base that it was tuned on.

    Without `base` that is the model which its settings name, if they name a folder.
    """

    reward: Literal["model"] = "model"
    folder: Path
    base: Path | None = None


class Length(AnswerReward):
    """1 for an answer of `words` words, less by the share that it is off, and never below 0."""

    reward: Literal["length"]
    words: int = Field(ge=1)

    def of(self, answer: str, _row: Mapping[str, Any]) -> float:
        """Score one answer."""
        return max(0.0, 1 - abs(len(answer.split()) - self.words) / self.words)


class Contains(AnswerReward):
    """1 for an answer that holds a text, in whatever case: `text`, or what the row has in `field`.

    A list in the field is satisfied by any of its texts.
    """

    reward: Literal["contains"]
    text: str | None = None
    field: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.text) == bool(self.field):
            msg = "contains needs `text` or `field`, one of them"
            raise ValueError(msg)
        return self

    def of(self, answer: str, row: Mapping[str, Any]) -> float:
        """Score one answer; raise ExampleError for a row without the field."""
        wanted = self.text or row.get(self.field or "")
        given = wanted if isinstance(wanted, list | tuple) else [wanted]
        texts = [text.casefold() for text in given if isinstance(text, str) and text]
        if not texts or len(texts) < len(given):
            raise ExampleError(
                f"The reward `contains` looks for the row's `{self.field}`, which is {wanted!r}, "
                "no text. Give every row one."
            )
        return float(any(text in answer.casefold() for text in texts))


class Form(AnswerReward):
    """1 for an answer that the regular expression `pattern` matches from its start to its end."""

    reward: Literal["form"]
    pattern: str

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        try:
            re.compile(self.pattern)
        except re.error as error:
            msg = f"{self.pattern!r} is no regular expression: {error}"
            raise ValueError(msg) from error
        return self

    def of(self, answer: str, _row: Mapping[str, Any]) -> float:
        """Score one answer."""
        return float(re.fullmatch(self.pattern, answer, re.DOTALL) is not None)


def _folder(value: object) -> object:
    """Take the bare name of a folder for a reward model."""
    return {"reward": "model", "folder": value} if isinstance(value, str | Path) else value


AnyReward = Annotated[
    Annotated[Model | Length | Contains | Form, Field(discriminator="reward")],
    BeforeValidator(_folder),
]


def _several(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


Rewards = Annotated[tuple[AnyReward, ...], BeforeValidator(_several), Field(min_length=1)]
