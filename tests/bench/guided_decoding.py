"""Seconds for an answer with and without the guide: same model, prompts and threads.

    python tests/bench/guided_decoding.py [MODEL_FOLDER]

Each question is a call and an answer to its result, over a cache that goes on from one to the
other as in the agent. Without a folder the starter is taken, where it has been merged.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from agentlab.prompts import (
    TOOLS,
    Shown,
    chat_template,
    observation,
    system_prompt,
    with_evidence,
)
from ingest.evidence import Evidence
from serve.local import LocalModel

CARD = "2 documents: Travel Handbook; Product Guide"
TITLES = ("Travel Handbook > Hotels", "Travel Handbook > Trains", "Product Guide > Kestrel")
PASSAGES = [
    [
        "The company pays for hotels near the place of work.",
        "A hotel night may cost 140 euros at most in grade B cities and 180 euros in grade A ones.",
        "Breakfast is free.",
    ],
    [
        "Train tickets are second class for journeys of less than four hours.",
        "The Head of Finance signs for every journey that costs more than 900 euros.",
    ],
    [
        "The Kestrel drone carries 12 kilograms for 40 minutes.",
        "Its warranty lasts 36 months.",
    ],
]
QUESTIONS = [
    ("What may a hotel night in a grade B city cost?", 0, 1),
    ("Who signs for a journey of 1,000 euros?", 1, 1),
    ("For how long can the Kestrel carry 12 kilograms?", 2, 0),
]


@dataclass
class Cost:
    """What the answers to all questions took, reading the prompts included."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    tokens: int = 0
    passes: int = 0


def ask(model: LocalModel, index: int, *, guided: bool, cost: Cost) -> list[str]:
    """Ask one question: the call, then the answer."""
    question, passage, sentence = QUESTIONS[index]
    messages = [
        {"role": "system", "content": system_prompt(card=CARD, today="2026-11-21")},
        {"role": "user", "content": with_evidence(question, Evidence("strong", 0.99, TITLES))},
    ]
    call = write(model, messages, guided, (), cost)
    best = PASSAGES[passage][sentence]
    shown = [
        Shown(n, f"Travel Handbook, p. {n}", " ".join(sentences).replace(best, f"»{best}"))
        for n, sentences in enumerate(PASSAGES, start=1)
    ]
    messages += [
        {"role": "assistant", "content": call},
        {"role": "tool", "content": observation("strong", shown)},
    ]
    return [call, write(model, messages, guided, [(best, passage + 1)], cost)]


def write(
    model: LocalModel, messages: list[dict[str, str]], guided: bool, quotes: object, cost: Cost
) -> str:
    """Let the model write one message and add up what it took."""
    wall, cpu = time.monotonic(), time.process_time()
    options = {"guided": True, "quotes": quotes} if guided else {}
    text = "".join(model.stream(messages, TOOLS, **options))  # type: ignore[arg-type]
    cost.seconds += time.monotonic() - wall
    cost.cpu_seconds += time.process_time() - cpu
    cost.tokens += model.usage[1]
    cost.passes += model.passes
    return text


def main() -> None:
    """Run both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    folder = parser.parse_args().model
    if folder is None:
        merged = (user_cache_path("agentlab") / "models").glob("adapter-*")
        folder = max(merged, key=lambda each: each.stat().st_mtime)
    model = LocalModel(folder, chat_template=chat_template())
    costs = {False: Cost(), True: Cost()}
    ask(model, 0, guided=True, cost=Cost())  # the first call of all reads the vocabulary
    for index in range(len(QUESTIONS)):
        for guided, cost in costs.items():
            model._forget()
            call, answer = ask(model, index, guided=guided, cost=cost)
            print(f"{'guided' if guided else 'free':7}{call!r}\n       {answer!r}")
    for guided, cost in costs.items():
        each = len(QUESTIONS)
        print(
            f"{'guided' if guided else 'free':7}a question: {cost.seconds / each:.2f} s, "
            f"{cost.cpu_seconds / each:.2f} CPU s, {cost.tokens / each:.0f} tokens in "
            f"{cost.passes / each:.0f} passes"
        )
    free, kept = costs[False], costs[True]
    print(
        f"free / guided: {free.seconds / kept.seconds:.2f} in seconds, "
        f"{free.cpu_seconds / kept.cpu_seconds:.2f} in CPU seconds"
    )


if __name__ == "__main__":
    main()
