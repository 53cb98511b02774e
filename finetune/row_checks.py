"""Row checks: what a method asks of its rows beyond their shape."""

from collections.abc import Sequence

from finetune.data.rows import Pair
from finetune.errors import ExampleError


def check_both_labels(labels: Sequence[bool]) -> None:
    """Raise ExampleError where all answers are labelled alike."""
    if len(set(labels)) < 2:
        raise ExampleError(
            f"All {len(labels)} answers are labelled {labels[0]}. KTO learns from both: add some "
            "of the other kind, or use sft on the good ones."
        )


def margin_of(pair: Pair) -> float:
    """Return by how much a row says that its better answer has to win; ExampleError for none."""
    margin = pair.extra.get("margin")
    if isinstance(margin, bool) or not isinstance(margin, int | float):
        raise ExampleError(
            f"{pair.place}: margins is on, but `margin` is {margin!r}, no number. Give each row "
            "one, or leave margins out."
        )
    return float(margin)
