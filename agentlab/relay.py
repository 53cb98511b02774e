"""Relay: an iterator pumped by a thread of its own, so that Ctrl-C takes effect at once."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
# What a worker may take to notice that nobody listens: one piece of a prompt. A web request may
# take longer; it ends on its own.
PATIENCE_S = 5.0
_NAME = "agentlab-relay"


def is_waiting() -> bool:
    """Tell whether a worker that nobody listens to any more has not ended yet."""
    return any(thread.name == _NAME for thread in threading.enumerate())


class Relay(Generic[Item]):
    """Iterates over what `items` yields in a thread; an error there is raised here.

    Leaving the `with` block calls `cancel` and waits for the thread, at most PATIENCE_S seconds.
    """

    def __init__(self, items: Callable[[], Iterator[Item]], *, cancel: Callable[[], None]) -> None:
        self._items = items
        self._cancel = cancel
        self._queue: queue.SimpleQueue[tuple[Item | None, BaseException | None]] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._pump, name=_NAME, daemon=True)

    def __enter__(self) -> Iterator[Item]:
        self._thread.start()
        return self._drain()

    def __exit__(self, *exception: object) -> None:
        self._cancel()
        self._thread.join(PATIENCE_S)

    def _pump(self) -> None:
        try:
            for item in self._items():
                self._queue.put((item, None))
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that listens
            self._queue.put((None, error))
        else:
            self._queue.put((None, None))

    def _drain(self) -> Iterator[Item]:
        while True:
            item, error = self._queue.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
