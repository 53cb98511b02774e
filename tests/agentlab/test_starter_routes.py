import json
from collections import Counter
from pathlib import Path

from agentlab.router import ASK, LIBRARY, LIVE, TALK
from agentlab.small_talk import replies
from agentlab.starter.questions import held_out_articles, held_out_web_questions
from agentlab.starter.routes import about_library, write_intents, write_routes


def read(file: Path) -> list[tuple[str, str]]:
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [(row["text"], row["label"]) for row in rows]


def test_rows_are_of_three_kinds_each_once_and_nothing_held_out(
    shared_questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "routes.jsonl"
    count = write_routes(shared_questions, out)
    rows = read(out)
    assert len(rows) == count
    assert len(set(rows)) == count
    kinds = Counter(label for _, label in rows)
    assert set(kinds) == {ASK, LIVE, TALK}
    assert min(kinds.values()) > 2000
    unseen = {
        each.text for article in held_out_articles(shared_questions) for each in article.questions
    }
    unseen |= {each.text for each in held_out_web_questions(shared_questions)}
    assert not {text for text, _ in rows} & unseen


def test_the_second_router_learns_every_intent_of_talk_and_what_is_asked_of_the_library(
    tmp_path: Path,
) -> None:
    out = tmp_path / "intents.jsonl"
    count = write_intents(out)
    rows = read(out)
    assert len(rows) == len(set(rows)) == count
    assert {label for _, label in rows} == {ASK, LIBRARY} | {f"{TALK}:{each}" for each in replies()}


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
