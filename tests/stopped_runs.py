"""Runs of `finetune` that end before their time, for the tests of going on."""

from collections.abc import Generator

from finetune.events import Event, Saved


def stop_after(step: int, run: Generator[Event]) -> None:
    """Let a run save that step, and stop it there."""
    next(event for event in run if isinstance(event, Saved) and event.step == step)
    run.close()
