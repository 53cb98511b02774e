"""The advisor: what is advised in which situation, and why."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from finetune.advisor import advise
from finetune.goals import goal_of
from finetune.hardware import Gpu, Hardware
from finetune.shape import find_model, shape_of
from finetune.situation import Found, Goal, Situation, Start

CPU = Hardware(2, 24 * 10**9, bf16=True)


def gpus(size: int, name: str = "NVIDIA A100", count: int = 1) -> Hardware:
    return Hardware(16, 64 * 10**9, (Gpu(name, size * 10**9),) * count)


LAPTOP_GPU = gpus(8, "RTX 4060")
DESK = gpus(24, "RTX 4090")
BIG = gpus(80)
TWO = gpus(80, count=2)


def found(kind: Any, rows: int, tokens_a_row: int = 400, **more: Any) -> Found:
    given = {"longest": 2 * tokens_a_row, "learned": 0.3, "paths": (f"{kind}.jsonl",)} | more
    return Found(kind, rows, rows * tokens_a_row, **given)


def talks(rows: int, **more: Any) -> Found:
    return found("conversation", rows, **more)


def pairs(rows: int, **more: Any) -> Found:
    return found("pair", rows, **more)


def thumbs(rows: int, good: int) -> Found:
    return found("label", rows, good=good)


def prompts(rows: int) -> Found:
    return found("prompt", rows, 60)


def texts(tokens: int) -> Found:
    return found("text", max(1, tokens // 2000), 2000, learned=1.0)


PDFS = found("document", 40, 9000, learned=0.0)
BASE = Start("smollm2-base", shape_of("smollm2-135m"), base=True)
LLAMA = Start("meta-llama/Llama-3.1-8B-Instruct", shape_of("meta-llama/Llama-3.1-8B-Instruct"))


@dataclass(frozen=True)
class Case:
    """A situation, what is to be advised in it, and the reasons with the facts behind them."""

    name: str
    rows: tuple[Found, ...]
    goal: str
    hardware: Hardware
    methods: tuple[str, ...]
    reasons: dict[str, str]
    retrieve: bool = False
    few_shot: bool = False
    model: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


TOOLS = "use our tools clearly better"
TONE = "answers that people prefer"

CASES = (
    # retrieve only
    Case(
        "documents and questions about them",
        (PDFS,),
        "answer questions from our handbooks",
        BIG,
        (),
        {"facts-belong-in-an-index": "40 documents", "model-to-serve": "16.4 GB of weights"},
        retrieve=True,
        model="Qwen/Qwen3-8B",
    ),
    Case(
        "documents on a machine without a GPU",
        (PDFS,),
        "know what the manuals say",
        CPU,
        (),
        {"facts-belong-in-an-index": "40 documents", "starter": "no GPU"},
        retrieve=True,
        model="starter",
    ),
    Case(
        "facts wanted, but no documents",
        (),
        "know the current prices",
        CPU,
        (),
        {"facts-without-documents": "there are no documents"},
        retrieve=True,
    ),
    Case(
        "documents without a word about the goal",
        (PDFS,),
        "",
        CPU,
        (),
        {"facts-belong-in-an-index": "40 documents"},
        retrieve=True,
    ),
    Case(
        "facts with many questions and answers, a little better",
        (PDFS, talks(900)),
        "answer from the handbooks a little better",
        DESK,
        (),
        {"facts-belong-in-an-index": "documents", "retrieval-suffices": "only some uplift"},
        retrieve=True,
    ),
    # few-shot
    Case(
        "nothing at all",
        (),
        "extract the fields as JSON",
        CPU,
        (),
        {"nothing-to-learn-from": "no data", "no-examples": "no conversations"},
        few_shot=True,
    ),
    Case(
        "a dozen examples",
        (talks(12),),
        "classify tickets",
        BIG,
        (),
        {"few-examples": "12 conversations"},
        few_shot=True,
    ),
    Case(
        "copies of few examples count once",
        (talks(80, duplicates=60),),
        "classify tickets",
        DESK,
        (),
        {"few-examples": "20 conversations", "duplicates": "60 of 80"},
        few_shot=True,
    ),
    Case(
        "some hundred examples and a small wish",
        (found("instruction", 200),),
        "summarise a little better",
        DESK,
        (),
        {"small-uplift": "200 instructions, some uplift"},
        few_shot=True,
    ),
    Case(
        "too few comparisons to learn from",
        (pairs(30),),
        TONE,
        DESK,
        (),
        {"nothing-to-learn-from": "30 pairs", "few-preferences": "30 pairs"},
        few_shot=True,
    ),
    Case(
        "only good thumbs",
        (thumbs(400, good=395),),
        TONE,
        DESK,
        (),
        {"one-sided-labels": "395 of them good"},
        few_shot=True,
    ),
    Case(
        "few thumbs",
        (thumbs(40, good=20),),
        TONE,
        DESK,
        (),
        {"few-labels": "40 labels"},
        few_shot=True,
    ),
    Case(
        "few prompts for a reward",
        (prompts(10),),
        "solve puzzles that a test verifies",
        BIG,
        (),
        {"few-prompts": "10 prompts"},
        few_shot=True,
    ),
    # sft
    Case(
        "many trajectories on a CPU",
        (talks(600, tokens_a_row=200, tool_calls=600),),
        TOOLS,
        CPU,
        ("sft",),
        {"examples": "600 conversations", "model-by-answers": "of 8 h", "cpu": "no GPU"},
        model="Qwen/Qwen3-0.6B",
        settings={"epochs": 2, "max_length": 1024, "batch": 8},
    ),
    Case(
        "so many trajectories on a CPU that only a small model can read them",
        (talks(6000),),
        TOOLS,
        CPU,
        ("sft",),
        {"examples": "6000 conversations", "model-by-hours": "of 8 h"},
        settings={"epochs": 1},
    ),
    Case(
        "more than any model reads in an hour on a CPU",
        (talks(20000),),
        TOOLS,
        CPU,
        ("sft",),
        {"examples": "20000", "too-long": "of 1 h"},
        model="HuggingFaceTB/SmolLM2-135M-Instruct",
        settings={"learning_rate": 8e-4},
        more={"hours": 1.0},
    ),
    Case(
        "a task on 8 GB",
        (talks(2000),),
        TOOLS,
        LAPTOP_GPU,
        ("sft",),
        {"examples": "2000", "four-bits": "14.5 GB", "model-by-memory": "of 8.0 GB"},
        model="mistralai/Mistral-7B-Instruct-v0.3",
        settings={"quantize_4bit": True},
    ),
    Case(
        "a task on 24 GB",
        (talks(2000),),
        TOOLS,
        DESK,
        ("sft",),
        {"examples": "2000", "model-by-uplift": "of 24.0 GB"},
        model="Qwen/Qwen3-8B",
        settings={"tuner": "lora", "batch": 16},
    ),
    Case(
        "the best on 80 GB",
        (talks(2000),),
        "use our tools as good as can be, the best",
        BIG,
        ("sft",),
        {"learn-much": "the best is wanted", "four-bits": "65.5 GB"},
        model="Qwen/Qwen3-32B",
        settings={"tuner": "rslora", "lora_rank": 64, "quantize_4bit": True},
    ),
    Case(
        "the best on two GPUs under any licence",
        (talks(2000),),
        "use our tools, the best",
        TWO,
        ("sft",),
        {"several-gpus": "2 GPUs", "learn-much": "the best"},
        model="Qwen/Qwen2.5-72B-Instruct",
        settings={"processes": 2, "batch": 16},
        more={"licence": "any"},
    ),
    Case(
        "a little better, and nothing may be forgotten",
        (talks(800),),
        "extract fields a little better",
        DESK,
        ("sft",),
        {"keep-skills": "no skill may be lost"},
        model="Qwen/Qwen3-4B",
        settings={"target_modules": ["gate_proj", "up_proj", "down_proj"], "lora_rank": 16},
    ),
    Case(
        "some hundred examples and a clear wish",
        (talks(120),),
        "classify tickets clearly better",
        DESK,
        ("sft",),
        {"examples": "120 conversations", "more-examples": "120 conversations"},
        settings={"epochs": 3, "batch": 8},
    ),
    Case(
        "tools that search documents",
        (PDFS, talks(900, tool_calls=900)),
        "an agent that calls our search",
        DESK,
        ("sft",),
        {"documents-are-searched": "40 documents", "examples": "900 conversations"},
        retrieve=True,
    ),
    Case(
        "facts, and the house's way of answering",
        (PDFS, found("instruction", 1500)),
        "answer from our documents clearly better",
        DESK,
        ("sft",),
        {"facts-belong-in-an-index": "40 documents", "examples": "1500 instructions"},
        retrieve=True,
    ),
    Case(
        "very long rows",
        (talks(800, longest=30_000),),
        TOOLS,
        DESK,
        ("sft",),
        {"long-rows": "30000 tokens"},
        settings={"max_length": 4096},
    ),
    Case(
        "broken rows",
        (talks(800, faults=3),),
        TOOLS,
        DESK,
        ("sft",),
        {"broken-rows": "3 rows"},
    ),
    # the start
    Case(
        "a model that is given",
        (talks(2000),),
        TOOLS,
        DESK,
        ("sft",),
        {"model-given": "of 24.0 GB"},
        model="meta-llama/Llama-3.1-8B-Instruct",
        more={"start": LLAMA},
    ),
    Case(
        "a model that does not fit",
        (talks(2000),),
        TOOLS,
        gpus(4),
        ("sft",),
        {"model-given": "of 4.0 GB", "does-not-fit": "of 4.0 GB"},
        model="meta-llama/Llama-3.1-8B-Instruct",
        settings={"quantize_4bit": True},
        more={"start": LLAMA},
    ),
    # text
    Case(
        "much text of a field, and examples",
        (texts(8_000_000), talks(900)),
        "speak clinical jargon",
        DESK,
        ("cpt", "sft"),
        {"much-text": "8.0 million", "examples": "900", "learn-much": "much text"},
        settings={"tuner": "rslora", "max_length": 2048},
    ),
    Case(
        "much text of a field alone",
        (texts(8_000_000),),
        "the legal language of our contracts",
        DESK,
        ("cpt",),
        {"much-text": "8.0 million", "reading-unlearns-answering": "no conversations"},
    ),
    Case(
        "little text of a field",
        (texts(90_000), talks(900)),
        "our jargon",
        DESK,
        ("sft",),
        {"too-little-text": "about 90,000 tokens", "examples": "900"},
    ),
    Case(
        "so much text that all weights are trained",
        (texts(60_000_000),),
        "speak our dialect, it may forget the rest",
        BIG,
        ("cpt",),
        {"full": "60 million", "much-text": "60.0 million"},
        settings={"tuner": "full", "learning_rate": 2e-5},
        more={"licence": "open"},
    ),
    # judgements
    Case(
        "pairs alone",
        (pairs(800),),
        TONE,
        DESK,
        ("dpo",),
        {"pairs": "800 pairs"},
        settings={"epochs": 1},
    ),
    Case(
        "examples and pairs",
        (talks(2000), pairs(800)),
        TONE,
        DESK,
        ("sft", "dpo"),
        {"examples": "2000", "pairs": "800 pairs"},
    ),
    Case(
        "text, examples and pairs",
        (texts(5_000_000), talks(2000), pairs(800)),
        "speak our jargon",
        BIG,
        ("cpt", "sft", "dpo"),
        {"much-text": "5.0 million", "examples": "2000", "pairs": "800"},
    ),
    Case(
        "rankings",
        (found("ranking", 300),),
        TONE,
        DESK,
        ("dpo",),
        {"pairs": "300 rankings"},
    ),
    Case(
        "pairs on a model that was never tuned to chat",
        (pairs(800, tokens_a_row=100),),
        TONE,
        CPU,
        ("orpo",),
        {"pairs-on-a-base-model": "smollm2-base is not tuned to chat"},
        more={"start": BASE},
    ),
    Case(
        "thumbs of both kinds",
        (thumbs(900, good=600),),
        TONE,
        DESK,
        ("kto",),
        {"thumbs": "900 labels, 600 of them good"},
        settings={"micro_batch": 2},
    ),
    Case(
        "pairs and thumbs",
        (pairs(800), thumbs(900, good=600)),
        TONE,
        DESK,
        ("dpo",),
        {"pairs": "800", "labels-left-out": "900 labels"},
    ),
    Case(
        "pairs, many prompts, a GPU, and the best is wanted",
        (pairs(2000), prompts(3000)),
        "what people prefer, as good as possible: the best",
        BIG,
        ("reward", "ppo"),
        {"prompts-to-explore": "3000 prompts"},
    ),
    Case(
        "the same on a CPU",
        (pairs(500, tokens_a_row=60), prompts(3000)),
        "what people prefer, the best",
        CPU,
        ("dpo",),
        {"pairs": "500 pairs"},
    ),
    Case(
        "prompts that a function checks",
        (prompts(400),),
        "solve maths that a test verifies",
        BIG,
        ("grpo",),
        {"checkable": "400 prompts"},
    ),
    Case(
        "examples first, then trying",
        (talks(900), prompts(400)),
        "reward fewer calls",
        BIG,
        ("sft", "grpo"),
        {"examples": "900", "checkable": "400 prompts"},
    ),
    # rows for other models
    Case(
        "rows that train a reader",
        (found("question", 4000),),
        "find the answer in passages",
        CPU,
        (),
        {"rows-of-a-reader": "4000 question rows"},
        retrieve=True,
    ),
    Case(
        "rows that train a router",
        (found("route", 500),),
        "tell what kind of text it is",
        CPU,
        (),
        {"rows-of-a-router": "500 route rows"},
        few_shot=True,
    ),
)


def situation(case: Case) -> Situation:
    return Situation(case.rows, goal_of(case.goal), case.hardware, **case.more)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_advice_and_its_reasons_are(case: Case) -> None:
    advice = advise(situation(case))
    told = {each.rule: each.fact for each in (*advice.reasons, *advice.cautions)}
    assert (advice.methods, advice.retrieve, advice.few_shot) == (
        case.methods,
        case.retrieve,
        case.few_shot,
    ), told
    for rule, fact in case.reasons.items():
        assert rule in told
        assert fact in told[rule]
    assert case.model in (None, advice.model)
    if case.settings:
        assert case.settings.items() <= dict(advice.stages[0].settings).items()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_plan_takes_more_memory_than_there_is_without_saying_so(case: Case) -> None:
    advice = advise(situation(case))
    rules = advice.rules()
    assert advice.memory <= 0.9 * case.hardware.device_memory or "does-not-fit" in rules
    hours = case.more.get("hours", 8.0)
    assert advice.seconds <= 3600 * hours or "too-long" in rules or "does-not-fit" in rules


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_reason_names_a_rule_once_and_a_fact(case: Case) -> None:
    advice = advise(situation(case))
    rules = advice.rules()
    assert len(rules) == len(set(rules))
    assert all(each.says and each.fact for each in (*advice.reasons, *advice.cautions))


@pytest.mark.parametrize(("licence", "allowed"), [("open", {"yes"}), ("terms", {"yes", "terms"})])
@pytest.mark.parametrize("size", [8, 24, 48, 80])
def test_only_models_of_the_licence_are_advised(licence: Any, allowed: set[str], size: int) -> None:
    goal = Goal("tools", "best")
    advice = advise(Situation((talks(2000),), goal, gpus(size), licence=licence))
    model = find_model(advice.model)
    assert model
    assert model.commercial in allowed
    assert model.licence == advice.licence


def test_more_memory_never_gives_a_smaller_model() -> None:
    goal = Goal("tools", "best")
    sizes = [
        shape_of(advise(Situation((talks(2000),), goal, gpus(size))).model).parameters
        for size in (6, 8, 12, 16, 24, 48, 80, 141)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_method_that_writes_while_it_learns_takes_all_gpus_too() -> None:
    goal = Goal("reward")
    one, two = (advise(Situation((prompts(400),), goal, each)) for each in (BIG, TWO))
    assert two.stages[0].settings["processes"] == 2
    assert two.stages[0].settings["batch"] == one.stages[0].settings["batch"]
    assert one.seconds > two.seconds


def test_more_hours_never_give_a_smaller_model() -> None:
    base = Situation((talks(3000),), Goal("tools"), CPU)
    sizes = [
        shape_of(advise(replace(base, hours=hours)).model).parameters for hours in (1, 8, 40, 200)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize(
    ("words", "goal"),
    [
        ("answer questions from our handbooks", ("facts", "clear", False)),
        ("a little more polite", ("preference", "some", False)),
        ("call the booking API", ("tools", "clear", False)),
        ("extract invoices as JSON, as good as possible, the best", ("task", "best", False)),
        ("speak the jargon of nurses", ("language", "clear", False)),
        ("the unit tests pass", ("reward", "clear", False)),
        ("classify mails, nothing else matters", ("task", "clear", True)),
        ("make it nice", ("unclear", "clear", False)),
        ("", ("unclear", "clear", False)),
    ],
)
def test_a_goal_is_read_from_words(words: str, goal: tuple[str, str, bool]) -> None:
    read = goal_of(words)
    assert (read.behaviour, read.uplift, read.may_forget) == goal


@pytest.mark.parametrize(
    ("advised", "headline"),
    [
        ((PDFS,), "Retrieve from the documents; do not tune."),
        ((talks(3),), "Show examples in the prompt; do not tune."),
        ((talks(900), pairs(300)), "Tune: sft -> dpo."),
    ],
)
def test_the_headline_says_it_in_one_line(advised: tuple[Found, ...], headline: str) -> None:
    assert advise(Situation(advised, goal_of(""), DESK)).headline == headline
