import fcntl
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("datasketch")
pytest.importorskip("phonenumbers")

from finetune.data.content import Content
from finetune.data.curation import Curated, Looked, Rules, curate
from finetune.data.duplicates import NearDuplicates
from finetune.data.unfinished import held
from finetune.errors import ConfigError, ExampleError, RunBusyError

LONG = (
    "The tide turns twice a day, and the mill at the river stands still while it does. Nobody in "
    "the town minds, since the baker grinds at night and sells in the morning, long before the "
    "water comes back."
)


def write(path: Path, *rows: Any) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def talk(question: str, answer: str, **more: Any) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": LONG},
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]
    return {"messages": messages, **more}


def curated(
    tmp_path: Path, *rows: Any, **rules: Any
) -> tuple[Curated, list[Any], dict[int, dict[str, Any]]]:
    path, out = write(tmp_path / "in.jsonl", *rows), tmp_path / "out.jsonl"
    *_, done = curate([path], out, rules=Rules(**rules))
    assert isinstance(done, Curated)
    verdicts = read(tmp_path / "out.report.jsonl")
    return done, read(out), {int(each["place"].rpartition(":")[2]): each for each in verdicts}


def test_every_row_is_kept_or_dropped_with_its_reason(tmp_path: Path) -> None:
    done, kept, told = curated(
        tmp_path,
        {"text": LONG, "source": "a.pdf"},
        {"text": LONG.upper(), "source": "b.pdf"},
        {"text": LONG.replace("The tide", "A tide")},
        {"text": "Quite another matter."},
        "{",
        {"text": "It costs 5 � a night"},
        {"text": "word " * 40 + "end"},
        max_words=39,
    )
    assert [row["text"] for row in kept] == [LONG, "Quite another matter."]
    assert (done.rows, done.kept) == (7, 2)
    reasons = {line: (each["action"], each["reason"]) for line, each in told.items()}
    assert reasons == {
        2: ("dropped", "duplicate"),
        3: ("dropped", "near duplicate"),
        5: ("dropped", "no row of a known kind"),
        6: ("dropped", "quality"),
        7: ("dropped", "too long"),
    }
    assert told[2]["detail"].endswith("in.jsonl:1")
    assert told[2]["lineage"] == {"source": "b.pdf"}
    assert told[3]["detail"].endswith("in.jsonl:1")


def test_rows_that_share_a_system_message_or_a_passage_are_no_duplicates(tmp_path: Path) -> None:
    rows = [
        talk("When does the tide turn?", "Twice a day."),
        talk("Who grinds at night?", "The baker."),
        {"instruction": "When does it turn?", "context": LONG * 3, "response": "Twice a day."},
        {"instruction": "Who grinds at night?", "context": LONG * 3, "response": "The baker."},
    ]
    done, *_ = curated(tmp_path, *rows)
    assert done.kept == 4


def test_personal_data_is_masked_wherever_it_stands_and_only_there(tmp_path: Path) -> None:
    call = {"function": {"name": "search", "arguments": {"query": "who is a@b.de"}}, "id": "a@b.de"}
    row = talk("Who is a@b.de?", "Nobody I know.", source="mail of c@d.de")
    row["messages"].insert(2, {"role": "assistant", "content": None, "tool_calls": [call]})
    done, (kept,), told = curated(tmp_path, row)
    messages = kept["messages"]
    assert messages[1]["content"] == "Who is [EMAIL]?"
    assert messages[2]["tool_calls"][0]["function"]["arguments"] == {"query": "who is [EMAIL]"}
    assert messages[2]["tool_calls"][0]["id"] == "a@b.de"
    assert kept["source"] == "mail of c@d.de"
    assert done.masked == {"email": 1}
    assert (told[1]["action"], told[1]["detail"]) == ("masked", "2 of them")


def test_rows_with_personal_data_can_be_dropped_or_left(tmp_path: Path) -> None:
    rows = [{"text": "Write to a@b.de now."}, {"text": "Nothing to see here."}]
    done, *_ = curated(tmp_path, *rows, pii="drop")
    assert done.dropped == {"personal data": 1}
    _, kept, _ = curated(tmp_path, *rows, pii="keep")
    assert kept == rows


