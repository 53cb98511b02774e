"""Questions whose answer changes from day to day, and talk that needs no search.

What exams ask stands in files of its own, which no training reads.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from agentlab.small_talk import Said, all_said


@dataclass(frozen=True)
class LiveQuestion:
    """A question for today, and a web result that answers it."""

    text: str
    title: str
    site: str
    snippet: str
    sentence: str
    answer: str


_WORDS: dict[str, list[str]] = {
    name: words.split("/")
    for name, words in {
        "place": (
            "Oslo/Porto/Lyon/Turin/Ghent/Graz/Malmö/Riga/Kraków/Leeds/Cork/Bergen/Basel/Nairobi/"
            "Lima/Quito/Osaka/Hanoi/Perth/Denver/Austin/Boston/Toronto/Geneva/Tampere/Aarhus/"
            "Split/Valencia/Accra/Bogotá/Busan/Cardiff/Dakar/Dundee/Fez/Gdańsk/Halifax/Izmir/"
            "Jaipur/Kigali/Lagos/Lund/Mombasa/Nantes/Odense/Pune/Recife/Salem/Tbilisi/Utrecht/"
            "Vilnius/Windhoek/Yerevan/Zagreb/Cape Town/Hong Kong/San José/New Delhi/Tel Aviv"
        ),
        "now": "today/right now/at the moment/now/this morning/at this hour/just now",
        "soon": "today/tonight/this evening/this weekend/tomorrow/later today/tomorrow night",
        "when": "this morning/today/this week/this afternoon",
        "part": "morning/afternoon/evening",
        "day": "Monday/Tuesday/Wednesday/Thursday/Friday/Saturday/Sunday",
        "month": (
            "January/February/March/April/May/June/July/August/September/October/November/December"
        ),
        "sky": "sunny/cloudy/rainy/windy/foggy/snowy/clear/hazy/stormy/overcast",
        "level": "low/moderate/high/very high",
        "quality": "good/fair/poor/hazardous",
        "colour": "yellow/red/violet",
        "pollen": "birch/grass/ragweed/olive/hazel/alder/mugwort",
        "thing": (
            "gold/copper/wheat/crude oil/silver/coffee/natural gas/steel/cocoa/lithium/sugar/"
            "palm oil/cotton/maize/nickel/timber/rice/aluminium"
        ),
        "currency": (
            "dollars/yen/francs/kroner/zloty/pounds/rupees/pesos/forints/won/rand/lira/shekels"
        ),
        "coin": "dollars/euros/pounds",
        "role": (
            "mayor/governor/police chief/chief engineer/bishop/harbour master/fire chief/"
            "head of schools/ombudsman/chief planner"
        ),
        "person": (
            "Ana Ruiz/Karl Brandt/Mei Tanaka/Lars Holm/Ines Costa/Omar Haddad/Grace Achieng/"
            "Tomás Vega/Ivana Petrović/Noor Rahman/Pierre Lacombe/Sofia Lindgren/Kwame Mensah/"
            "Julia Novak/Daniel Okoye/Hana Suzuki/Marta Kowalska/Ravi Menon/Elif Demir/Sean Doyle"
        ),
        "state": "no strike/a strike of ground staff/normal service/long queues/a baggage backlog",
        "team": (
            "the Falcons/United/the Harbour Club/Rovers/the Lions/Athletic/the Comets/Wanderers/"
            "the Red Wolves/Sporting/the Mariners"
        ),
        "league": "the first division/the handball league/the ice hockey league",
        "software": (
            "Linux/Python/Firefox/Blender/PostgreSQL/Android/LibreOffice/Debian/Inkscape/nginx/"
            "Thunderbird/Rust/Krita/OpenSSL"
        ),
        "service": "Mailnest/CloudHarbor/PayFlow/Chatterbox/the tax portal/StreamHill/Bankly",
        "company": "Nordwell/Helix Motors/Baltia Air/Corvane/Sunmere Foods/Quillon/Tarn Energy",
        "product": "Lumo 4 phone/Kestrel e-bike/Vanta headset/Orbit console/Tessel laptop",
        "film": "Salt Road/The Ninth Ferry/Paper Moons/Low Winter/A Borrowed Name/Glass Harbour",
        "band": "The Copper Larks/Mona Vale/Night Ferry/Saint Orchid/The Tin Choir/Blue Meridian",
        "event": (
            "lantern festival/book fair/harbour run/jazz night/flea market/street food fair/"
            "film night/kite day/winter market/dance evening/wine walk/science slam"
        ),
        "venue": (
            "city museum/botanic garden/public library/swimming pool/zoo/town hall/"
            "national gallery/science centre/maritime museum"
        ),
        "street": "Mill Lane/Harbour Road/Station Square/Chapel Street/Linden Avenue",
        "road": "the A7/the E18/Route 9/the ring road/the M25/the coast road/Highway 61",
        "cause": (
            "a burst pipe/a fallen tree/flooding/a signal fault/a broken-down lorry/a gas leak/"
            "an unannounced march"
        ),
        "moved": "climbed/dropped/dipped/jumped/slipped",
        "running": (
            "sailing as planned/cancelled because of wind/running an hour late/"
            "out of service for repairs"
        ),
        "open": "open to all cars/closed to lorries/closed to all traffic/open with snow chains",
        "notice": "was lifted/was extended/was renewed",
        "fit": "is fit again/will miss two more weeks/is back in training/needs surgery",
        "through": "reached the final/lost in three sets/went out in the semi-final",
        "left": "a few seats are left/no tickets are left/tickets are on sale",
        "ahead": "will go ahead as planned/has moved indoors/has been called off",
        "office": "resigned/stepped down/was confirmed/began work",
        "party": "the Greens/the Liberals/the Farmers' List/the Civic Union/Labour/the Pirates",
        "measure": (
            "a new tax on flights/lower bus fares/a ban on scooters/a second bridge/"
            "longer opening hours/a public inquiry/more money for schools/tighter checks"
        ),
        "stock": "is in stock/is sold out/ships within two days/will be back next week",
        "papers": "only a passport/an online permit/a visa in advance/no visa for 90 days",
        "ends": "closes on Sunday/has been extended by a month/ended on Saturday",
        "confirmed": "confirmed/rejected/questioned",
        "mood": "hopeful/tense/calm/cautious/upbeat",
        "country": (
            "Norway/Portugal/Kenya/Peru/Japan/Vietnam/Canada/Chile/Ghana/Poland/Ireland/Georgia/"
            "Uruguay/Jordan/Thailand/Malta/Estonia/Morocco/Nepal/Panama/Slovenia/Denmark"
        ),
        "leader": (
            "prime minister/president/finance minister/foreign minister/health minister/"
            "opposition leader/central bank governor/speaker of parliament/army chief"
        ),
        "sport": (
            "tennis/cycling/swimming/chess/rowing/ski jumping/athletics/table tennis/snooker/"
            "darts/climbing/judo/handball/fencing"
        ),
        "wind": "north/south/west/north-west/south-west/south-east",
        "crypto": "bitcoin/ether/dogecoin/litecoin/solana",
        "index": "the FTSE 100/the DAX/the Nikkei/the CAC 40/the S&P 500/the Nasdaq",
        "item": (
            "butter/olive oil/firewood/chocolate/beef/orange juice/milk/bread/honey/flour/"
            "washing powder/baby formula/cat food/paint/salmon/cement"
        ),
        "gadget": (
            "washing machine/heat pump/pram/solar panel/cargo bike/sewing machine/violin/drone/"
            "tent/microwave/gaming laptop/lawn mower/smart watch/vacuum cleaner/fridge"
        ),
        "defect": (
            "a loose battery cover/traces of nuts/splinters of glass/a cable that overheats/"
            "a wrong label/a weak weld"
        ),
        "school": "primary school/secondary school/music school/kindergarten/technical college",
        "series": "Night Ward/The Glass Valley/Harbour Lights/Cold Ledger/Seven Kitchens",
        "game": "Starfold/Mudlark/Iron Orchard/Pocket Rally/Deepmire",
        "moon": "a waxing crescent/a waning crescent/a waxing half moon/a waning half moon",
        "planet": "Venus/Mars/Jupiter/Saturn/Mercury",
        "restaurant": "Casa Lupe/The Blue Door/Osteria Nove/Chez Mireille/Saffron Yard/Old Mill",
        "dish": "lentil soup/grilled trout/mushroom risotto/fish pie/chickpea curry/beef stew",
        "law": (
            "tenancy act/data protection act/cycling code/noise bylaw/copyright act/"
            "building code/working time act"
        ),
        "disease": "measles/flu/whooping cough/cholera/polio/yellow fever",
        "animal": "panda/elephant/tiger/otter/giraffe/rhino/penguin/wolf",
        "crop": "strawberries/cherries/plums/chestnuts/mushrooms/apricots",
    }.items()
}
# What surrounds the sentence that answers, as providers cut it from a page.
_AROUND = (
    "Updated hourly.", "More below.", "Read the full story on our site.", "Skip to content ...",
    "Figures are provisional.", "Sign up for our newsletter.", "Archive and background follow.",
    "You are reading: {title}.", "Posted {ago} hours ago.", "Last checked at {clock}.",
    "All times are local.", "Our reporters in {place} contributed to this page.",
    "Times and prices may change without notice.", "Share this page with your friends.",
    "We use cookies to improve this site.", "{number} comments.", "Photo: {person}.",
    "Get alerts for {title} on your phone.", "The next update follows at {clock}.",
    "Scroll down for charts, maps and earlier reports from the region.",
    "Readers in {place} can write to the desk at any time.", "Source: own research.",
    "See also our guide, which explains how the data are gathered and who checks them.",
    "This page refreshes by itself every {ago} minutes.", "Subscribers see more ...",
)  # fmt: skip
_PREFIXES = ("Quick question: ", "Hi, ", "Please tell me: ", "And ", "So, ", "hey, ")


def live_question(
    rng: random.Random, topics: Sequence[str], *, held_out: bool = False
) -> LiveQuestion:
    """Make a question for today; `topics` are subjects that the library covers."""
    template = rng.choice(_templates(held_out=held_out))
    values = _values(rng, rng.choice(topics))
    text, title, site, sentence, answer = (part.format(**values) for part in template)
    sentence = _capital(sentence)
    others = {**_values(rng, title), "title": title}
    around = rng.sample(_AROUND, rng.choice((0, 1, 2, 2, 3)))
    parts = [each.format(**others) for each in around]
    parts.insert(rng.randint(0, len(parts)), sentence)
    return LiveQuestion(_typed(text, rng), title, site, " ".join(parts), sentence, answer)


def _values(rng: random.Random, topic: str) -> dict[str, str]:
    """Draw a value for each slot; a name with a capital asks for a capital."""
    drawn = {name: rng.choice(words) for name, words in _WORDS.items()}
    drawn["place2"] = rng.choice([each for each in _WORDS["place"] if each != drawn["place"]])
    numbers = {
        "n": str(rng.randint(-12, 36)),
        "p": str(rng.randint(3, 97)),
        "number": str(rng.randint(3, 48)),
        "date": f"{rng.randint(1, 28)} {rng.choice(_WORDS['month'])}",
        "money": f"{rng.randint(12, 4800)}.{rng.randint(0, 99):02} {drawn['coin']}",
        "money2": str(rng.randint(12, 980)),
        "rate": f"{rng.uniform(0.4, 160):.2f}",
        "big": f"{rng.randint(2, 900)},{rng.randint(100, 999)}",
        "clock": f"{rng.randint(16, 21)}:{rng.randint(0, 59):02}",
        "min": str(rng.randint(10, 59)),
        "mag": str(rng.randint(1, 9)),
        "score": f"{rng.randint(1, 5)} to {rng.randint(0, 3)}",
        "delay": str(rng.randint(2, 55)),
        "pct": f"{rng.uniform(0.2, 9):.1f}",
        "ago": str(rng.randint(2, 9)),
        "version": f"{rng.randint(3, 140)}.{rng.randint(0, 9)}",
        "litre": f"1.{rng.randint(20, 99)}",
    }
    capitals = {_capital(name): _capital(word) for name, word in drawn.items()}
    return {**drawn, **capitals, **numbers, "topic": topic}


def _typed(text: str, rng: random.Random) -> str:
    """Write a question the way that people type: at times hurried, at times with a word before."""
    chance = rng.random()
    if chance < 0.15:
        return text.rstrip("?.").lower()
    if chance < 0.2:
        return text.rstrip("?.")
    if chance < 0.27 and _ASKS.match(text):
        return rng.choice(_PREFIXES) + text[0].lower() + text[1:]
    return text


@cache
def _templates(*, held_out: bool) -> tuple[tuple[str, ...], ...]:
    """Read the lines of question | page's title | site | sentence that answers | answer."""
    return tuple(
        tuple(line.split("|"))
        for line in _read("live_exam.txt" if held_out else "live.txt").splitlines()
    )


