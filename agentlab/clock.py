"""Clock: requests for the time or the date alone, recognised by their words, in English.

No document holds the answer, and a model knows none.
"""

import re
from datetime import datetime

from agentlab.probing import Wording
from agentlab.wholes import bare_request

_WHAT = r"(?:time|date|day(?: of the week)?|weekday|month|year)"
_NOW = r"(?:right now|now|today|currently|at the moment)"
_TELL = r"(?:(?:tell me|do you know|say)\s+)?"
_SURE = re.compile(
    rf"{_TELL}(?:what|which)\s+{_WHAT}\s+(?:is\s+(?:it|today)|(?:it|today)\s+is)(?:\s+{_NOW})?"
    rf"|{_TELL}(?:what(?:\s+is|'s)\s+)?(?:the\s+current|today's)\s+{_WHAT}"
    rf"|{_TELL}(?:what(?:\s+is|'s)\s+)?the\s+{_WHAT}\s+{_NOW}",
    re.IGNORECASE,
)
# After other questions "the date" may be that of a contract.
_ALONE = re.compile(r"(?:what(?:\s+is|'s)|tell me|say)\s+the\s+(?:time|date)", re.IGNORECASE)


def asks_the_clock(asked: Wording) -> bool:
    """Tell whether a request is for the time or the date of now, here, and for nothing else."""
    text = bare_request(asked.question.replace("’", "'"))
    return bool(_SURE.fullmatch(text) or (not asked.earlier and _ALONE.fullmatch(text)))


def tell_time(now: datetime) -> str:
    """Say the time and the date, and whose clock says so; `now` knows its zone."""
    date = f"{now:%A}, {now.day} {now:%B %Y}"
    return f"By this machine's clock it is {now:%H:%M} ({now.tzname()}) on {date}."
