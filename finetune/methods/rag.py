"""Retriever and generator together: the marginal likelihood of an answer over what is found.

RAG-sequence (Lewis et al. 2020): p(y|x) = sum over the top k passages z of p(z|x) p(y|x,z). The
index and the encoder that made it stay as they are; the encoder of questions learns which passages
help the language model, while that learns to answer from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

from finetune.base_model import load_tokenizer
from finetune.completed import Completed
from finetune.continuing import Earlier
from finetune.data.rows import Instruction
from finetune.data.templates import Template, fill, load_template
from finetune.errors import ExampleError
from finetune.lookup_rows import Lookup, read_lookups
from finetune.method_config import RagConfig
from finetune.methods.common import QuietTrainer, arrange
from finetune.methods.encoder import embed, load_encoder, pools_first, write_encoder
from finetune.methods.marginal import answer_likelihood, marginal_loss
from finetune.methods.method import Model, Rows, model_of, ready
from finetune.methods.preference import Preference
from finetune.precision import in_bf16
from finetune.run_folder import QUERY_ENCODER

HIT_AT = (1, 3, 5)
_KEPT = "query_encoder.safetensors"
_QUESTION_TOKENS, _PASSAGE_TOKENS = 128, 256
_LEAST_COSINE = 0.98


@dataclass(frozen=True)
class Asked:
    """A question as the encoder reads it, and each passage with question and answer as the LM does.

    `vectors` are the index's, of shape (passages, dimension).
    """

    question_ids: tuple[int, ...]
    vectors: torch.Tensor
    told: tuple[Completed, ...]
    right: frozenset[int]


class Rag(Preference[RagConfig]):
    """The answer's likelihood, each of the best passages weighed by how likely it is found."""

    rows_are = "lookups"
    loss_is = "loss per answer"

    def __init__(self, config: RagConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(config, tokenizer)
        self.prompt: Template = load_template(config.prompt)
        self.encoder_folder = Path(config.encoder)
        self.encoder_tokenizer = load_tokenizer(self.encoder_folder)
        self.first = pools_first(self.encoder_folder)

    def read(self, paths: Sequence[Path]) -> Rows:
        """Read lookups; passages that are too long are left out, and rows with too few."""
        lookups = read_lookups(paths)
        self._check_vectors(lookups[0])
        kept, left_out = [], []
        for lookup in lookups:
            asked = self._encode(lookup)
            if len(asked.told) < 2:
                left_out.append(lookup.place)
            else:
                kept.append(asked)
        if not kept:
            raise ExampleError(
                f"No lookup has two passages within max_length={self.config.max_length} tokens. "
                "Raise max_length, or mine rows with more passages."
            )
        best = [told for asked in kept for told in asked.told[: self.config.passages]]
        return Rows(
            items=kept,
            tokens=sum(map(len, best)),
            learned=sum(len(told.completion_ids) for told in best),
            left_out=tuple(left_out),
        )

    def load(self, base: Path, earlier: Earlier | None) -> Model:
        """Load the base with its adapter, and hang the encoder on it, which is so trained along.

        The index was made without dropout, so the encoder does without it, too.
        """
        model = super().load(base, earlier)
        encoder = load_encoder(self.encoder_folder, max_length=_QUESTION_TOKENS)
        encoder.requires_grad_(self.config.encoder_learning_rate > 0)
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        encoder.to(next(model.parameters()).device)  # type: ignore[arg-type]
        model.query_encoder = encoder
        return model

    def make_trainer(self, model: Model, rows: Rows, folder: Path) -> Trainer:
        """Build the trainer, whose rows stand in an order that a resumed run goes on in."""
        config = self.config
        total = config.steps(len(rows.items))
        lengths = [max(map(len, asked.told)) for asked in rows.items]
        order = arrange(lengths, batch=config.batch, total=total, seed=config.seed)
        settings = self.arguments(folder, total=total)
        del settings["max_length"]
        trainer = RagTrainer(
            self,
            model=model,
            args=TrainingArguments(**settings, remove_unused_columns=False),
            train_dataset=[rows.items[at] for at in order],
            data_collator=lambda items: {"rows": list(items)},
            processing_class=self.tokenizer,
        )
        ready(trainer)
        return trainer

    @torch.no_grad()
    def measure(self, trainer: Trainer, held_out: Rows) -> Mapping[str, float]:
        """Return the loss, and how often the first of the candidates say the answer."""
        model = model_of(trainer)
        was_training = model.training
        model.eval()
        device, total = next(model.parameters()).device, 0.0
        hits = dict.fromkeys(HIT_AT, 0)
        known = 0
        for start in range(0, len(held_out.items), self.config.micro_batch):
            some = held_out.items[start : start + self.config.micro_batch]
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=in_bf16(self.config)):
                total += self.loss(model, some).item() * len(some)
            for asked, scores in zip(some, self.scores(model, some), strict=True):
                order = scores.argsort(descending=True).tolist()
                known += bool(asked.right)
                for depth in HIT_AT:
                    hits[depth] += not asked.right.isdisjoint(order[:depth])
        model.train(was_training)
        seen = {"loss": total / len(held_out.items)}
        if known:
            seen |= {f"hit_{depth}": found / known for depth, found in hits.items()}
        return seen

    def conclude(self, trainer: Trainer, rows: Rows, folder: Path) -> None:  # noqa: ARG002
        """Write the encoder of questions as an embedder's folder."""
        if self.config.encoder_learning_rate:
            encoder = cast("PreTrainedModel", model_of(trainer).query_encoder)
            write_encoder(encoder, self.encoder_folder, folder / QUERY_ENCODER)

    def loss(self, model: torch.nn.Module, rows: Sequence[Asked]) -> torch.Tensor:
        """Return the mean of the rows' negative log marginal likelihoods."""
        losses = []
        chosen: list[Completed] = []
        found: list[torch.Tensor] = []
        for asked, scores in zip(rows, self.scores(model, rows), strict=True):
            best = scores.topk(min(self.config.passages, len(scores)))
            found.append((best.values / self.config.temperature).log_softmax(dim=0))
            chosen += [asked.told[place] for place in best.indices.tolist()]
        answered = answer_likelihood(model, chosen, pad=int(self.tokenizer.pad_token_id or 0))
        for likely, answers in zip(
            found, answered.split([len(each) for each in found]), strict=True
        ):
            losses.append(marginal_loss(likely, answers))
        return torch.stack(losses).mean()

    def scores(self, model: torch.nn.Module, rows: Sequence[Asked]) -> list[torch.Tensor]:
        """Return for each row the cosines of its passages with its question."""
        encoder = cast("torch.nn.Module", model.query_encoder)
        device = next(encoder.parameters()).device
        ids = [torch.tensor(asked.question_ids) for asked in rows]
        mask = pad_sequence([torch.ones_like(each) for each in ids], batch_first=True).to(device)
        padded = pad_sequence(ids, batch_first=True).to(device)
        questions = embed(encoder, padded, mask, first=self.first)
        return [
            asked.vectors.to(device) @ question
            for asked, question in zip(rows, questions, strict=True)
        ]

    def _encode(self, lookup: Lookup) -> Asked:
        told: list[Completed] = []
        places: list[int] = []
        for place, passage in enumerate(lookup.passages[: self.config.candidates]):
            row = Instruction(lookup.question, passage, lookup.answer)
            *prompt, answer = fill(self.prompt, row).messages
            completed = self.complete(tuple(prompt), (answer,), None)
            if len(completed) <= self.config.max_length:
                told.append(completed)
                places.append(place)
        return Asked(
            self._question_ids(lookup.question),
            torch.from_numpy(lookup.vectors[places].copy()),
            tuple(told),
            frozenset(at for at, place in enumerate(places) if place in lookup.right),
        )

    def _question_ids(self, text: str) -> tuple[int, ...]:
        encoded = self.encoder_tokenizer(
            text, truncation=True, max_length=_QUESTION_TOKENS, verbose=False
        )
        return tuple(encoded["input_ids"])

    @torch.no_grad()
    def _check_vectors(self, lookup: Lookup) -> None:
        """Refuse vectors that another encoder made: questions would be led nowhere by them."""
        encoder = load_encoder(self.encoder_folder, max_length=_QUESTION_TOKENS).eval()
        longest = min(_PASSAGE_TOKENS, encoder.config.max_position_embeddings)
        encoded = self.encoder_tokenizer(
            lookup.passages[0], truncation=True, max_length=longest, return_tensors="pt"
        )
        own = embed(encoder, encoded["input_ids"], encoded["attention_mask"], first=self.first)[0]
        given = torch.from_numpy(lookup.vectors[0].copy())
        like = float(own @ given) if len(own) == len(given) else 0.0
        if like < _LEAST_COSINE:
            raise ExampleError(
                f"{lookup.place}: these vectors are not those of {self.encoder_folder} (cosine "
                f"{like:.2f}). Set encoder to the embedder that the library was read with."
            )


