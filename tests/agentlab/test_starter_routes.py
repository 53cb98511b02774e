import json
from collections import Counter
from pathlib import Path

from agentlab.router import ASK, LIBRARY, LIVE, TALK
from agentlab.small_talk import replies
from agentlab.starter.questions import held_out_articles, held_out_web_questions
from agentlab.starter.routes import about_library, write_routes


def test_rows_are_of_four_kinds_each_once_and_nothing_held_out(
    shared_questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "routes.jsonl"
    count = write_routes(shared_questions, out)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == count
    assert len({(row["text"], row["label"]) for row in rows}) == count
    kinds = Counter(row["label"].partition(":")[0] for row in rows)
    assert set(kinds) == {ASK, LIVE, LIBRARY, TALK}
    assert min(kinds[each] for each in (ASK, LIVE, TALK)) > 2000
    talk = {row["label"] for row in rows} - {ASK, LIVE, LIBRARY}
    assert talk == {f"{TALK}:{intent}" for intent in replies()}
    unseen = {
        each.text for article in held_out_articles(shared_questions) for each in article.questions
    }
    unseen |= {each.text for each in held_out_web_questions(shared_questions)}
    assert not {row["text"] for row in rows} & unseen


def test_no_line_about_the_library_is_both_trained_on_and_asked_in_exams() -> None:
    trained = {text.casefold().strip("?!. ") for text, _ in about_library()}
    asked = {text.casefold().strip("?!. ") for text, _ in about_library(held_out=True)}
    assert len(trained) > 150
    assert len(asked) == 30
    assert not trained & asked


def test_the_same_seed_writes_the_same_rows(shared_questions: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write_routes(shared_questions, first, seed=2)
    write_routes(shared_questions, second, seed=2)
    assert first.read_bytes() == second.read_bytes()
