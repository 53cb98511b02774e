"""Questions become rows by searching a real store; what also answers is never called wrong."""

import base64
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted import ScriptedModel, ScriptedWeb, WordEmbedder, call, small_library

from agentlab.agent import Agent
from agentlab.asked import Asked, of_collection, of_files, of_journal
from agentlab.cli.main import run
from agentlab.mining import MISSING, NO_ANSWER, NOT_FOUND, Mined, Miner, mine, packed, says
from agentlab.settings import Settings
from agentlab.starter.texts import Text, collection_of
from finetune.data.reading import kind_of
from finetune.errors import ExampleError
from finetune.retriever_rows import read_retriever_rows
from ingest.collection import Collection

HOTEL = (
    "A hotel night may cost 140 euros at most. Breakfast at the hotel is free for all who travel."
)
SAME = "The rule of the year before: a hotel night may cost 140 euros at most, and no more."
TRAIN = "A night train may cost 90 euros at most. The hotel is then not paid."
DRONE = "The drone carries 12 kilograms for 40 minutes. Its hotel is a crate."
QUESTION = "What may a hotel night cost?"
ASKED = Asked(QUESTION, HOTEL, "140 euros", "140 euros")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Collection]:
    texts = [
        Text("Travel", "Hotels", 1, HOTEL),
        Text("Travel", "Old", 2, SAME),
        Text("Travel", "Trains", 3, TRAIN),
        Text("Products", "Drone", 1, DRONE),
    ]
    collection = collection_of(texts, tmp_path / "store", WordEmbedder())
    yield collection
    collection.close()


def test_what_is_found_and_says_the_answer_too_is_no_negative(library: Collection) -> None:
    passage, sentence = Miner(library).searches(ASKED)
    assert passage["query"] == sentence["query"] == QUESTION
    assert passage["positive"] == f"Travel > Hotels\n{HOTEL}"
    assert passage["negatives"] == [f"Travel > Trains\n{TRAIN}", f"Products > Drone\n{DRONE}"]
    assert (passage["source"], passage["page"], passage["unit"]) == ("Travel.pdf", 1, "passage")
    assert sentence["positive"] == "A hotel night may cost 140 euros at most."
    assert sentence["negatives"][0] == "A night train may cost 90 euros at most."
    assert not any("140" in text for text in sentence["negatives"])
    assert "Breakfast at the hotel is free for all who travel." in sentence["negatives"]
    (alone,) = Miner(library, negatives=1, sentences=False).searches(ASKED)
    assert len(alone["negatives"]) == 1


def test_where_nobody_said_the_answer_what_is_as_like_the_question_may_be_it(
    library: Collection,
) -> None:
    near = "What rule has a hotel night of the year before at most?"
    (row,) = Miner(library).searches(Asked(near, HOTEL))
    cosines = {hit.chunk.embedded: hit.cosine for hit in library.search(near, limit=9)}
    right = cosines.pop(row["positive"])
    assert {text for text, like in cosines.items() if like <= 0.95 * right} == {*row["negatives"]}
    assert f"Travel > Old\n{SAME}" not in row["negatives"]


def test_a_passage_that_the_question_does_not_find_is_looked_up_and_a_foreign_one_left_out(
    library: Collection,
) -> None:
    rows = Miner(library).searches(
        Asked("Tell me?", f"  {DRONE.upper()} ", "12 kilograms", "12 kilograms")
    )
    assert rows[0]["positive"] == f"Products > Drone\n{DRONE}"
    assert Miner(library).searches(Asked(QUESTION, "Of another library.")) == MISSING


def test_made_questions_are_parts_of_passages_that_lose_the_sentence(tmp_path: Path) -> None:
    rng = random.Random(0)
    words = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("andor", "ilken", "ostar", "umber")]
    texts = [
        Text(
            "Book",
            "",
            n,
            " ".join(f"{' '.join(rng.sample(words, 10)).capitalize()}." for _ in "abc"),
        )
        for n in range(1, 40)
    ]
    with_texts = collection_of(texts, tmp_path, WordEmbedder())
    asked = of_collection(with_texts.store.chunks(), count=12)
    assert len(asked) == 12
    miner = Miner(with_texts)
    for each in asked:
        (row,) = miner.searches(each)
        assert says(each.passage, each.question)
        assert not says(row["positive"], each.question)
        assert len(row["positive"].split()) > 15
        assert not any(says(text, each.question) for text in row["negatives"])
    with_texts.close()


def test_a_lookup_holds_what_is_found_with_the_vectors_of_the_index(library: Collection) -> None:
    (row,) = Miner(library).lookups(ASKED)
    assert (row["question"], row["answer"], row["embedder"]) == (QUESTION, "140 euros", "words")
    assert len(row["passages"]) == 4
    assert [row["passages"][at]["text"] for at in row["right"]] == [
        f"Travel > Hotels\n{HOTEL}",
        f"Travel > Old\n{SAME}",
    ]
    for passage in row["passages"]:
        vector = np.frombuffer(base64.b64decode(passage["vector"]), "<f2")
        assert vector == pytest.approx(library.embedder.encode([passage["text"]])[0], abs=1e-3)
    assert Miner(library).lookups(Asked(QUESTION, HOTEL)) == NO_ANSWER
    assert Miner(library).lookups(Asked(QUESTION, HOTEL, "7 francs", "7 francs")) == NOT_FOUND