class RagTrainer(QuietTrainer):
    """A trainer of both: the encoder learns at its own rate, and is kept in each checkpoint."""

    def __init__(self, method: Rag, **given: Any) -> None:
        super().__init__(**given)
        self.method = method

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: ARG002
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002
    ) -> Any:
        """Return the batch's loss, and count the tokens that the language model reads."""
        rows: list[Asked] = inputs["rows"]
        best = self.method.config.passages
        self.state.num_input_tokens_seen += sum(
            len(told) for asked in rows for told in asked.told[:best]
        )
        return self.method.loss(model, rows)

    def create_optimizer(
        self,
        model: torch.nn.Module | None = None,  # noqa: ARG002
    ) -> torch.optim.Optimizer:
        """Give the encoder's weights a rate of their own."""
        if self.optimizer is None:
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args)
            own = [w for w in model_of(self).query_encoder.parameters() if w.requires_grad]  # type: ignore[union-attr]
            taken = {id(weight) for weight in own}
            rest = [
                weight
                for weight in model_of(self).parameters()
                if weight.requires_grad and id(weight) not in taken
            ]
            groups: list[dict[str, Any]] = [{"params": rest}]
            if own:
                groups.append({"params": own, "lr": self.method.config.encoder_learning_rate})
            self.optimizer = kind(groups, weight_decay=self.args.weight_decay, **settings)
        return self.optimizer

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        super()._save(output_dir, state_dict)
        if output_dir and self.method.config.encoder_learning_rate:
            encoder = cast("torch.nn.Module", model_of(self).query_encoder)
            state = {name: value.contiguous() for name, value in encoder.state_dict().items()}
            save_file(state, Path(output_dir) / _KEPT)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: torch.nn.Module | None = None
    ) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        kept = Path(resume_from_checkpoint) / _KEPT
        if kept.exists():
            encoder = cast("torch.nn.Module", model_of(self).query_encoder)
            encoder.load_state_dict(load_file(kept))