def test_a_pair_that_differs_in_personal_data_alone_is_dropped(tmp_path: Path) -> None:
    pair = {"prompt": "Whom?", "chosen": "Write to a@b.de.", "rejected": "Write to c@d.de."}
    done, kept, told = curated(tmp_path, pair, {"text": LONG})
    assert (told[1]["reason"], told[1]["detail"]) == ("personal data", "2 email")
    assert len(kept) == 1
    assert done.rows == 2


def test_a_readers_answer_never_moves_in_its_passage(tmp_path: Path) -> None:
    row = {"question": "Who?", "title": "t", "passage": "a@b.de asks Ann.", "answer": [12, 15]}
    asked = row | {"question": "Who is c@d.de?", "passage": "He asks Ann.", "answer": [8, 11]}
    done, kept, _ = curated(tmp_path, row, asked)
    assert done.dropped == {"personal data": 1}
    assert kept[0]["question"] == "Who is [EMAIL]?"
    assert kept[0]["passage"][slice(*kept[0]["answer"])] == "Ann"


def test_no_words_of_an_evaluation_set_are_learned(tmp_path: Path) -> None:
    squad = {"data": [{"paragraphs": [{"context": LONG, "qas": [_question()]}]}]}
    (tmp_path / "squad.json").write_text(json.dumps(squad), encoding="utf-8")
    rows = write(tmp_path / "eval.jsonl", talk("Which of the two wheels stops first?", "None."))
    done, kept, told = curated(
        tmp_path,
        {"text": LONG},  # the passage may be learned, the questions not
        talk("Hm: who grinds his corn at night, and why?", "The baker."),
        {"text": "He said: which of the two wheels stops first? None."},
        talk("Which of the wheels?", "Both."),
        against=(tmp_path / "squad.json", rows),
    )
    assert [line for line, each in told.items() if each["reason"] == "in an evaluation set"] == [
        2,
        3,
    ]
    assert told[3]["detail"] == f"{rows}:1"
    assert len(kept) == 2
    assert done.dropped == {"in an evaluation set": 2}


def test_a_short_answer_of_an_evaluation_set_gives_nothing_away(tmp_path: Path) -> None:
    unknown = "I could not find an answer in the sources."
    follow_up = {"role": "user", "content": "And at what time of the year?"}
    rows = talk("Who built the mill?", unknown)
    said = "It stands still for an hour each time that the tide turns at the river"
    rows["messages"] += [follow_up, {"role": "assistant", "content": said}]
    _, kept, told = curated(
        tmp_path,
        talk("Who sells bread in the town?", unknown),
        {"text": f"He said that {said}, as they all do."},
        {"text": "Who built the mill? And at what price was it sold to the baker?"},
        against=(write(tmp_path / "eval.jsonl", rows),),
    )
    assert list(told) == [2]
    assert len(kept) == 2


def _question() -> dict[str, Any]:
    answers = [{"text": "the baker grinds at night and sells", "answer_start": 3}]
    return {"question": "Who grinds his corn at night, and why?", "answers": answers}


def test_a_set_without_questions_is_refused(tmp_path: Path) -> None:
    empty = write(tmp_path / "eval.jsonl", {"colour": "red"})
    with pytest.raises(ExampleError, match="holds no question"):
        curated(tmp_path, {"text": LONG}, against=(empty,))


