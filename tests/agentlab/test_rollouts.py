"""A model's own episodes become rows, and a killed run goes on with those that it had."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from agentlab.cli.main import run
from agentlab.demo import HANDBOOKS
from agentlab.rollouts import BEST, EPISODES, PAIRS, Sampled, sample
from finetune.data.reading import read_examples, read_pairs
from finetune.data.rows import Prompt
from finetune.rejection import Judged

PROMPTS = [Prompt(f"What is {number}?") for number in range(4)]


class Guesser:
    """Acts twice: right with even numbers the first time, and always wrong the second time."""

    def __init__(self) -> None:
        self.acted: list[int] = []

    def act(self, prompt: Prompt, number: int) -> list[Judged]:
        self.acted.append(number)
        return [self._judged(prompt, right=number % 2 == 0), self._judged(prompt, right=False)]

    def _judged(self, prompt: Prompt, *, right: bool) -> Judged:
        opening = ({"role": "user", "content": str(prompt.prompt)},)
        said = ({"role": "assistant", "content": "right" if right else "wrong"},)
        return Judged(opening, said, {"answer": float(right)}, float(right))


def sampled(actor: Guesser, out: Path) -> Iterator[Sampled]:
    return sample(PROMPTS, actor, out, tools=(), least=0.9, margin=0.2, about="a model")


def test_the_best_episodes_and_pairs_are_written_as_rows_that_tuning_reads(tmp_path: Path) -> None:
    told = list(sampled(Guesser(), tmp_path))[-1]
    assert (told.done, told.best, told.pairs) == (4, 2, 2)
    assert told.first == {"answer": 0.5, "total": 0.5}
    conversations = read_examples([tmp_path / BEST])
    assert [each.messages[-1]["content"] for each in conversations] == ["right", "right"]
    (one, two) = read_pairs([tmp_path / PAIRS])
    assert one.chosen == ({"role": "assistant", "content": "right"},)
    assert two.rejected == ({"role": "assistant", "content": "wrong"},)
    assert len((tmp_path / EPISODES).read_text(encoding="utf-8").splitlines()) == 4


def test_what_a_killed_run_had_acted_is_not_acted_again(tmp_path: Path) -> None:
    first = sampled(Guesser(), tmp_path)
    list(islice(first, 3))
    first.close()
    assert not (tmp_path / BEST).exists()
    actor = Guesser()
    told = list(sampled(actor, tmp_path))[-1]
    assert actor.acted == [3]
    assert (told.best, told.pairs) == (2, 2)
    assert told.first == {"answer": 0.5, "total": 0.5}


@pytest.mark.slow
def test_the_starter_acts_on_questions_made_of_the_library(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTLAB_HOME", "home")
    monkeypatch.setenv("AGENTLAB_WEB", "off")
    assert run(["ingest", str(HANDBOOKS)]) == 0
    made = ["data", "synthesise", "--kind", "questions", "--count", "2", "--out", "asked.jsonl"]
    assert run(made) == 0
    asked = [json.loads(line) for line in Path("asked.jsonl").read_text("utf-8").splitlines()]
    assert all(row["route"] == "search_documents" and row["answers"] for row in asked)
    capsys.readouterr()
    acts = ["finetune", "rollouts", "--data", "asked.jsonl", "--model", "starter", "--out", "own"]
    small = [f"--set={each}" for each in ("generations=2", "turns=2", "temperature=0.3")]
    assert run([*acts, *small, "--dry-run"]) == 0
    assert "# 2 questions, 4 episodes of at most 2 messages" in capsys.readouterr().out
    assert not Path("own").exists()
    code = run([*acts, *small])
    told = capsys.readouterr()
    assert code == 0
    assert told.out == "own\n"
    assert "best of 2" in told.err
    assert "the web is off" in told.err
    episodes: list[dict[str, Any]] = [
        json.loads(line) for line in Path("own", EPISODES).read_text("utf-8").splitlines()
    ]
    assert [len(each["episodes"]) for each in episodes] == [2, 2]
    assert all(one["rewards"]["route"] == 1 for each in episodes for one in each["episodes"])
