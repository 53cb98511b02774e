"""Query likelihood: the text that a question is about makes it likely."""

from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_the_text_that_a_question_is_about_makes_it_likelier(rater: Any) -> None:
    texts = ["Bakers ring the foreman before a shift.", "The museum is closed on Mondays."]
    first, second = rater.rate("Can I see the paintings on Monday?", texts)
    assert second > first + 3


def test_texts_rated_together_get_what_they_get_alone(rater: Any) -> None:
    texts = ["A long text. " * 40 + "Ferries sail at noon.", "Meals are paid."]
    together = rater.rate("When do ferries sail?", texts)
    alone = [float(rater.rate("When do ferries sail?", [text])[0]) for text in texts]
    assert together == pytest.approx(alone, abs=1.0)  # bf16 rounds by the shape of the batch


def test_nothing_to_rate_gives_nothing(rater: Any) -> None:
    assert rater.rate("When do ferries sail?", []).shape == (0,)
