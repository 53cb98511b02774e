"""Query likelihood: the text that a question is about makes it likely."""

from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_the_text_that_a_question_is_about_makes_it_likelier(rater: Any) -> None:
    texts = ["Bakers ring the foreman before a shift.", "The museum is closed on Mondays."]
    first, second = rater.rate("Can I see the paintings on Monday?", texts)
    assert second > first + 3


def test_of_a_long_text_the_end_counts(rater: Any) -> None:
    end = "Ferries sail at noon."
    long, short = (f"{'A long text. ' * count}{end}" for count in (400, 60))
    both = rater.rate("When do ferries sail?", [long, short])
    assert both[0] == pytest.approx(both[1], abs=0.5)  # in bf16 two readings differ a little


def test_nothing_to_rate_gives_nothing(rater: Any) -> None:
    assert rater.rate("When do ferries sail?", []).shape == (0,)
