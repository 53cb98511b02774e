import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("accelerate")

import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import BertConfig, BertForQuestionAnswering

from finetune.base_model import load_tokenizer
from finetune.config import ReaderConfig, load_reader_config
from finetune.errors import DivergedError, ModelError, StoppedError
from finetune.events import Evaluated, Finished, Progress, ReaderStarted, Saved
from finetune.methods.common import arrange
from finetune.methods.reader import (
    collate,
    load_reader,
    make_reader_trainer,
    span_loss,
)
from finetune.reader_export import write_reader
from finetune.reader_rows import EncodedRow
from finetune.reader_training import train_reader
from finetune.run_folder import sha256

ROOT = Path(__file__).parents[2]
THINGS = ("paper", "iron", "glass", "cloth")
PLACES = ("north", "south", "east", "west")


def row(rng: random.Random) -> dict[str, Any]:
    """Ask where a thing is made; a third of the passages tell of other things alone."""
    told = rng.sample(THINGS, 3)
    places = rng.sample(PLACES, 3)
    asked = rng.randrange(4)
    parts = [f"{thing} from {place}" for thing, place in zip(told, places, strict=True)]
    passage = " . ".join(parts)
    thing = told[asked] if asked < 3 else next(each for each in THINGS if each not in told)
    answer = None
    if asked < 3:
        start = passage.index(f"{thing} from ") + len(f"{thing} from ")
        answer = [start, start + len(places[asked])]
    return {"question": f"where {thing} ?", "title": "mill", "passage": passage, "answer": answer}


@pytest.fixture
def settings(tiny_bert: Path, tmp_path: Path) -> Callable[..., ReaderConfig]:
    def write(name: str, count: int, seed: int) -> Path:
        rng = random.Random(seed)
        path = tmp_path / name
        path.write_text("".join(json.dumps(row(rng)) + "\n" for _ in range(count)))
        return path

    def make(**changed: Any) -> ReaderConfig:
        return load_reader_config(
            "reader",
            {
                "data": write("rows.jsonl", 64, 1),
                "eval_data": write("held_out.jsonl", 16, 2),
                "model": str(tiny_bert),
                "out": tmp_path / "reader",
                "learning_rate": 5e-3,
                "dropout": 0.1,
                "batch": 8,
                "max_steps": 12,
                "max_length": 48,
                "save_every": 4,
            }
            | changed,
        )

    return make


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_a_reader_learns_and_leaves_a_file_that_its_base_completes(
    settings: Callable[..., ReaderConfig], tiny_bert: Path
) -> None:
    config = settings(max_steps=150, save_every=100, eval_every=75, dropout=0.0)
    events = list(train_reader(config))
    started, finished = events[0], events[-1]
    assert isinstance(started, ReaderStarted)
    assert isinstance(finished, Finished)
    assert (started.rows, started.steps, started.first_step) == (64, 150, 0)
    assert 0 < started.answered < started.rows
    assert 0 < started.trainable < started.parameters
    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in progress] == list(range(1, 151))
    assert sum(event.loss for event in progress[-10:]) / 10 < 0.7 * progress[0].loss
    evaluated = [event for event in events if isinstance(event, Evaluated)]
    assert [event.step for event in evaluated] == [75, 150]

    files = {path.name for path in config.out.iterdir()}
    assert files == {
        "loss.png",
        "metrics.json",
        "metrics.jsonl",
        "reader.safetensors",
        "reader_config.json",
        "resolved.yaml",
    }
    metrics = json.loads((config.out / "metrics.json").read_text())
    assert metrics == finished.metrics
    assert set(metrics["lineage"]) == {str(config.data[0]), str(config.eval_data[0])}
    assert json.loads((config.out / "reader_config.json").read_text()) == {
        "base": str(tiny_bert),
        "max_length": 48,
        "rows": 64,
        "tokens": metrics["tokens"],
        "steps": 150,
    }
    model = BertForQuestionAnswering.from_pretrained(tiny_bert)
    model.load_state_dict(load_file(config.out / "reader.safetensors"), strict=False)
    assert held_out(model.eval(), config) == pytest.approx(metrics["held_out_loss"], rel=0.03)


def held_out(model: BertForQuestionAnswering, config: ReaderConfig) -> float:
    from finetune.methods.reader import held_out_loss
    from finetune.reader_rows import encode_rows, read_reader_rows

    rows, _ = encode_rows(
        read_reader_rows(config.eval_data),
        load_tokenizer(Path(config.model)),
        max_length=config.max_length,
        crop_words=config.crop_words,
        seed=config.seed,
    )
    return held_out_loss(model, rows, config=config)


