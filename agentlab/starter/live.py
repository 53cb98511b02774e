"""Questions whose answer changes from day to day, and talk that needs no search."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class LiveQuestion:
    """A question for today, and a web result that answers it."""

    text: str
    title: str
    site: str
    snippet: str
    sentence: str
    answer: str


# question | title of the page | site | sentence that answers | answer
_TEMPLATES = (
    "what's the weather like in {place} today?|{place} weather|weather.example|{place} is {sky} this {part} with {n} °C.|{sky} with {n} °C",
    "will it rain in {place} tomorrow|Forecast for {place}|forecast.example|Tomorrow brings {sky} weather to {place}, with a {p} % chance of rain.|a {p} % chance of rain",
    "What is the latest news about {topic}?|{topic}: news|dailypost.example|A new report on {topic} was published on {date}.|A new report was published on {date}",
    "What happened with {topic} this week?|This week: {topic}|weekly.example|This week, {number} experts met to discuss {topic} in {place}.|{number} experts met in {place}",
    "any news on {topic} today|Today in {topic}|headlines.example|Officials announced a review of {topic} this morning.|a review was announced",
    "What does {thing} cost right now?|{thing} price today|pricewatch.example|The price of {thing} stands at {money} today.|{money}",
    "current price of {thing}|Price of {thing}|markets.example|On {date}, {thing} traded at {money}.|{money}",
    "What is the exchange rate of the {currency} today?|{currency} rate|rates.example|One euro buys {rate} {currency} today.|{rate}",
    "How many people live in {place} now?|{place} population|census.example|The latest count puts the population of {place} at {big}.|{big}",
    "Who is the current {role} of {place}?|{role} of {place}|citynews.example|{person} has been the {role} of {place} since {month}.|{person}",
    "Is there a strike at {place} airport today?|{place} airport status|traffic.example|{place} airport reports {state} on {date}.|{state}",
    "What time does the sun set in {place} today?|Sunset in {place}|almanac.example|Today the sun sets in {place} at {clock}.|{clock}",
    "Who won the match in {place} last night?|Match report from {place}|sportsdesk.example|{team} won last night's match in {place} by {score}.|{team}",
    "Are trains to {place} running on time this morning?|Trains to {place}|rail.example|Trains to {place} run with {delay} minutes of delay this morning.|{delay} minutes of delay",
    "What is the current interest rate in {place}?|Interest rates|bank.example|The key interest rate in {place} currently stands at {pct} %.|{pct} %",
    "what's new in {topic} as of today?|{topic} update|journal.example|The newest study on {topic} appeared {ago} days ago.|a study that appeared {ago} days ago",
    "Has anything about {topic} changed since yesterday?|{topic} live|live.example|Since yesterday, {number} updates on {topic} have been posted.|{number} updates have been posted",
    "What are people saying about {topic} these days?|Opinions on {topic}|forum.example|In a poll taken this month, {p} % found {topic} important.|{p} % found it important",
    "What is the newest version of {software}?|{software} releases|software.example|{software} {version} was released on {date}.|{version}",
    "how high is inflation in {place} this month|Inflation in {place}|stats.example|Inflation in {place} stood at {pct} % this month.|{pct} %",
    "What is today's fuel price?|Fuel prices|fuel.example|A litre of diesel costs {litre} euros today.|{litre} euros",
    "Which events take place in {place} this weekend?|{place} events|agenda.example|The {event} takes place in {place} this weekend.|The {event}",
)  # fmt: skip
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
    question, title, site, sentence, answer = rng.choice(_TEMPLATES).split("|")
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
    *((text, _BYE) for text in ("Bye", "goodbye", "See you later", "Good night", "bye bye", "ciao")),
    *((text, _WELL) for text in (
        "How are you?", "how's it going", "How are you today?", "you ok?", "how do you do",
    )),
)  # fmt: skip
