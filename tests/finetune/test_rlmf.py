"""Machine feedback on a tiny model: rounds, honesty, collapse, and going on where it stopped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from finetune.data.rows import Label
from finetune.errors import ConfigError, ExampleError
from finetune.events import Finished
from finetune.rlmf import Round, rounds
from finetune.rlmf_config import RlmfConfig, load_rlmf_config
from finetune.rlmf_rows import Answers, discriminator_pairs, generator_pairs, people

FAST = {"batch": 4, "learning_rate": 1e-2, "lora_rank": 4}


def label(number: int, *, good: bool, flipped: bool = False) -> dict[str, Any]:
    said = f"The number {number + 1} follows {number}." if good else "Nothing at all."
    return {"prompt": f"What follows {number}?", "completion": said, "label": good != flipped}


@pytest.fixture
def settings(tiny_base: Path, template: Path, tmp_path: Path) -> Callable[..., RlmfConfig]:
    def write(name: str, rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    def make(*, flipped: bool = False, **changed: Any) -> RlmfConfig:
        kinds = (True, False)
        learn = [label(n, good=kind) for n in range(8) for kind in kinds]
        held = [label(n, good=kind, flipped=flipped) for n in range(20, 24) for kind in kinds]
        given = {
            "data": write("learn.jsonl", learn),
            "eval_data": write("held.jsonl", held),
            "model": str(tiny_base),
            "out": tmp_path / "out",
            "chat_template": template,
            "rounds": 2,
            "samples": 2,
            "answer_tokens": 24,
            "temperature": 0.5,
            "min_variety": 0.0,
            "min_margin": 0.0,
            "tune_by": "orpo",
            "discriminator": {**FAST, "max_steps": 30},
            "generator": {**FAST, "max_steps": 60},
        }
        return load_rlmf_config(None, given | changed)

    return make


def test_each_round_reports_the_discriminator_and_what_the_generator_gained(
    settings: Callable[..., RlmfConfig], tiny_base: Path
) -> None:
    config = settings(rounds=1)
    events = list(rounds(config, base=tiny_base))
    told = [event for event in events if isinstance(event, Round)]
    first = told[0]
    assert first.auc_people > 0.9
    assert first.auc_generated > 0.7
    assert first.pairs == 8
    assert first.gain is not None
    assert first.gain > 0
    assert first.people is not None
    assert first.people_before is not None
    assert first.people > first.people_before  # by labels that nothing was trained on
    assert first.adapter == str(config.out / "round-1" / "generator")
    best = [each.adapter for each in told][-1]
    assert best is not None
    kept = Path(best) / "adapter_model.safetensors"
    assert (config.out / "adapter_model.safetensors").read_bytes() == kept.read_bytes()
    assert (config.out / "rounds.png").is_file()
    assert len(json.loads((config.out / "metrics.json").read_text())["rounds"]) == len(told)


def test_rounds_that_were_stopped_go_on_where_they_were(
    settings: Callable[..., RlmfConfig], tiny_base: Path
) -> None:
    config = settings(rounds=1)
    run = rounds(config, base=tiny_base)
    for event in run:
        if isinstance(event, Finished):  # the discriminator is done, the generator is not
            break
    run.close()
    assert not (config.out / "round-1" / "round.json").exists()
    answers = (config.out / "round-1" / "answers.jsonl").read_text()
    rest = list(rounds(config, base=tiny_base))
    finished = [event for event in rest if isinstance(event, Finished)]
    assert [event.folder.name for event in finished] == ["generator"]
    assert (config.out / "round-1" / "answers.jsonl").read_text() == answers
    assert [type(event) for event in rounds(config, base=tiny_base)] == [Round]  # nothing is left


def test_a_discriminator_that_people_contradict_ends_the_rounds(
    settings: Callable[..., RlmfConfig], tiny_base: Path
) -> None:
    config = settings(flipped=True)
    told = [each for each in rounds(config, base=tiny_base) if isinstance(each, Round)]
    assert len(told) == 1
    assert told[0].stopped is not None
    assert "label more answers" in told[0].stopped
    assert told[0].adapter is None
    assert not (config.out / "adapter_model.safetensors").exists()


def test_answers_that_become_alike_are_a_collapse_and_the_adapter_before_stays(
    settings: Callable[..., RlmfConfig], tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    varied = iter((0.8, 0.1))
    monkeypatch.setattr("finetune.rlmf._variety", lambda _: next(varied))
    config = settings(min_variety=0.5)
    (told,) = [each for each in rounds(config, base=tiny_base) if isinstance(each, Round)]
    assert told.stopped is not None
    assert told.stopped.startswith("collapse")
    assert told.adapter is None


def test_without_held_out_labels_some_prompts_are_held_out_whole(
    settings: Callable[..., RlmfConfig],
) -> None:
    learn, honest = people(settings(eval_data=()))
    assert not {each.prompt for each in learn} & {each.prompt for each in honest}
    assert len(learn) > len(honest) >= 4


def test_what_people_found_good_stands_above_the_bad_and_the_generated() -> None:
    labels = [Label("q", "good", label=True), Label("q", "bad", label=False)]
    pairs = discriminator_pairs(labels, [Answers("q", ("made up", "good"), "good")])
    assert [(each["chosen"], each["rejected"]) for each in pairs] == [
        ("good", "bad"),
        ("good", "made up"),
    ]
    with pytest.raises(ExampleError, match="Label some good answers"):
        discriminator_pairs(labels, [Answers("q", ("made up",), None)])


class Judge:
    """Likes long answers."""

    def score(self, prompts: list[str], answers: list[str]) -> list[float]:
        return [float(len(each)) for each in answers]


def test_the_best_and_the_worst_answer_make_a_pair_where_they_differ_enough() -> None:
    answers = [Answers("q", ("aaaa", "a"), None), Answers("p", ("bb", "bbb"), None)]
    pairs = generator_pairs(answers, Judge(), margin=2)  # type: ignore[arg-type]
    assert [(each["chosen"], each["rejected"]) for each in pairs] == [("aaaa", "a")]


def test_labels_of_one_kind_and_unknown_settings_are_refused(
    settings: Callable[..., RlmfConfig], tmp_path: Path, tiny_base: Path
) -> None:
    path = tmp_path / "good.jsonl"
    path.write_text(json.dumps(label(1, good=True)) + "\n")
    with pytest.raises(ExampleError, match="not of both kinds"):
        list(rounds(settings(data=path), base=tiny_base))
    with pytest.raises(ConfigError, match="min_aux"):
        settings(min_aux=0.7)