def small_talk(rng: random.Random, *, held_out: bool = False) -> Said:
    """Draw what people type that needs no search, in one of several spellings."""
    said = rng.choice(all_said(held_out=held_out))
    return said._replace(text=spelled(said.text, rng))


def spelled(text: str, rng: random.Random) -> str:
    """Type a line as people do: in lower case, with other marks, or as it is."""
    chance = rng.random()
    if chance < 0.2:
        return text.lower()
    if chance < 0.3:
        return _capital(text)
    if chance < 0.4 and text[-1].isalpha():
        return text + rng.choice(("!", ".", "...", "!!"))
    if chance < 0.5:
        return text.rstrip("?!.") or text
    return text


# Words after "the" that "current" cannot stand before, and words that already speak of time.
_NOT_BEFORE = (
    r"(?:current|present|first|last|next|same|most|least|only|other|two|name|names|difference|"
    r"purpose|reason|reasons|meaning|term|word|title|result|effect|origin|ongoing|\w+est)\b"
)
_TIMED = re.compile(
    r"\b(?:was|were|did|had|been|ago|now|nowadays|today|tonight|tomorrow|yesterday|yet|still|ever|"
    r"currently|current|present|presently|latest|recent|recently|century|\w*th centuries|will|"
    r"would|could have|first time|\d{4}s?)\b",
    re.IGNORECASE,
)
_THE = re.compile(
    rf"\b(?P<ask>(?:what(?:'s| is| are|s)|how (?:much|high|long|large|big) (?:is|are)|"
    rf"(?:tell me|give me)) the) (?!{_NOT_BEFORE})",
    re.IGNORECASE,
)
_WHO = re.compile(r"^who (?!is\b|does\b|has\b)\w{2,}[^s\W]s\b", re.IGNORECASE)
_PRESENT = re.compile(
    r"^(?:what|who|when|where|which|how)\b.*?\b(?:is|are|do|does|can|must|may|should|has|have)\b"
    r"|^what(?:'s|s)\b|^(?:do|does|can|must|may|is|are)\b",
    re.IGNORECASE,
)
# A search without a verb, such as "price of the seminar hall".
_PHRASE = re.compile(
    rf"(?!(?:wh|how|who|can|is|are|do)\w*\b|{_NOT_BEFORE})[a-z]+(?: [a-z]+)? of the ", re.IGNORECASE
)
_ASKS = re.compile(r"(?:wh\w+|how|can|could|do|does|did|has|must|may|is|are|was)\b", re.IGNORECASE)
_CLAUSE = re.compile(
    r",| (?:if|when|that|which|who|because|before|after|until|while|whose|during|from) | as\W*$|"
    r" (?:at night|at weekends|on \w+days?|in (?:summer|winter))\b",
    re.IGNORECASE,
)
_LEADS = (
    "As things stand, ", "Under the present rules, ", "At the moment, ", "As of now, ",
    "According to the latest version of the policy, ", "Under the current rules, ",
    "By the rules that apply now, ", "In the current edition, ", "At present, ",
)  # fmt: skip
_TAILS = (" at present", " now", " as things stand", " at the moment", " under the current rules",
          " these days", " as of now")  # fmt: skip


