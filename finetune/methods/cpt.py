"""Continued pre-training: every token of plain text, packed into blocks that fill the window."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import Trainer

from finetune.data.reading import read_texts
from finetune.encoding import Encoded
from finetune.errors import ExampleError
from finetune.method_config import CptConfig
from finetune.methods.method import Method, Model, Rows, model_of
from finetune.methods.sft import held_out_loss, make_label_trainer, rows_of
from finetune.precision import in_bf16

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Cpt(Method[CptConfig]):
    """Loss on every token of texts, which stand one after the other in full blocks."""

    rows_are = "blocks"

    def read(self, paths: Sequence[Path]) -> Rows:
        """Read texts and pack them into blocks of `max_length` tokens."""
        texts = (text.text for text in read_texts(paths))
        blocks = list(pack(texts, self.tokenizer, length=self.config.max_length))
        if not blocks:
            names = ", ".join(str(path) for path in paths)
            raise ExampleError(f"{names} hold no two tokens of text. Give files with text.")
        return rows_of(blocks)

    def make_trainer(self, model: Model, rows: Rows, folder: Path) -> Trainer:
        """Build the trainer."""
        total = self.config.steps(len(rows.items))
        return make_label_trainer(
            self.config, model, self.tokenizer, rows.items, folder, total=total
        )

    def measure(self, trainer: Trainer, held_out: Rows) -> Mapping[str, float]:
        """Return the mean loss over the held-out tokens."""
        return {"loss": held_out_loss(model_of(trainer), held_out.items, bf16=in_bf16(self.config))}


def pack(
    texts: Iterable[str], tokenizer: "PreTrainedTokenizerBase", *, length: int
) -> Iterator[Encoded]:
    """Join the texts by the end-of-text token and cut the stream into blocks of `length` tokens.

    Nothing is dropped: the last block is as long as what is left, if that is two tokens.
    """
    stream: list[int] = []
    for text in texts:
        stream += tokenizer(text, add_special_tokens=False)["input_ids"]
        stream.append(tokenizer.eos_token_id)
        whole = len(stream) - len(stream) % length
        for start in range(0, whole, length):
            block = tuple(stream[start : start + length])
            yield Encoded(block, block)
        del stream[:whole]
    if len(stream) > 1:
        yield Encoded(tuple(stream), tuple(stream))
