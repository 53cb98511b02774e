"""Kind: what a row is for, told by the names of its fields."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from finetune.data import parsing
from finetune.data.files import Record

Kind = Literal[
    "conversation", "instruction", "text", "pair", "label", "ranking", "prompt", "question",
    "route", "search", "lookup",
]  # fmt: skip
"""`question` rows train a reader, `route` rows a router, `search` rows a retriever, `lookup` rows a
retriever with its generator."""


@dataclass(frozen=True)
class Shape:
    """How rows of a kind are written, read, and what learns from them."""

    noun: str
    fields: str
    methods: tuple[str, ...]
    parse: Callable[[Record], Any]


def _question(record: Record) -> Any:
    from finetune.reader_rows import parse_reader_row

    return parse_reader_row(record)


def _route(record: Record) -> Any:
    from finetune.router_rows import parse_router_row

    return parse_router_row(record)


def _search(record: Record) -> Any:
    from finetune.retriever_rows import parse_retriever_row

    return parse_retriever_row(record)


def _lookup(record: Record) -> Any:
    from finetune.lookup_rows import parse_lookup

    return parse_lookup(record)


SHAPES: Mapping[Kind, Shape] = {
    "conversation": Shape(
        "conversation",
        '{"messages": [{"role": ..., "content": ...}, ...], "tools": [...]}',
        ("sft",),
        parsing.parse_conversation,
    ),
    "instruction": Shape(
        "instruction",
        '{"instruction": ..., "context": ..., "response": ...}',
        ("sft",),
        parsing.parse_instruction,
    ),
    "text": Shape("text", '{"text": ...}', ("cpt", "sft"), parsing.parse_text),
    "pair": Shape(
        "pair",
        '{"prompt": ..., "chosen": ..., "rejected": ...}',
        ("dpo", "orpo", "reward"),
        parsing.parse_pair,
    ),
    "label": Shape(
        "label",
        '{"prompt": ..., "completion": ..., "label": true or false}',
        ("kto",),
        parsing.parse_label,
    ),
    "ranking": Shape(
        "ranking",
        '{"prompt": ..., "completions": [best, ..., worst]}',
        ("reward", "dpo", "orpo"),
        parsing.parse_ranking,
    ),
    "prompt": Shape("prompt", '{"prompt": ...}', ("ppo", "grpo"), parsing.parse_prompt),
    "question": Shape(
        "question",
        '{"question": ..., "title": ..., "passage": ..., "answer": [start, end] or null}',
        ("reader",),
        _question,
    ),
    "route": Shape("labelled text", '{"text": ..., "label": ...}', ("router",), _route),
    "search": Shape(
        "search",
        '{"query": ..., "positive": ..., "negatives": [...]}',
        ("retriever",),
        _search,
    ),
    "lookup": Shape(
        "lookup",
        '{"question": ..., "answer": ..., "passages": [{"text": ..., "vector": ...}, ...]}',
        ("rag",),
        _lookup,
    ),
}

# The first whose fields a row has all; alternatives are other tools' names.
_TELLING: tuple[tuple[Kind, tuple[tuple[str, ...], ...]], ...] = (
    ("pair", (("chosen",), ("rejected",))),
    ("ranking", (("prompt",), ("completions",))),
    ("label", (("prompt",), ("completion",), ("label",))),
    ("conversation", (("messages", "conversations"),)),
    ("conversation", (("prompt",), ("completion",))),
    ("instruction", (("instruction",), ("response", "output"))),
    ("question", (("question",), ("passage",))),
    ("search", (("query",), ("positive",))),
    ("lookup", (("question",), ("passages",))),
    ("route", (("text",), ("label",))),
    ("text", (("text",),)),
    ("prompt", (("prompt",),)),
)


def kind_of_fields(names: Collection[str]) -> Kind | None:
    """Tell the kind of a row that has fields of these names, or None."""
    for kind, groups in _TELLING:
        if all(any(name in names for name in group) for group in groups):
            return kind
    return None
