import math

import pytest

from agentlab import estimates


def test_wilsons_interval_is_the_published_one() -> None:
    found = estimates.share(9, 10)
    assert found.low == pytest.approx(0.5958, abs=1e-4)
    assert found.high == pytest.approx(0.9821, abs=1e-4)
    assert str(found) == "90.0% [60%, 98%] of 10"


def test_nothing_measured_is_a_dash_and_null() -> None:
    for found in (
        estimates.share(0, 0), estimates.paired_points([]), estimates.paired_ratio([(True, False)]),
        estimates.area([], [0.4]), estimates.average([]), estimates.middle([]),
    ):  # fmt: skip
        assert str(found) == "-"
        assert not found.measured
        assert found.to_dict()["value"] is None


def test_paired_points_count_what_only_one_of_two_finds() -> None:
    pairs = [(True, True)] * 80 + [(True, False)] * 4 + [(False, True)] * 6 + [(False, False)] * 10
    found = estimates.paired_points(pairs)
    assert found.value == pytest.approx(-2.0)
    # Agresti and Min: (b - c) / n +- z sqrt(b + c - (b - c)^2 / n) / n with b = 4.5, c = 6.5.
    spread = 100 * 1.959964 * math.sqrt(11 - 4 / 102) / 102
    assert found.low == pytest.approx(-200 / 102 - spread)
    assert found.high == pytest.approx(-200 / 102 + spread)
    assert str(found).startswith("-2.0 [")


def test_two_that_always_agree_still_have_an_interval() -> None:
    found = estimates.paired_points([(True, True)] * 50)
    assert found.value == 0
    assert found.low < 0 < found.high


def test_a_ratio_is_of_the_second_rate_and_repeats() -> None:
    pairs = [(True, True)] * 20 + [(False, True)] * 5 + [(False, False)] * 5
    found = estimates.paired_ratio(pairs)
    assert found.value == pytest.approx(0.8)
    assert 0.55 < found.low < 0.8 < found.high <= 1
    assert found == estimates.paired_ratio(pairs)


def test_the_area_counts_ties_half() -> None:
    assert estimates.area([0.1, 0.5], [0.5, 0.9]).value == pytest.approx(0.875)
    assert estimates.area([0.5, 0.5], [0.5]).value == 0.5


def test_the_areas_interval_is_hanleys_and_mcneils() -> None:
    found = estimates.area([0.0] * 58, [1.0] * 46 + [-1.0] * 5)
    area = 46 / 51
    first, second = area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
    error = math.sqrt((area * (1 - area) + 50 * first + 57 * second) / (51 * 58))
    assert found.low == pytest.approx(area - 1.959964 * error)
    assert found.high == pytest.approx(area + 1.959964 * error)
    assert found.of == "51 + 58"


def test_a_mean_and_a_median_are_plain_numbers() -> None:
    assert str(estimates.average([1, 2, 6])) == "3.0"
    assert str(estimates.middle([1, 2, 6])) == "2.0"
