import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentlab.cli.main import run
from agentlab.cli.training import whole_name
from agentlab.estimates import area, share
from agentlab.starter.calibration import Calibration, Worth
from finetune import events
from ingest.reader import Calibrated

ROWS = {
    "sft": {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "x"}]},
    "ppo": {"prompt": "How long?"},
    "rag": {"question": "?", "answer": "x", "passages": [{"text": "x", "vector": "AAAAAA=="}]},
}

THUMBS = [
    {"prompt": f"{number}?", "completion": text, "label": text == "yes"}
    for number in range(4)
    for text in ("yes", "no")
]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder that passes for a model."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"")
    (model / "tokenizer.json").write_text("{}")
    (model / "chat_template.jinja").write_text("{% generation %}{% endgeneration %}")
    return model


@pytest.fixture
def command(base: Path, tmp_path: Path) -> Callable[..., list[str]]:
    def make(name: str, *more: str) -> list[str]:
        data, out = tmp_path / "data.jsonl", tmp_path / "out"
        rows = THUMBS if name == "rlmf" else [ROWS.get(name, {})]
        data.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        given = ["--data", str(data), "--model", str(base), "--out", str(out)]
        return ["finetune", name, *given, *more]

    return make


def test_a_launcher_is_refused_before_anything_is_read(
    command: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(command("sft", "--data", "not/there.jsonl")) == 2
    told = capsys.readouterr().err
    assert "Start the command once, without `accelerate launch`" in told
    assert "--set processes=2" in told


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
@pytest.mark.parametrize("name", ["sft", "rlmf"])
def test_a_model_without_a_chat_template_is_refused_before_anything_is_loaded(
    name: str,
    more: tuple[str, ...],
    base: Path,
    command: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (base / "chat_template.jinja").unlink()
    given = command(name, *more)
    assert run(given) == 1
    told = capsys.readouterr().err
    assert "has no chat template: it was not tuned to chat. Set chat_template" in told
    assert not Path(given[given.index("--out") + 1]).exists()


def stopped(*_: object, **__: object) -> Iterator[object]:
    from finetune.errors import StoppedError

    raise StoppedError("Stopped after step 4. The same command with resume goes on.")
    yield


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("sft", "finetune.training.train"),
        ("reader", "finetune.reader_training.train_reader"),
        ("router", "finetune.router_training.train_router"),
        ("retriever", "finetune.retriever_training.train_retriever"),
    ],
)
def test_ctrl_c_in_a_training_says_how_to_go_on_and_ends_with_130(
    name: str,
    place: str,
    command: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(place, stopped)
    code = run(command(name))
    said = capsys.readouterr().err
    assert code == 130, said
    assert "Stopped after step 4" in said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("rewards=rewards/mine", [("model", {"folder": Path("rewards/mine")})]),
        (
            "rewards=[rewards/mine, {reward: length, words: 9, weight: 0.5}]",
            [("model", {"folder": Path("rewards/mine")}), ("length", {"words": 9, "weight": 0.5})],
        ),
    ],
)
def test_the_rewards_of_ppo_are_folders_or_rules_on_the_command_line(
    change: str,
    expected: list[tuple[str, dict[str, Any]]],
    command: Callable[..., list[str]],
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Any] = []
    judge = tmp_path / "rewards" / "mine"
    judge.mkdir(parents=True)
    (judge / "reward.json").write_text("{}")
    (judge / "resolved.yaml").write_text(f"{{data: rows, model: {base}, out: out}}")

    def trained(config: Any, **_: Any) -> Iterator[events.Event]:
        told.append(config)
        yield events.Finished(tmp_path / "out", {})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("finetune.training.train", trained)
    assert run(command("ppo", "--recipe", "ppo", "--set", change, "--set", "batch=8")) == 0
    (config,) = told
    assert (config.rollout, config.batch, config.kl_limit) == (64, 8, 1.0)
    for reward, (name, fields) in zip(config.rewards, expected, strict=True):
        assert reward.reward == name
        assert {field: getattr(reward, field) for field in fields} == fields