def test_words_are_found_whole_in_any_case_and_spacing() -> None:
    assert says("It was in\n 1945, at  Noon.", "1945, AT noon.")
    assert not says("It was in 1945.", "4")
    assert len(base64.b64decode(packed(np.zeros(384, np.float32)))) == 768


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_mining_that_is_killed_goes_on_and_gives_the_same_rows(
    library: Collection, tmp_path: Path
) -> None:
    asked = [
        ASKED,
        Asked(QUESTION, "elsewhere"),
        Asked("What carries it?", DRONE, "40 minutes", "40 minutes"),
    ]
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    miner = Miner(library)
    events = list(mine(asked, miner.searches, whole, about="a"))
    assert events[-1] == Mined(3, 3, 4, {MISSING: 1})
    next(mine(asked, miner.searches, killed, about="a"))
    kept = tmp_path / ".killed.jsonl.kept"
    with kept.open("a") as file:
        file.write('{"rows": [{"que')
    searched: list[Asked] = []

    def counted(each: Asked) -> Any:
        searched.append(each)
        return miner.searches(each)

    assert [event.done for event in mine(asked, counted, killed, about="a")] == [2, 3]
    assert searched == asked[1:]
    assert killed.read_bytes() == whole.read_bytes()
    assert not kept.exists()
    next(mine(asked, miner.searches, killed, about="a"))
    assert [event.done for event in mine(asked, miner.searches, killed, about="b")] == [1, 2, 3]
    assert kind_of(killed) == "search"
    assert len(read_retriever_rows([killed])) == 4


def test_questions_are_read_with_texts_or_spans_and_those_without_an_answer_are_left_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "asked.jsonl"
    rows = [
        {"question": "A?", "passage": "It is iron.", "answer": [6, 10], "document": "d"},
        {"query": "B?", "positive": "It is glass."},
        {"question": "C?", "passage": "It is here.", "answer": None},
        {"question": "D?", "context": "In 1901, it is said.", "answers": ["In 1901", "1901"]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = of_files([path])
    assert [(each.question, each.answer) for each in found] == [
        ("A?", "iron"),
        ("B?", ""),
        ("D?", "1901"),
    ]
    assert found[0].origin == {"document": "d"}
    path.write_text('{"question": "A?"}\n{"question": "A?", "passage": "x", "answer": [4, 9]}\n')
    with pytest.raises(ExampleError, match=r"`passage` is None[\s\S]*names no part of `passage`"):
        of_files([path])


def test_the_good_answers_of_the_journal_are_asked_with_the_passages_that_they_quote(
    tmp_path: Path,
) -> None:
    said = '"A hotel night may cost 140 euros at most." [1]\nAnswer: 140 euros [1]'
    settings = Settings(home=tmp_path, cache=tmp_path / "cache")
    chat = ScriptedModel(lines=[call("hotel"), said, call("hotel"), said])
    library = small_library()
    with Agent(settings, chat=chat, collection=library, provider=ScriptedWeb()) as agent:
        good, bad = agent.ask(QUESTION), agent.ask("And what else?")
        agent.feedback(good, "good")
        agent.feedback(bad, "bad")
        (asked,) = of_journal(agent.journal)
        rows = Miner(library).searches(asked)
    assert (asked.question, asked.answer) == (QUESTION, "140 euros")
    assert asked.passage.startswith("A hotel night may cost")
    assert [row["positive"] for row in rows] == [
        f"Travel Handbook > Hotels\n{asked.passage}",
        "A hotel night may cost 140 euros at most.",
    ]
    assert rows[0]["run"] == good.run


def test_without_any_questions_the_command_says_how_to_give_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("agentlab.library.open_collection", lambda *_, **__: small_library())
    code = run(["finetune", "mine", "--out", str(tmp_path / "o.jsonl"), "--home", str(tmp_path)])
    assert code == 2
    assert "give --questions FILE, --journal or --made N" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.slow
def test_a_library_is_mined_and_embedded_anew_by_what_was_tuned_on_it(
    tmp_path: Path, minilm_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from agentlab.demo import HANDBOOKS

    home, out = ["--home", str(tmp_path)], tmp_path / "rows.jsonl"
    assert run(["ingest", str(HANDBOOKS / "travel-and-expenses.pdf"), *home]) == 0
    capsys.readouterr()
    assert run(["finetune", "mine", "--made", "12", "--out", str(out), *home]) == 0
    heard = capsys.readouterr()
    assert heard.out == f"{out}\n"
    assert "12 questions, " in heard.err
    rows = lines(out)
    assert len(rows) > 9
    assert sum(len(row["negatives"]) for row in rows) > 20
    assert all(row["positive"] not in row["negatives"] for row in rows)

    from agentlab.library import open_collection

    tuned = str(tmp_path / "embedder")
    few = ["--set", "max_steps=3", "--set", "batch=4", "--set", "max_length=64"]
    given = ["--data", str(out), "--model", str(minilm_folder), "--out", tuned, *few]
    assert run(["finetune", "retriever", *given]) == 0
    assert run(["store", "reembed", "--embedder", tuned, "--quiet", *home]) == 0
    collection = open_collection(Settings(home=tmp_path))
    try:
        assert collection.embedder.name == tuned
        hits = collection.search("What is the hotel limit for technicians?", limit=3)
        assert any("hotel" in hit.chunk.text.lower() for hit in hits)
    finally:
        collection.close()
