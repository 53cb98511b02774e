"""A synthesis as a whole: a scripted model over a small library, stopped and gone on with."""

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage
from scripted import PAGES, ScriptedModel, small_library

from agentlab.errors import BackendDownError, SettingsError, UserError
from agentlab.model import OpenModel
from agentlab.synthesis.items import Draft
from agentlab.synthesis.rows import SIMPLE
from agentlab.synthesis.running import Plan, Synthesised, Wrote, draw, synthesise
from agentlab.synthesis.writing import Drafted, Usage, model_maker
from finetune.data.measuring import check
from ingest.documents import Chunk

MORE = [
    (f"Guide {n}", "Limits", n, f"The limit number {n} for crews is {n * 10} euros.")
    for n in range(1, 21)
]


def chunks() -> list[Chunk]:
    return list(small_library([*PAGES, *MORE]).store.chunks())


def by_rule(chunk: Chunk) -> Drafted:
    words = chunk.text.split()
    draft = Draft(f"What about {chunk.title} {chunk.page}?", " ".join(words[3:5]), chunk.text)
    return Drafted((draft,), usage=Usage(1, 10, 5))


def plan(folder: Path, **changes: Any) -> Plan:
    settings = changes.pop("settings", {"kind": "qa", "made": "test"})
    values = {"count": 10, "seed": 3, "parallel": 1, **changes}
    return Plan(out=folder / "rows.jsonl", settings=settings, **values)


def made(folder: Path, make: Any = by_rule, **changes: Any) -> Synthesised:
    *_, done = synthesise(chunks(), make=make, build=SIMPLE["qa"], plan=plan(folder, **changes))
    assert isinstance(done, Synthesised)
    return done