@pytest.mark.parametrize(
    ("name", "shown"),
    [("reward", '"completions": ["the best"'), ("ppo", "{reward: contains, text: euros}")],
)
def test_the_help_of_rewards_shows_rows_and_examples(
    name: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["finetune", name, "--help"]) == 0
    said = capsys.readouterr().out
    assert shown in said
    assert f"agentlab finetune {name} --recipe {name} --data" in said


def test_a_reader_is_trained_by_its_recipe_with_what_the_command_sets(
    command: Callable[..., list[str]],
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: dict[str, Any] = {}

    def trained(config: Any, **more: Any) -> Iterator[events.Event]:
        told.update(more, config=config)
        places = tuple(f"data.jsonl:{line}" for line in range(1, 13))
        yield events.ReaderStarted(28513, 17000, 2810810, places, 1545, 400, 10_000, 40_000)
        yield events.Progress(401, 1545, 1.185, 1e-4, 90_000, 2162.0, 3600.0, 10**9)
        yield events.Finished(tmp_path / "out", {"steps": 1545, "last_loss": 0.91})

    monkeypatch.setattr("finetune.reader_training.train_reader", trained)
    code = run(command("reader", "--set", "batch=16", "--set", "crop_words=[20, 30]", "--resume"))
    heard = capsys.readouterr()
    assert code == 0, heard.err
    assert heard.out == f"{tmp_path / 'out'}\n"
    assert (told["base"], told["resume"]) == (base, True)
    config = told["config"]
    assert (config.learning_rate, config.batch, config.crop_words) == (1.5e-4, 16, (20, 30))
    assert "28,513 rows (17,000 with an answer), 2,810,810 tokens, 1,545 steps" in heard.err
    assert "10,000 weights of 40,000 (25.0%)" in heard.err
    assert "data.jsonl:10 and 2 more" in heard.err
    assert "going on after step 400" in heard.err


def test_a_router_is_trained_by_its_recipe_and_its_labels_are_shown(
    command: Callable[..., list[str]],
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: dict[str, Any] = {}

    def trained(config: Any, **more: Any) -> Iterator[events.Event]:
        told.update(more, config=config)
        labels = {"ask": 5200, "talk": 300}
        yield events.RouterStarted(5500, labels, 71_500, 344, 0, 3_700, 22_700)
        yield events.Evaluated(344, 0.1234)
        yield events.Finished(tmp_path / "out", {"held_out_accuracy": 0.97})

    monkeypatch.setattr("finetune.router_training.train_router", trained)
    held = tmp_path / "held.jsonl"
    code = run(command("router", "--eval-data", str(held), "--set", "layers=3"))
    heard = capsys.readouterr()
    assert code == 0, heard.err
    assert heard.out == f"{tmp_path / 'out'}\n"
    assert (told["base"], told["resume"]) == (base, False)
    config = told["config"]
    assert (config.layers, config.label_smoothing, config.eval_data) == (3, 0.05, (held,))
    assert "5,500 rows (5,200 ask, 300 talk), 71,500 tokens, 344 steps" in heard.err
    assert "step 344: held-out loss 0.1234" in heard.err
    assert "held out accuracy 0.97" in heard.err


def test_a_retriever_is_trained_by_its_recipe_and_what_was_held_out_is_shown(
    command: Callable[..., list[str]],
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: dict[str, Any] = {}

    def trained(config: Any, **more: Any) -> Iterator[events.Event]:
        told.update(more, config=config)
        yield events.RetrieverStarted(900, 1400, 2700, 110_000, 38, 0, 22_000, 22_000)
        yield events.Evaluated(38, 0.4321, {"recall_1": 0.75, "mrr_10": 0.8125})
        yield events.Finished(tmp_path / "out", {"held_out_mrr_10": 0.8125})

    monkeypatch.setattr("finetune.retriever_training.train_retriever", trained)
    code = run(command("retriever", "--set", "hard_negatives=3", "--resume"))
    heard = capsys.readouterr()
    assert code == 0, heard.err
    assert heard.out == f"{tmp_path / 'out'}\n"
    assert (told["base"], told["resume"]) == (base, True)
    config = told["config"]
    assert (config.learning_rate, config.temperature, config.hard_negatives) == (3e-5, 0.05, 3)
    assert "900 queries on 1,400 texts, 2,700 hard negatives, 110,000 tokens" in heard.err
    assert "step 38: held-out loss 0.4321, mrr_10 0.812, recall_1 0.75" in heard.err


def test_rag_is_tuned_with_the_folder_of_the_encoder_that_its_recipe_names(
    command: Callable[..., list[str]],
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: list[Any] = []

    def trained(config: Any, **_: Any) -> Iterator[events.Event]:
        told.append(config)
        yield events.Started(8, "lookups", 900, 300, (), 1, 0, 10, 1000)
        yield events.Finished(tmp_path / "out", {"held_out_hit_1": 0.9})

    def resolved(name: str, **_: Any) -> Path:
        return base if name == str(base) else tmp_path / name.rsplit("/", 1)[-1]

    monkeypatch.setattr("finetune.training.train", trained)
    monkeypatch.setattr("serve.models.resolve", resolved)
    code = run(command("rag", "--recipe", "rag", "--set", "passages=6"))
    heard = capsys.readouterr().err
    assert code == 0, heard
    assert (told[0].encoder, told[0].passages) == (str(tmp_path / "all-MiniLM-L6-v2"), 6)
    assert "held out hit 1 0.9" in heard


def test_the_help_of_a_router_shows_what_its_rows_look_like(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["finetune", "router", "--help"]) == 0
    assert '{"text": "How tall is the tower?", "label": "ask"}' in capsys.readouterr().out


def test_an_adapter_that_is_trained_further_is_named(
    command: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: list[Any] = []
    adapter = tmp_path / "starter" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "r": 32, "lora_alpha": 64, "target_modules": ["q_proj"]}'
    )
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    monkeypatch.chdir(tmp_path)

    def trained(config: Any, **_: Any) -> Iterator[events.Event]:
        told.append(config)
        yield events.Started(
            8, "conversations", 900, 300, (), 1, 0, 10, 1000, continued="d87b8efaa256"
        )
        yield events.Finished(tmp_path / "out", {"total_tokens": 1900})

    monkeypatch.setattr("finetune.training.train", trained)
    code = run(command("sft", "--recipe", "starter", "--set", "adapter=starter/adapter"))
    heard = capsys.readouterr().err
    assert code == 0, heard
    assert told[0].adapter == Path("starter/adapter")
    assert "training the adapter d87b8efaa256 further" in heard
    assert "total tokens 1,900" in heard


def test_a_reader_keeps_the_whole_name_of_a_known_base(base: Path) -> None:
    whole = "sentence-transformers/all-MiniLM-L6-v2"
    assert {whole_name(name) for name in ("minilm", "all-MiniLM-L6-v2", whole)} == {whole}
    assert whole_name("someone/else") == "someone/else"
    assert whole_name(str(base)) == str(base)


def test_a_setting_without_a_value_is_refused(
    command: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command("reader", "--set", "batch")) == 2
    assert "'batch' has no value: write KEY=VALUE" in capsys.readouterr().err


def test_a_calibration_shows_what_the_reader_is_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = object()
    told: list[object] = []

    def calibrated(*given: object) -> Calibration:
        told.extend(given)
        right = Worth(share(9, 10), share(8, 10), area([1.0], [2.0]))
        wrong = Worth(share(7, 10), share(6, 10), area([2.0], [1.0]))
        return Calibration(Calibrated(fair=0.25, strong=0.5), reader=right, likeness=wrong)

    monkeypatch.setattr("agentlab.starter.calibration.calibrate_reader", calibrated)
    for name in ("load_reader", "open_embedder"):
        monkeypatch.setattr(f"agentlab.library.{name}", lambda *_, **__: opened)
    questions, folder = tmp_path / "qa", tmp_path / "reader"
    given = ["--questions", str(questions), "--reader", str(folder)]
    assert run(["finetune", "calibrate", *given]) == 0
    said = capsys.readouterr()
    assert said.out == f"{folder}\n"
    assert told == [folder, opened, opened, questions]
    head, *rows = (" ".join(line.split()) for line in said.err.splitlines())
    assert head == "10 questions without the reader with it"
    assert rows == [
        "best passage right 70.0% [40%, 89%] 90.0% [60%, 98%]",
        "marked sentence right 60.0% [31%, 83%] 80.0% [49%, 94%]",
        "answerable or not, AUC 0.000 [0.000, 0.000] 1.000 [1.000, 1.000]",
        "fair evidence from a probability of 0.25, strong from 0.50",
    ]


def test_an_export_says_what_was_made_and_what_it_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from finetune.conversion import Converted
    from finetune.delivery import Delivery, Order
    from finetune.servability import Adaptation, check

    told: list[Order] = []

    def delivered(order: Order, **_: Any) -> Delivery:
        told.append(order)
        made = Converted(64, 0.9931, 0.97, "model.layers.0.mlp.up_proj")
        return Delivery(order.out, "converted", check(Adaptation("neural", 32)), made)

    monkeypatch.setattr("finetune.delivery.deliver", delivered)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "NEURAL", "r": 32}')
    out = tmp_path / "out"
    code = run(["finetune", "export", str(tmp_path), "--out", str(out), "--energy", "0.95"])
    heard = capsys.readouterr()
    assert code == 0, heard.err
    assert heard.out == f"{out}\n"
    assert "an ordinary LoRA made from it by SVD" in heard.err
    assert "rank 64 keeps 99.31% of the update's energy (97.00% in the worst layer" in heard.err
    assert "vLLM: --enable-lora --max-lora-rank 64" in heard.err
    assert (told[0].energy, told[0].target, told[0].base) == (0.95, "auto", None)


def test_an_export_that_merges_fetches_the_base_that_the_run_names(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Any] = []
    monkeypatch.setattr("finetune.delivery.deliver", lambda order, **_: told.append(order))
    monkeypatch.setattr("agentlab.cli.export._tell", lambda _: None)
    (tmp_path / "adapter_config.json").write_text(
        f'{{"peft_type": "LORA", "r": 8, "base_model_name_or_path": "{base}"}}'
    )
    command = ["finetune", "export", str(tmp_path), "--to", "merged", "--out", str(tmp_path / "o")]
    assert run(command) == 0, capsys.readouterr().err
    assert told[0].base == base


def test_an_export_of_what_is_no_run_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["finetune", "export", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "is no folder of an adapter" in said
    assert "Traceback" not in said


def test_the_help_of_an_export_explains_the_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["finetune", "export", "--help"]) == 0
    said = capsys.readouterr().out
    assert "a neural adapter becomes a LoRA by SVD" in said
    assert "--converter llama.cpp" in said


def test_rounds_of_machine_feedback_are_told_one_by_one(
    command: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("trl")
    from finetune.rlmf import Round

    def went(config: Any, **_: Any) -> Iterator[Any]:
        first = Round(1, str(config.out), 8, 0.91, 0.87, 0.4, 0.5, 0.1, 0.95)
        yield events.Started(8, "pairs", 900, 300, (), 4, 0, 10, 1000)
        yield events.Finished(config.out / "round-1" / "generator", {"steps": 4})
        yield first
        yield Round(2, str(config.out), 0, 0.55, 0.9, stopped="the discriminator agrees too little")

    monkeypatch.setattr("finetune.rlmf.rounds", went)
    code = run(command("rlmf", "--set", "rounds=2"))
    heard = capsys.readouterr()
    assert code == 0, heard.err
    assert heard.out == f"{tmp_path / 'out'}\n"
    assert "round 1: discriminator's AUC 0.91 on people's labels" in heard.err
    assert "gain +0.40 deviations, people's choice +0.10 to +0.50 nats a token" in heard.err
    assert "ended: the discriminator agrees too little" in heard.err


def test_a_run_ends_with_what_it_changed(
    command: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def trained(*_: Any, **__: Any) -> Iterator[events.Event]:
        effects = {"general_loss": 3.0, "distinct_2": 0.9, "self_bleu": 0.1}
        metrics = {
            "held_out_before": {"loss": 2.5},
            "held_out_loss": 1.25,
            "effects": {"base": effects, "tuned": effects | {"general_loss": 3.3}},
        }
        yield events.Finished(tmp_path / "out", metrics)

    monkeypatch.setattr("finetune.training.train", trained)
    assert run(command("sft")) == 0
    said = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    assert "before after" in said
    assert "held-out loss 2.500 1.250" in said
    assert "loss on general text 3.000 3.300" in said
    assert "different pairs of words 0.900 0.900" in said
