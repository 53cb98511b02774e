"""Redaction: keys taken out of texts and of other libraries' logs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

MASK = "[key hidden]"


def redacted(text: str, key: str) -> str:
    """Replace a key in a text, also where it is escaped for a URL."""
    for form in {key, quote(key, safe=""), quote_plus(key)} - {""}:
        text = text.replace(form, MASK)
    return text


class _KeyFilter(logging.Filter):
    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage(), self._key), None
        return True


@contextmanager
def hidden_from_logs(key: str, *loggers: str) -> Iterator[None]:
    """Mask a key in whatever these loggers write meanwhile.

    A filter acts only on records of the very logger it is added to, so each is named.
    """
    own = _KeyFilter(key)
    found = [logging.getLogger(name) for name in loggers]
    for logger in found:
        logger.addFilter(own)
    try:
        yield
    finally:
        for logger in found:
            logger.removeFilter(own)