def timely(question: str, rng: random.Random) -> str:
    """Put words of time into a question on what a document states, which stay without effect.

    Meant for rules and facts of handbooks. A question about the past, or in a form that takes no
    such words, comes back unchanged.
    """
    if _TIMED.search(question):
        return question
    if _PHRASE.match(question):
        return "current " + question[0].lower() + question[1:]
    doing = _WHO.match(question)
    if not (doing or _PRESENT.search(question) or _THE.search(question)):
        return question
    forms = [_led(question, rng)] if _ASKS.match(question) else []
    if _THE.search(question):
        word = rng.choice(("current", "current", "present", "latest"))
        forms += [_THE.sub(rf"\g<ask> {word} ", question, count=1)] * 3
    if doing:
        forms += [question[:3] + " currently" + question[3:]] * 2
    if len(question.split()) <= 12 and not _CLAUSE.search(question):
        forms.append(_tailed(question, rng))
    return rng.choice(forms or [question])


def _led(question: str, rng: random.Random) -> str:
    lead = rng.choice(_LEADS)
    if question[0].islower():
        return lead.lower() + question
    return lead + question[0].lower() + question[1:]


def _tailed(question: str, rng: random.Random) -> str:
    body = question.rstrip("?. ")
    return body + rng.choice(_TAILS) + question[len(body) :].strip()


def _read(name: str) -> str:
    return resources.files("agentlab.starter").joinpath(name).read_text(encoding="utf-8")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
