from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import torch
from peft.peft_model import PeftModel
from torch.nn import functional
from trl.trainer.sft_trainer import SFTTrainer

from finetune.base_model import add_adapter, load_base, load_tokenizer
from finetune.encoding import IGNORED, Encoded
from finetune.errors import DivergedError
from finetune.method_config import SftConfig
from finetune.methods.sft import held_out_loss, label_loss, make_label_trainer, rows_of, total_steps


def rows(count: int) -> list[Encoded]:
    generator = torch.Generator().manual_seed(1)
    made = []
    for length in range(20, 20 + count):
        ids = torch.randint(3, 400, (length,), generator=generator).tolist()
        start = length // 2
        labels = [IGNORED] * start + ids[start:-2] + [IGNORED] * 2
        made.append(Encoded(tuple(ids), tuple(labels)))
    return made


def adapted(base: Path, out: Path, **settings: Any) -> tuple[SftConfig, PeftModel]:
    config = SftConfig(data=(out,), model=str(base), out=out, lora_rank=4, bf16=False, **settings)
    torch.manual_seed(3)
    model = add_adapter(load_base(config, base), config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # zero at first, which would hide half of the gradients
            torch.nn.init.normal_(weight, std=0.1)
    return config, model


def gradients(model: PeftModel, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_each_epoch_takes_every_row_once_also_without_padding(
    tiny_base: Path, tmp_path: Path
) -> None:
    config, model = adapted(tiny_base, tmp_path, batch=4, micro_batch=1, epochs=2)
    data = rows(6)
    total = config.steps(len(data))
    trainer = make_label_trainer(
        config, model, load_tokenizer(tiny_base), data, tmp_path, total=total
    )
    batches = [tuple(batch["input_ids"][0].tolist()) for batch in trainer.get_train_dataloader()]
    assert len(batches) == total * config.batch
    assert Counter(batches) == {row.input_ids: config.epochs for row in data}


def test_loss_and_gradients_are_those_of_plain_trl_and_of_full_logits(
    tiny_base: Path, tmp_path: Path
) -> None:
    config, model = adapted(tiny_base, tmp_path, batch=2)
    data = rows(4)
    trainer = make_label_trainer(config, model, load_tokenizer(tiny_base), data, tmp_path, total=2)
    batch = {
        "input_ids": torch.tensor([data[3].input_ids]),
        "attention_mask": torch.ones(1, len(data[3].input_ids), dtype=torch.long),
        "labels": torch.tensor([data[3].labels]),
    }
    ours = trainer.compute_loss(model, dict(batch), num_items_in_batch=17)
    plain = SFTTrainer.compute_loss(trainer, model, dict(batch), num_items_in_batch=17)
    logits = model(batch["input_ids"]).logits[0, :-1]
    full = functional.cross_entropy(
        logits, batch["labels"][0, 1:], ignore_index=IGNORED, reduction="sum"
    )
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours, full / 17, rtol=1e-5, atol=1e-6)
    mine, theirs = gradients(model, ours), gradients(model, plain)
    assert len(mine) == 2 * 2 * 7
    for name, gradient in mine.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-4, atol=1e-6)


def test_rows_of_one_batch_may_be_labelled_at_different_places(
    tiny_base: Path, tmp_path: Path
) -> None:
    _, model = adapted(tiny_base, tmp_path)
    ids = torch.randint(3, 400, (2, 16))
    labels = ids.clone()
    labels[0, :9], labels[1, :4], labels[1, 8:] = IGNORED, IGNORED, IGNORED
    total, count = label_loss(model, {"input_ids": ids, "labels": labels})
    logits = model(ids).logits[:, :-1].flatten(0, 1)
    expected = functional.cross_entropy(
        logits, labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
    )
    assert int(count) == 7 + 4
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-5)


def test_the_held_out_loss_weighs_every_learned_token_alike(
    tiny_base: Path, tmp_path: Path
) -> None:
    _, model = adapted(tiny_base, tmp_path)
    data = rows(3)
    total, count = 0.0, 0
    for row in data:
        logits = model(torch.tensor([row.input_ids])).logits[0, :-1]
        labels = torch.tensor(row.labels[1:])
        total += functional.cross_entropy(
            logits, labels, ignore_index=IGNORED, reduction="sum"
        ).item()
        count += row.learned
    assert held_out_loss(model, data, bf16=False) == pytest.approx(total / count, rel=1e-5)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(
    tiny_base: Path, tmp_path: Path
) -> None:
    config, model = adapted(tiny_base, tmp_path, batch=1, max_steps=4, learning_rate=1e30)
    trainer = make_label_trainer(
        config, model, load_tokenizer(tiny_base), rows(4), tmp_path, total=4
    )
    with pytest.raises(DivergedError, match=r"became \S+ at step [234] on '.* learning_rate"):
        trainer.train()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_steps": 7}, 7),
        ({"epochs": 2.0, "batch": 3}, 7),  # 20 conversations in batches of 3
        ({"max_tokens": 590, "batch": 2}, 10),  # 29.5 tokens each
        ({"epochs": 0.01}, 1),
    ],
)
def test_the_number_of_steps_follows_from_steps_epochs_or_tokens(
    settings: dict[str, Any], expected: int
) -> None:
    config = SftConfig(data=("a",), model="b", out="c", **settings)
    data = rows(10) if "epochs" in settings else rows(20)
    assert total_steps(config, rows_of(data)) == expected


def test_the_presets_choose_the_modules(tiny_base: Path, tmp_path: Path) -> None:
    def names(model: PeftModel) -> set[str]:
        return {
            name.split(".lora_A")[0].split(".")[-1]
            for name, _ in model.named_parameters()
            if "lora_A" in name
        }

    _, attention = adapted(tiny_base, tmp_path, target_modules="attention")
    assert names(attention) == {"q_proj", "k_proj", "v_proj"}
    _, some = adapted(tiny_base, tmp_path, target_modules=("down_proj",))
    assert names(some) == {"down_proj"}
    _, every = adapted(tiny_base, tmp_path)
    assert len(names(every)) == 7
    assert "lm_head" not in names(every)