def read(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def test_so_many_rows_are_made_as_are_wanted_and_can_be_learned_from(tmp_path: Path) -> None:
    done = made(tmp_path)
    assert (done.rows, done.usage) == (10, Usage(10, 100, 50))
    assert done.usage.cost(2.0, 4.0) == pytest.approx(0.0004)
    assert check([tmp_path / "rows.jsonl"]).methods == ("sft",)
    assert {row["made"] for row in read(tmp_path)} == {"test"}
    assert [each.name for each in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_run_that_was_killed_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    made(tmp_path / "whole")
    events = synthesise(chunks(), make=by_rule, build=SIMPLE["qa"], plan=plan(tmp_path / "killed"))
    for event in events:
        assert isinstance(event, Wrote)
        if event.passages == 4:
            break
    events.close()
    progress = tmp_path / "killed" / "rows.jsonl.progress"
    assert not (tmp_path / "killed" / "rows.jsonl").exists()
    with progress.open("a") as file:  # what kill -9 leaves of the line that was being written
        file.write('{"passage": "cut o')
    asked: list[str] = []

    def count(chunk: Chunk) -> Drafted:
        asked.append(chunk.id)
        return by_rule(chunk)

    done = made(tmp_path / "killed", make=count)
    assert (done.rows, done.resumed, done.usage.calls, len(asked)) == (10, 4, 10, 6)
    assert read(tmp_path / "killed") == read(tmp_path / "whole")
    assert not progress.exists()


KILLED = """
import sys, time
from pathlib import Path
sys.path += [{tests!r}, {here!r}]
from test_running import by_rule, chunks, plan
from agentlab.synthesis.rows import SIMPLE
from agentlab.synthesis.running import synthesise

def slow(chunk):
    time.sleep(0.2)
    return by_rule(chunk)

for event in synthesise(chunks(), make=slow, build=SIMPLE["qa"], plan=plan(Path({folder!r}))):
    print(event.passages, flush=True)
"""


@pytest.mark.slow
def test_a_run_goes_on_after_passages_that_hold_a_line_separator(tmp_path: Path) -> None:
    pages = [(f"Guide {n}", "", n, f"Crews\u2028may take {n} days off in a year.") for n in (1, 2)]
    passages = list(small_library(pages).store.chunks())
    run: dict[str, Any] = {"build": SIMPLE["qa"], "plan": plan(tmp_path, count=2)}
    stopped = synthesise(passages, make=by_rule, **run)
    assert next(stopped) == Wrote(1, 2, 1, 0)
    stopped.close()
    *_, done = synthesise(passages, make=by_rule, **run)
    assert isinstance(done, Synthesised)
    assert (done.rows, done.resumed) == (2, 1)


def test_kill_9_costs_one_passage_at_most(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    made(tmp_path / "whole")
    here = Path(__file__).parent
    code = KILLED.format(
        tests=str(here.parents[1]), here=str(here), folder=str(tmp_path / "killed")
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=here.parents[2]
    ) as child:
        assert child.stdout
        while child.stdout.readline().strip() != "3":
            assert child.poll() is None
        child.kill()
    assert not (tmp_path / "killed" / "rows.jsonl").exists()
    assert made(tmp_path / "killed").resumed >= 3
    assert read(tmp_path / "killed") == read(tmp_path / "whole")


def test_a_run_with_other_settings_does_not_go_on(tmp_path: Path) -> None:
    events = synthesise(chunks(), make=by_rule, build=SIMPLE["qa"], plan=plan(tmp_path))
    next(events)
    events.close()
    with pytest.raises(SettingsError, match="other settings"):
        made(tmp_path, seed=4)
    assert made(tmp_path, count=12).rows == 12


def test_threads_change_neither_rows_nor_order(tmp_path: Path) -> None:
    seen = set()

    def make(chunk: Chunk) -> Drafted:
        seen.add(threading.current_thread().name)
        return by_rule(chunk)

    for name, parallel in (("one", 1), ("four", 4)):
        (tmp_path / name).mkdir()
        made(tmp_path / name, make=make, parallel=parallel)
    assert read(tmp_path / "one") == read(tmp_path / "four")
    assert len(seen) > 1


def test_what_is_refused_is_counted_and_nothing_verified_is_an_error(tmp_path: Path) -> None:
    def make(chunk: Chunk) -> Drafted:
        drafts = (Draft("What is it that costs?", "1", "never said anywhere"),
                  *by_rule(chunk).drafts, *by_rule(chunk).drafts)  # fmt: skip
        return Drafted(drafts, Counter({"no JSON": 1}))

    done = made(tmp_path, make=make, count=5)
    assert done.refused == {"no JSON": 5, "the quote is not in the passage": 5, "asked before": 5}
    with pytest.raises(
        UserError, match=r"Nothing could be verified in 23 passages: no JSON \(23\)"
    ):
        made(tmp_path, make=lambda _: Drafted((), Counter({"no JSON": 1})))
    with pytest.raises(UserError, match="run agentlab ingest"):
        list(synthesise([], make=by_rule, build=SIMPLE["qa"], plan=plan(tmp_path)))


def test_the_seed_alone_decides_the_order() -> None:
    names = [[each.id for each in draw(order, seed)] for order, seed in
             ((chunks(), 1), (chunks()[::-1], 1), (chunks(), 2))]  # fmt: skip
    assert names[0] == names[1]
    assert names[0] != names[2]


REPLY = """Here you are:
```json
[{"question": "What may a hotel night cost", "answer": "140 euros",
  "quote": "A hotel night may cost 140 euros at most."},
 {"question": "Is breakfast free?", "answer": "maybe"}, {"question": ]
```"""


def test_a_model_writes_drafts_and_what_it_takes_is_counted() -> None:
    usage = {"input_tokens": 70, "output_tokens": 30, "total_tokens": 100}
    chat = ScriptedModel(lines=[AIMessage(REPLY, usage_metadata=usage), "I cannot."])
    make = model_maker(OpenModel(chat, "scripted", "openai"), 3)
    hotel = next(each for each in chunks() if "140" in each.text)
    first, second = make(hotel), make(hotel)
    assert first.drafts == (
        Draft(
            "What may a hotel night cost?",
            "140 euros",
            "A hotel night may cost 140 euros at most.",
        ),
    )
    assert first.refused == {"no object with question, answer and quote": 1}
    assert first.usage == Usage(1, 70, 30)
    assert (second.drafts, second.refused) == ((), {"no JSON": 1})
    said = [str(each.text) for each in chat.seen[0]]
    assert "Travel Handbook > Hotels" in said[1]


def test_brackets_without_end_are_no_drafts() -> None:
    chat = ScriptedModel(lines=['{"question": ' + "[" * 100_000])
    drafted = model_maker(OpenModel(chat, "scripted", "own"), 2)(chunks()[0])
    assert (drafted.drafts, drafted.refused) == ((), Counter({"no JSON": 1}))


def test_a_server_that_is_down_stops_the_run_and_what_was_done_stays(tmp_path: Path) -> None:
    import httpx

    request = httpx.Request("POST", "http://localhost:1/v1")
    reply = '[{"question": "What about it here?", "answer": "%s", "quote": "%s"}]'
    first = draw(chunks(), 3)[0]
    words = first.text.split(".")[0]
    lines = [reply % (words.split()[-1], words), openai.APIConnectionError(request=request)]
    chat = ScriptedModel(lines=lines)
    make = model_maker(OpenModel(chat, "m", "openai", where="http://localhost:1/v1"), 1)
    with pytest.raises(BackendDownError, match="cannot be reached"):
        made(tmp_path, make=make)
    lines_kept = (tmp_path / "rows.jsonl.progress").read_text().splitlines()
    assert len(lines_kept) == 2


def test_a_model_that_gives_nothing_is_not_asked_of_the_whole_library(tmp_path: Path) -> None:
    asked: list[str] = []

    def never(chunk: Chunk) -> Drafted:
        asked.append(chunk.id)
        return Drafted((), Counter({"no JSON": 1}), Usage(1, 10, 5))

    with pytest.raises(UserError, match=r"in 4 passages: no JSON \(4\)\. Ask a larger model"):
        made(tmp_path, make=never, patience=4)
    assert len(asked) == 4


def test_what_a_model_gave_before_it_gave_nothing_is_kept_and_told(tmp_path: Path) -> None:
    left = [2]

    def tires(chunk: Chunk) -> Drafted:
        left[0] -= 1
        return by_rule(chunk) if left[0] >= 0 else Drafted((), Counter({"no JSON": 1}))

    done = made(tmp_path, make=tires, patience=3)
    assert (done.rows, done.passages, done.gave_up) == (2, 5, 3)
    assert len(read(tmp_path)) == 2
