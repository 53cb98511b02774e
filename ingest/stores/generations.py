"""Generations: a collection is made anew beside itself, then takes its own place in one step.

The first generation bears the collection's name alone. A note tells the number of the one in force.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ingest.errors import StoreError

Result = TypeVar("Result")

POINTER = "generation"
FIRST = 1


def in_force(note: Mapping[str, Any] | None) -> int:
    """Read the note that tells which generation is in force."""
    return int(note["number"]) if note else FIRST


def check_droppable(number: int, current: int) -> None:
    """Raise StoreError for the generation in force, which is all that the collection has."""
    if number == current:
        raise StoreError(f"Generation {number} of the collection is in force and stays.")


def steady(generation: Callable[[], int], read: Callable[[int], Result]) -> Result:
    """Read a generation, and the next one where nothing came of it since it was replaced meanwhile.

    `generation` tells the one in force, which `read` is given.
    """
    number = generation()
    try:
        if result := read(number):
            return result
    except StoreError:
        if generation() == number:
            raise
        return read(generation())
    now = generation()
    return result if now == number else read(now)
