"""Questions whose answer changes from day to day, and talk that needs no search."""

import random
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class LiveQuestion:
    """A question for today, and a web result that answers it."""

    text: str
    title: str
    site: str
    snippet: str
    sentence: str
    answer: str


_PLACES = (
    "Oslo Porto Lyon Turin Ghent Graz Malmö Riga Kraków Leeds Cork Bergen Basel Nairobi Lima Quito "
    "Osaka Hanoi Perth Denver Austin Boston Toronto Geneva Tampere Aarhus Split Valencia"
).split()
_WORDS: dict[str, tuple[str, ...]] = {
    "sky": ("sunny", "cloudy", "rainy", "windy", "foggy", "snowy", "clear"),
    "part": ("morning", "afternoon", "evening"),
    "thing": ("gold", "copper", "wheat", "crude oil", "silver", "coffee", "natural gas", "steel"),
    "currency": ("dollars", "yen", "francs", "kroner", "zloty", "pounds", "rupees"),
    "role": ("mayor", "governor", "police chief", "chief engineer", "bishop"),
    "person": ("Ana Ruiz", "Karl Brandt", "Mei Tanaka", "Lars Holm", "Ines Costa", "Omar Haddad"),
    "month": ("January", "March", "May", "July", "October", "December"),
    "state": ("no strike", "a strike of ground staff", "normal service", "long queues"),
    "team": ("the Falcons", "United", "the Harbour Club", "Rovers", "the Lions"),
    "software": ("Linux", "Python", "Firefox", "Blender", "PostgreSQL", "Android", "LibreOffice"),
    "event": ("lantern festival", "book fair", "harbour run", "jazz night", "flea market"),
}
_OPENERS = (
    "Updated hourly.",
    "More below.",
    "Read the full story on our site.",
    "Figures are provisional.",
    "Sign up for our newsletter.",
    "Archive and background follow.",
)


def live_question(rng: random.Random, topics: list[str]) -> LiveQuestion:
    """Make a question for today; `topics` are subjects that the library covers."""
    question, title, site, sentence, answer = rng.choice(_templates())
    values = {
        **{name: rng.choice(words) for name, words in _WORDS.items()},
        "place": rng.choice(_PLACES),
        "topic": rng.choice(topics),
        "n": str(rng.randint(-12, 36)),
        "p": str(rng.randint(3, 97)),
        "number": str(rng.randint(3, 48)),
        "date": f"{rng.randint(1, 28)} {rng.choice(_WORDS['month'])}",
        "money": f"{rng.randint(12, 4800)}.{rng.randint(0, 99):02} dollars",
        "rate": f"{rng.uniform(0.4, 160):.2f}",
        "big": f"{rng.randint(20, 900)},{rng.randint(100, 999)}",
        "clock": f"{rng.randint(16, 21)}:{rng.randint(0, 59):02}",
        "score": f"{rng.randint(1, 5)} to {rng.randint(0, 3)}",
        "delay": str(rng.randint(2, 55)),
        "pct": f"{rng.uniform(0.2, 9):.1f}",
        "ago": str(rng.randint(2, 9)),
        "version": f"{rng.randint(3, 140)}.{rng.randint(0, 9)}",
        "litre": f"1.{rng.randint(20, 99)}",
    }
    filled = [part.format(**values) for part in (question, title, site, sentence, answer)]
    held = filled[3][0].upper() + filled[3][1:]
    extras = rng.sample(_OPENERS, 2)
    parts = [extras[0], held, extras[1]] if rng.random() < 0.5 else [held, *extras]
    return LiveQuestion(filled[0], filled[1], filled[2], " ".join(parts), held, filled[4])


@cache
def _templates() -> list[list[str]]:
    """Read the lines of question | page's title | site | sentence that answers | answer."""
    text = resources.files("agentlab.starter").joinpath("live.txt").read_text(encoding="utf-8")
    return [line.split("|") for line in text.splitlines()]


_GREETING = "Hello! Ask me about your documents, or about anything on the web."
_ABLE = "I search your documents and the web, and answer with the source of what I say."
_THANKS = "You're welcome. What else would you like to know?"
_BYE = "Goodbye!"
_WELL = "I'm well, thank you. What would you like to know?"
SMALL_TALK = (
    *((text, _GREETING) for text in (
        "Hello", "hi", "Hey there!", "Good morning", "good evening", "Hi, how does this work?",
        "hello there", "Good afternoon!", "hey", "Hi!", "Greetings", "yo", "hello, anyone there?",
    )),
    *((text, _ABLE) for text in (
        "Who are you?", "What can you do?", "what are you", "How can you help me?", "help",
        "Tell me what you can do", "Are you a robot?", "what do you know", "What's your name?",
        "can you help me?", "How do you work?", "what is this",
    )),
    *((text, _THANKS) for text in (
        "Thanks!", "thank you", "Great, thanks", "Thank you very much.", "ok thanks", "perfect",
        "Nice work", "That helps, thank you", "cool", "Got it", "Well done!", "that's all I needed",
    )),
    *((text, _BYE) for text in ("Bye", "goodbye", "See you", "Good night", "bye bye", "ciao")),
    *((text, _WELL) for text in (
        "How are you?", "how's it going", "How are you today?", "you ok?", "how do you do",
    )),
)  # fmt: skip