def test_rows_too_long_for_a_model_are_counted_in_its_tokens(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", {"text": "one two"}, {"text": "one two three"})
    events = curate(
        [path],
        tmp_path / "out.jsonl",
        rules=Rules(max_tokens=2),
        count_tokens=lambda row: len(row.text.split()),
    )
    *_, done = events
    assert isinstance(done, Curated)
    assert done.dropped == {"too long": 1}


def test_a_stopped_run_leaves_what_was_there(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", *({"text": f"row number {n}"} for n in range(500)))
    out = write(tmp_path / "out.jsonl", {"text": "from before"})
    events = curate([path], out, rules=Rules(near=None))
    first = next(events)
    assert isinstance(first, Looked)
    events.close()
    assert read(out) == [{"text": "from before"}]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_nothing_left_and_ones_own_input_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", {"text": "It costs 5 � a night"})
    with pytest.raises(ExampleError, match=r"No row of 1 .*quality \(1\)"):
        list(curate([path], tmp_path / "out.jsonl"))
    with pytest.raises(ConfigError, match="another --out"):
        list(curate([path], path))
    with pytest.raises(ConfigError, match="another --report"):
        list(curate([path], tmp_path / "out.jsonl", report=tmp_path / "." / "out.jsonl"))


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", {"text": LONG}, {"text": "Nothing to see here."})
    *_, done = curate([path, tmp_path], tmp_path / "out.jsonl", rules=Rules(exact=False, near=None))
    assert isinstance(done, Curated)
    assert (done.rows, done.kept) == (2, 2)


def test_near_duplicates_are_found_among_many_and_others_left() -> None:
    dice, near = random.Random(3), NearDuplicates(0.8)
    texts = [[f"w{dice.randrange(500)}" for _ in range(60)] for _ in range(300)]
    for n, words in enumerate(texts):
        sketch = near.sketch(Content("", " ".join(words)))
        assert near.twin(sketch) is None
        near.add(f"row {n}", sketch)
    changed = Content("", " ".join([*texts[7], "more"]))
    assert near.twin(near.sketch(changed)) == "row 7"
    half = Content("", " ".join([*texts[7][:30], *texts[8][:30]]))
    assert near.twin(near.sketch(half)) is None


def test_a_curation_that_was_killed_goes_on_to_the_same_rows_and_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.data.curation._EVERY", 10)
    monkeypatch.setattr("finetune.data.curation._MARK_EVERY", 20)
    dice = random.Random(5)
    said = [" ".join(f"w{dice.randrange(300)}" for _ in range(40)) for _ in range(30)]
    # each once more word for word, and once with a word more, the later ones after the kill
    rows = [{"text": text} for text in said * 2] + [{"text": f"{text} more"} for text in said]
    rows.insert(3, {"text": f"{said[0]} ask jo@example.com", "source": "a"})
    path = write(tmp_path / "in.jsonl", *rows, "no JSON")
    whole = list(curate([path], tmp_path / "whole.jsonl"))

    out = tmp_path / "out.jsonl"
    events = curate([path], out)
    for event in events:
        if isinstance(event, Looked) and event.rows == 50:
            break
    assert event == Looked(50, event.kept, 92)
    events.close()  # what was written after the mark at 40 is cut off, as after kill -9
    assert not out.exists()
    first, *_, done = curate([path], out)
    assert isinstance(first, Looked)
    assert first.rows == 40
    assert isinstance(done, Curated)
    assert done == replace(whole[-1], resumed=40)
    for name in ("jsonl", "report.jsonl"):
        made = (tmp_path / f"out.{name}").read_bytes()
        assert made == (tmp_path / f"whole.{name}").read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        *("in.jsonl", "out.jsonl", "out.report.jsonl", "whole.jsonl", "whole.report.jsonl")
    ]


def test_a_curation_by_other_rules_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.data.curation._EVERY", 5)
    monkeypatch.setattr("finetune.data.curation._MARK_EVERY", 5)
    path = write(tmp_path / "in.jsonl", *({"text": f"{LONG} {n * n} {n}"} for n in range(12)))
    events = curate([path], tmp_path / "out.jsonl", rules=Rules(near=None))
    next(events)
    events.close()
    rules = Rules(near=None, max_tokens=999, tokenizer="one")
    events = curate([path], tmp_path / "out.jsonl", rules=rules, count_tokens=lambda _: 1)
    assert isinstance(next(events), Looked)
    events.close()
    *_, done = curate(
        [path],
        tmp_path / "out.jsonl",
        rules=replace(rules, tokenizer="another"),
        count_tokens=lambda _: 1,
    )
    assert isinstance(done, Curated)
    assert done.resumed == 0
    assert done.kept == len(read(tmp_path / "out.jsonl"))


def test_a_lock_whose_file_another_process_just_removed_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, flock = tmp_path / "a.jsonl.lock", fcntl.flock
    late = [lock]

    def flock_late(file: int, how: int) -> None:
        if late:
            late.pop().unlink()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    with held(tmp_path / "a.jsonl"):
        assert not late
        assert lock.exists()
        with pytest.raises(RunBusyError, match="Wait for it"), held(tmp_path / "a.jsonl"):
            pass
    assert not lock.exists()