def test_a_run_that_is_left_goes_on_with_the_same_losses_across_epochs(
    settings: Callable[..., ReaderConfig], tmp_path: Path
) -> None:
    config = settings(max_steps=14, save_every=100)  # eight steps are one pass over the rows
    events = train_reader(config)
    next(event for event in events if isinstance(event, Progress) and event.step == 9)
    events.close()
    started = None
    for event in train_reader(config, resume=True):
        started = started or event
    assert isinstance(started, ReaderStarted)
    assert 9 <= started.first_step < 14
    whole = settings(max_steps=14, save_every=100, out=tmp_path / "whole")
    list(train_reader(whole))
    assert len(losses(config.out)) == 14
    assert losses(config.out) == pytest.approx(losses(whole.out), abs=1e-6)
    resumed = load_file(config.out / "reader.safetensors")
    for name, weight in load_file(whole.out / "reader.safetensors").items():
        torch.testing.assert_close(resumed[name], weight)


RUN = """
import json, sys
from pathlib import Path
from finetune.config import load_reader_config
from finetune.reader_training import train_reader
for event in train_reader(load_reader_config(None, json.loads(Path(sys.argv[1]).read_text()))):
    print(type(event).__name__, getattr(event, "step", ""), flush=True)
"""


@pytest.mark.slow
def test_a_run_killed_at_once_goes_on_with_the_losses_of_one_that_was_not(
    settings: Callable[..., ReaderConfig], tmp_path: Path
) -> None:
    config = settings(max_steps=60, save_every=2)
    recipe = tmp_path / "settings.json"
    recipe.write_text(json.dumps(config.resolved()), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(recipe)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any(line.strip() == "Saved 4" for line in process.stdout)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (config.out / "reader.safetensors").exists()
    list(train_reader(config, resume=True))
    whole = settings(max_steps=60, save_every=100, out=tmp_path / "whole")
    list(train_reader(whole))
    assert losses(config.out) == pytest.approx(losses(whole.out), abs=1e-6)


def test_ctrl_c_saves_and_says_how_to_go_on(settings: Callable[..., ReaderConfig]) -> None:
    told = []

    def read_and_press() -> None:
        for event in train_reader(settings(max_steps=5000, save_every=1000)):
            told.append(event)
            if isinstance(event, Progress) and event.step == 2:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError, match=r"Stopped after step \d+; .* with resume"):
        read_and_press()
    assert isinstance(told[-1], Saved)
    assert (told[-1].folder / "whole.json").exists()


def test_the_embeddings_and_the_position_of_every_question_stay_as_they_are(
    settings: Callable[..., ReaderConfig], tiny_bert: Path
) -> None:
    config = settings()
    model = load_reader(config, tiny_bert)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained
    assert all(name.startswith(("bert.encoder.", "qa_outputs.")) for name in trained)
    assert model.bert.encoder.layer[0].attention.self.dropout.p == 0.1


def test_the_loss_sees_the_passage_and_the_first_token_alone(
    settings: Callable[..., ReaderConfig], tiny_bert: Path
) -> None:
    model = load_reader(settings(), tiny_bert).eval()
    one = EncodedRow((2, 5, 6, 3, 7, 8, 9, 3), (0, 0, 0, 0, 1, 1, 1, 1), 5, 6)
    none = EncodedRow((2, 5, 3, 7, 3), (0, 0, 0, 1, 1), 0, 0)
    expected = []
    for row, allowed in ((one, [0, 4, 5, 6, 7]), (none, [0, 3, 4])):
        outputs = model(
            torch.tensor([row.input_ids]), token_type_ids=torch.tensor([row.token_type_ids])
        )
        for logits, gold in ((outputs.start_logits, row.start), (outputs.end_logits, row.end)):
            place = torch.tensor(allowed.index(gold))
            expected.append(functional.cross_entropy(logits[0, allowed], place))
    loss = span_loss(model, collate([one, none]))
    torch.testing.assert_close(loss, torch.stack(expected).mean(), rtol=1e-4, atol=1e-5)


