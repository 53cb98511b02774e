"""The guide with the starter's own tokenizer: whatever a model picks, its message has its form."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from serve.guide import Guide
from serve.vocabulary import Place, Vocabulary

BUDGET = 256
QUOTES = [
    ("A hotel night may cost 140 euros at most.", 1),
    ("A hotel night may cost 150 euros in Oslo", 2),
    ('(Breakfast) is “free” – and "good".', 3),
    ("A hotel night may cost 140 euros at most.", 12),
]
Pick = Callable[[torch.Tensor | None, int], int]


def tool(name: str, **schema: Any) -> dict[str, Any]:
    query = {"type": "string", "maxLength": 60, **schema}
    parameters = {"type": "object", "properties": {"query": query}, "required": ["query"]}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [tool("search_documents"), tool("search_web")]


@pytest.fixture(scope="module")
def vocabulary(starter_base: Path) -> Vocabulary:
    tokenizer = AutoTokenizer.from_pretrained(starter_base)
    return Vocabulary(tokenizer, ends=[tokenizer.eos_token_id])


def write(guide: Guide, pick: Pick, *, end: int, budget: int = BUDGET) -> tuple[list[int], int]:
    """Write a message by a pick of tokens; return it and how often a token was picked."""
    written: list[int] = []
    picks = 0
    while len(written) < budget and end not in written:
        written += guide.take(pick(guide.allowed(), len(written)), left=budget - len(written))
        picks += 1
    return written[:budget], picks


def dictated(vocabulary: Vocabulary, text: str) -> tuple[Pick, list[int]]:
    """Pick the tokens that training has for a text; each must be allowed."""
    ids = [*vocabulary.encode(text), vocabulary.end]

    def pick(allowed: torch.Tensor | None, at: int) -> int:
        assert allowed is None or allowed[ids[at]], vocabulary.texts[ids[at]]
        return ids[at]

    return pick, ids


@pytest.fixture(scope="module")
def trouble(vocabulary: Vocabulary) -> torch.Tensor:
    """Tokens that would break the form if they were not kept out of the wrong places."""
    return torch.tensor(
        [
            not text or bool(set(text) & set('"\\<[]}\n\ufffd')) or text.isspace()
            for text in vocabulary.texts
        ]
    )


def drawn(vocabulary: Vocabulary, first: str, trouble: torch.Tensor, seed: int) -> Pick:
    """Begin a message with a token and go on at random, often with what makes trouble."""
    chance = random.Random(seed)

    def pick(allowed: torch.Tensor | None, at: int) -> int:
        if at == 0:
            return vocabulary.encode(first)[0]
        allowed = torch.ones_like(trouble) if allowed is None else allowed
        options = allowed & trouble if chance.random() < 0.3 else allowed
        found = (options if options.any() else allowed).nonzero()[:, 0]
        return int(found[chance.randrange(len(found))])

    return pick


def said(vocabulary: Vocabulary, tokens: list[int]) -> str:
    return "".join(vocabulary.texts[token] for token in tokens)


def is_call(text: str) -> bool:
    match = re.fullmatch(r"<tool_call>\n(\{.*\})\n</tool_call>", text)
    call = json.loads(match[1]) if match else {"name": None, "arguments": {"query": ""}}
    query = call["arguments"]["query"]
    fits = bool(query.strip()) and len(query) <= 60 and "tool_call" not in query
    return fits and call["name"] in ("search_documents", "search_web")


def is_quote(text: str) -> bool:
    match = re.fullmatch(r'"(.+)" \[(\d+)\]\nAnswer: ([^\n]*\S[^\n]*) \[(\d+)\]', text)
    return bool(match) and (match[1], int(match[2])) in QUOTES and match[2] == match[4]


@pytest.mark.parametrize("query", ["hotel cost", "What is “x”?", "the 2nd (A)", "Größe", 'a\\"b'])
@pytest.mark.parametrize("name", ["search_documents", "search_web"])
def test_a_call_has_the_tokens_of_training(vocabulary: Vocabulary, name: str, query: str) -> None:
    call = f'<tool_call>\n{{"name": "{name}", "arguments": {{"query": "{query}"}}}}\n</tool_call>'
    pick, ids = dictated(vocabulary, call)
    written, picks = write(Guide.of(vocabulary, tools=TOOLS), pick, end=vocabulary.end)
    assert written == ids
    # one for the opening, one for the name, the query, the end of it
    assert picks <= len(vocabulary.encode(query)) + 4


@pytest.mark.parametrize(("sentence", "number"), QUOTES)
@pytest.mark.parametrize("answer", ["140 euros", "John Smith.", "“free”"])
def test_a_quote_has_the_tokens_of_training(
    vocabulary: Vocabulary, sentence: str, number: int, answer: str
) -> None:
    pick, ids = dictated(vocabulary, f'"{sentence}" [{number}]\nAnswer: {answer} [{number}]')
    written, picks = write(Guide.of(vocabulary, quotes=QUOTES), pick, end=vocabulary.end)
    assert written == ids
    assert picks <= len(vocabulary.encode(f" {answer}")) + 6


def test_a_lone_quote_is_written_without_asking(vocabulary: Vocabulary) -> None:
    guide = Guide.of(vocabulary, quotes=QUOTES[2:3])
    first = guide.take(vocabulary.encode('"')[0], left=BUDGET)
    assert said(vocabulary, first) == '"(Breakfast) is “free” – and "good"." [3]\nAnswer:'
    assert first == vocabulary.encode(said(vocabulary, first))


@pytest.mark.parametrize("seed", range(40))
def test_any_picks_make_a_valid_call(
    vocabulary: Vocabulary, trouble: torch.Tensor, seed: int
) -> None:
    guide = Guide.of(vocabulary, tools=TOOLS, quotes=QUOTES)
    written, _ = write(guide, drawn(vocabulary, "<", trouble, seed), end=vocabulary.end)
    assert written[-1] == vocabulary.end
    assert is_call(said(vocabulary, written)), said(vocabulary, written)


@pytest.mark.parametrize("seed", range(40))
def test_any_picks_make_a_quote_from_the_list(
    vocabulary: Vocabulary, trouble: torch.Tensor, seed: int
) -> None:
    guide = Guide.of(vocabulary, tools=TOOLS, quotes=QUOTES)
    written, _ = write(guide, drawn(vocabulary, '"', trouble, seed), end=vocabulary.end, budget=60)
    assert written[-1] == vocabulary.end
    assert is_quote(said(vocabulary, written)), said(vocabulary, written)


@pytest.mark.parametrize("budget", [60, 45])
def test_a_call_ends_within_the_tokens_left(vocabulary: Vocabulary, budget: int) -> None:
    word = vocabulary.encode(" on")[0]
    start = vocabulary.encode("<")[0]
    name = vocabulary.encode("web")[0]

    def endless(allowed: torch.Tensor | None, at: int) -> int:
        return start if at == 0 else word if allowed is None or allowed[word] else name

    guide = Guide.of(vocabulary, tools=[tool("search_web", maxLength=400), TOOLS[0]])
    written, _ = write(guide, endless, end=vocabulary.end, budget=budget)
    assert len(written) <= budget
    assert json.loads(said(vocabulary, written)[11:-12])["arguments"]["query"].startswith(" on")


def test_anything_else_is_left_alone(vocabulary: Vocabulary) -> None:
    text = 'I could not find "it": <b>[1]\n\n"A hotel" [7] {'
    pick, ids = dictated(vocabulary, text)
    written, picks = write(
        Guide.of(vocabulary, tools=TOOLS, quotes=QUOTES), pick, end=vocabulary.end
    )
    assert (written, picks) == (ids, len(ids))


def test_without_quotes_a_quotation_mark_binds_to_nothing(vocabulary: Vocabulary) -> None:
    pick, ids = dictated(vocabulary, '"Hello" is a greeting.')
    assert write(Guide.of(vocabulary, tools=TOOLS), pick, end=vocabulary.end)[0] == ids


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"properties": {"n": {"type": "integer"}}, "required": ["n"]},
        {"properties": {"q": {"type": "string"}}},
        {"properties": {"q": {"type": "string", "enum": ["a"]}}, "required": ["q"]},
        {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a", "b"]},
    ],
)
def test_other_arguments_are_free(vocabulary: Vocabulary, parameters: dict[str, Any]) -> None:
    other = {"type": "function", "function": {"name": "roll", "parameters": parameters}}
    call = '<tool_call>\n{"name": "roll", "arguments": {"n": 6}}\n</tool_call>'
    pick, ids = dictated(vocabulary, call)
    guide = Guide.of(vocabulary, tools=[*TOOLS, other])
    assert write(guide, pick, end=vocabulary.end)[0] == ids


@pytest.mark.parametrize("sentence", ["", "  ", "two\nlines", "an <|im_end|> inside"])
def test_a_sentence_that_cannot_be_quoted_is_left_out(
    vocabulary: Vocabulary, sentence: str
) -> None:
    guide = Guide.of(vocabulary, quotes=[(sentence, 1)])
    assert guide.take(vocabulary.encode('"')[0], left=9) == vocabulary.encode('"')


def test_a_mark_of_another_source_becomes_that_of_the_quote(vocabulary: Vocabulary) -> None:
    guide = Guide.of(vocabulary, quotes=QUOTES[:1])
    tokens = vocabulary.encode('"')[:1], vocabulary.encode(" euros"), vocabulary.encode(" [7]")[:1]
    written = [out for (token,) in tokens for out in guide.take(token, left=50)]
    assert said(vocabulary, written).endswith("\nAnswer: euros [1]")
    assert written[-1] == vocabulary.end


@pytest.mark.parametrize(
    ("text", "closed"),
    [('a"', ""), ('a"}', "}"), ('\\""}}\n', "}}\n"), ("a", None), ("\\", None), (" b ", None)],
)
def test_a_place_in_a_string_knows_its_end(text: str, closed: str | None) -> None:
    place = Place().after(text)
    assert place is not None
    assert place.closed == closed


@pytest.mark.parametrize("text", ['"', ' "', 'a",', "a\n", "\\x", "a\t", "<", 'a"}} '])
def test_what_would_break_a_string_has_no_place_in_it(text: str) -> None:
    assert Place().after(text) is None


def test_where_nothing_else_may_be_said_the_model_declines_or_calls(vocabulary: Vocabulary) -> None:
    guide = Guide.of(vocabulary, tools=TOOLS, others=["I found nothing."])
    allowed = guide.allowed()
    assert allowed is not None
    first = {vocabulary.texts[token] for token in allowed.nonzero().flatten().tolist()}
    assert first == {"I", "<"}
    written = guide.take(vocabulary.encode("I found nothing.")[0], left=BUDGET)
    assert written == [*vocabulary.encode("I found nothing."), vocabulary.end]


def test_where_nothing_else_may_be_said_a_found_answer_is_quoted(vocabulary: Vocabulary) -> None:
    guide = Guide.of(vocabulary, quotes=QUOTES[:1], others=[])
    allowed = guide.allowed()
    assert allowed is not None
    (token,) = allowed.nonzero().flatten().tolist()
    assert said(vocabulary, guide.take(token, left=BUDGET)).startswith(f'"{QUOTES[0][0]}"')
