"""Text: what a stream of tokens may show, and when.

A token can hold half a character, and a stop text can come in several tokens: both are held back
until it is known what they are.
"""

from collections.abc import Callable, Sequence

_HALF = "\N{REPLACEMENT CHARACTER}"


class TextPieces:
    """Turn tokens into pieces of text, never half a character."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._shown = 0
        """Tokens at the front that are shown; they stay as context, for blanks depend on it."""

    def add(self, token: int) -> str:
        """Return the text that the token completes, or nothing yet."""
        self._tokens.append(token)
        text = self._new_text()
        if text.endswith(_HALF):
            return ""
        del self._tokens[: self._shown]
        self._shown = len(self._tokens)
        return text

    def flush(self) -> str:
        """Return what is still held back, without a half character."""
        text = self._new_text().rstrip(_HALF)
        self._tokens, self._shown = [], 0
        return text

    def _new_text(self) -> str:
        before = self._decode(self._tokens[: self._shown])
        return self._decode(self._tokens)[len(before) :]


class StopText:
    """Pass text on until one of the stop texts appears in it."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(s for s in stops if s)
        self._held = ""
        self.seen = False

    def pass_on(self, text: str) -> str:
        """Return what can no longer be the beginning of a stop text."""
        if not self._stops or self.seen:
            return "" if self.seen else text
        self._held += text
        found = [at for s in self._stops if (at := self._held.find(s)) >= 0]
        if found:
            self.seen = True
            return self._cut(min(found), drop=True)
        return self._cut(len(self._held) - self._open_end())

    def flush(self) -> str:
        """Return what was held back, now that nothing follows."""
        return self._cut(len(self._held))

    def _open_end(self) -> int:
        """Return how many characters at the end may begin a stop text."""
        longest = min(len(self._held), max(map(len, self._stops)) - 1)
        sizes = range(longest, 0, -1)
        return next((n for n in sizes if self._stop_begins_with(self._held[-n:])), 0)

    def _stop_begins_with(self, text: str) -> bool:
        return any(s.startswith(text) for s in self._stops)

    def _cut(self, at: int, *, drop: bool = False) -> str:
        text, self._held = self._held[:at], "" if drop else self._held[at:]
        return text