def test_the_trainer_computes_in_bf16_and_keeps_its_weights_in_fp32(
    settings: Callable[..., ReaderConfig], tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.precision.has_bf16", lambda: True)
    seen = set()
    config = settings(max_steps=1)
    model = load_reader(config, tiny_bert)
    dense = model.bert.encoder.layer[0].intermediate.dense
    dense.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    rows = [EncodedRow((2, 5, 3, 7, 3), (0, 0, 0, 1, 1), 0, 0)] * 8
    make_reader_trainer(config, model, load_tokenizer(tiny_bert), rows, config.out).train()
    assert seen == {torch.bfloat16}
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_batches_hold_rows_of_like_length_and_each_pass_holds_each_row_once() -> None:
    rng = random.Random(3)
    lengths = [rng.randint(10, 300) for _ in range(400)]
    order = arrange(lengths, batch=8, total=100, seed=1)
    assert sorted(order) == sorted([*range(400)] * 2)
    spread = [
        max(lengths[i] for i in batch) - min(lengths[i] for i in batch)
        for batch in (order[at : at + 8] for at in range(0, 800, 8))
    ]
    assert sum(spread) / len(spread) < 30
    assert order == arrange(lengths, batch=8, total=100, seed=1)
    assert order != arrange(lengths, batch=8, total=100, seed=2)


def test_the_number_of_steps_follows_from_the_epochs(
    settings: Callable[..., ReaderConfig],
) -> None:
    assert settings(max_steps=None, epochs=1.3, batch=24).steps(28513) == 1545
    assert settings(max_steps=7).steps(100) == 7


def test_a_loss_that_is_no_number_stops_the_run(settings: Callable[..., ReaderConfig]) -> None:
    with pytest.raises(DivergedError, match=r"at step \d+ on '.* learning_rate"):
        list(train_reader(settings(learning_rate=1e30)))


def test_a_base_that_cannot_be_a_reader_is_named(
    settings: Callable[..., ReaderConfig], tiny_base: Path, tiny_bert: Path
) -> None:
    with pytest.raises(ModelError, match="is a llama model; a reader is made from BERT"):
        load_reader(settings(), tiny_base)
    with pytest.raises(ModelError, match=r"max_length=500, but .* at most 128"):
        load_reader(settings(max_length=500), tiny_bert)


@pytest.fixture
def earlier(tiny_bert: Path, tmp_path: Path) -> Path:
    """The folder of a reader on the tiny BERT, whose weights are its own."""
    torch.manual_seed(9)
    model = BertForQuestionAnswering(BertConfig.from_pretrained(tiny_bert))
    out = tmp_path / "earlier"
    write_reader(model.state_dict(), out, base=str(tiny_bert), max_length=48)
    return out


def test_a_run_that_goes_on_from_a_reader_begins_with_its_weights(
    settings: Callable[..., ReaderConfig], tiny_bert: Path, earlier: Path
) -> None:
    fresh = load_reader(settings(), tiny_bert).state_dict()
    begun = load_reader(settings(reader=earlier), tiny_bert).state_dict()
    weights = load_file(earlier / "reader.safetensors")
    for name, value in begun.items():
        torch.testing.assert_close(value, weights[name].float() if name in weights else fresh[name])
    name = "bert.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(begun[name], fresh[name])


def test_what_is_written_may_be_a_blend_with_the_earlier_reader(
    settings: Callable[..., ReaderConfig], earlier: Path
) -> None:
    def trained(name: str, share: float) -> dict[str, torch.Tensor]:
        config = settings(reader=earlier, max_steps=2, blend=share)
        config = config.model_copy(update={"out": config.out / name})
        list(train_reader(config))
        return load_file(config.out / "reader.safetensors")

    whole, blended = trained("whole", 1.0), trained("blended", 0.25)
    before = load_file(earlier / "reader.safetensors")
    for name, value in blended.items():
        expected = 0.25 * whole[name].float() + 0.75 * before[name].float()
        torch.testing.assert_close(value.float(), expected, rtol=1e-3, atol=1e-3)
    assert any(not torch.equal(whole[name], before[name]) for name in whole)


def test_a_blend_needs_an_earlier_reader(settings: Callable[..., ReaderConfig]) -> None:
    with pytest.raises(ValueError, match=r"blend=0.5 needs reader"):
        settings(blend=0.5)


def test_the_reader_that_a_run_goes_on_from_is_in_its_lineage(
    settings: Callable[..., ReaderConfig], earlier: Path
) -> None:
    config = settings(reader=earlier, max_steps=1)
    *_, finished = train_reader(config)
    assert isinstance(finished, Finished)
    assert finished.metrics["lineage"]["reader"] == sha256(earlier / "reader.safetensors")
    assert len(finished.metrics["lineage"]) == 3


def test_a_folder_that_is_no_reader_is_refused_before_the_run_is_begun(
    settings: Callable[..., ReaderConfig], earlier: Path, tmp_path: Path
) -> None:
    config = settings(reader=tmp_path)
    with pytest.raises(ModelError, match=r"is no folder of a reader: .*Give one that an earlier"):
        list(train_reader(config))
    assert not (config.out / "resolved.yaml").exists()
    (earlier / "reader.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelError, match="is no folder of a reader"):
        list(train_reader(settings(reader=earlier)))


def test_a_reader_of_another_base_is_refused(
    settings: Callable[..., ReaderConfig], tiny_bert: Path, earlier: Path
) -> None:
    named = settings(reader=earlier, model="some/other-bert")
    with pytest.raises(ModelError, match=r"was trained on .*/tiny-bert, this run's model is some/"):
        load_reader(named, tiny_bert)
    small = BertForQuestionAnswering(BertConfig.from_pretrained(tiny_bert, intermediate_size=32))
    for changed in (
        small,
        BertForQuestionAnswering(BertConfig.from_pretrained(tiny_bert, num_hidden_layers=1)),
    ):
        write_reader(changed.state_dict(), earlier, base=str(tiny_bert), max_length=48)
        with pytest.raises(
            ModelError, match=r"does not fit .*: bert\.encoder\.layer\..* and others"
        ):
            load_reader(settings(reader=earlier), tiny_bert)
