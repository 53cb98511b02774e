"""Estimates: measured values with their 95 % intervals."""

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any, Literal

Z = 1.959964
_RESAMPLES = 2000
Pair = tuple[bool, bool]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, and of how many cases it is; nan where nothing was measured.

    `form` says how it is read: a share or area of 0..1, points of a hundred, or a plain number
    without an interval.
    """

    value: float
    low: float
    high: float
    of: str
    form: Literal["share", "area", "points", "number"]

    @property
    def measured(self) -> bool:
        """Tell whether there was anything to measure."""
        return not math.isnan(self.value)

    def __str__(self) -> str:
        if not self.measured:
            return "-"
        if self.form == "number":
            return f"{self.value:.1f}"
        if self.form == "points":
            return f"{self.value:+.1f} [{self.low:+.1f}, {self.high:+.1f}] of {self.of}"
        if self.form == "area":
            return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] of {self.of}"
        return f"{self.value:.1%} [{self.low:.0%}, {self.high:.0%}] of {self.of}"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields, with null where there is no number."""
        numbers = {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(self).items()
        }
        return numbers | {"text": str(self)}


def share(right: int, of: int) -> Estimate:
    """Estimate a share with Wilson's score interval."""
    if not of:
        return _nothing("share")
    value = right / of
    centre = value + Z * Z / (2 * of)
    spread = Z * math.sqrt(value * (1 - value) / of + Z * Z / (4 * of * of))
    scale = 1 + Z * Z / of
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return Estimate(value, max(0.0, low), min(1.0, high), str(of), "share")


def paired_points(pairs: Sequence[Pair]) -> Estimate:
    """Estimate how many points the first of each pair is right more often than the second.

    The interval is Agresti and Min's for matched pairs (Statistics in Medicine 24, 2005): Wald's
    after half a case has been added to each of the four cells.
    """
    if not pairs:
        return _nothing("points")
    count = len(pairs)
    gained = sum(one and not other for one, other in pairs)
    lost = sum(other and not one for one, other in pairs)
    n, b, c = count + 2, gained + 0.5, lost + 0.5
    centre = (b - c) / n
    spread = Z * math.sqrt(b + c - (b - c) ** 2 / n) / n
    value = 100 * (gained - lost) / count
    low, high = 100 * (centre - spread), 100 * (centre + spread)
    return Estimate(value, min(low, value), max(high, value), str(count), "points")


def paired_ratio(pairs: Sequence[Pair]) -> Estimate:
    """Estimate the first's rate as a share of the second's.

    The interval holds the middle 95 % of resampled sets of pairs (the percentile bootstrap).
    """
    value = _ratio(pairs)
    if math.isnan(value):
        return _nothing("share")
    rng = random.Random(0)
    found = sorted(
        ratio
        for _ in range(_RESAMPLES)
        if not math.isnan(ratio := _ratio(rng.choices(pairs, k=len(pairs))))
    )
    low, high = found[int(0.025 * len(found))], found[int(0.975 * len(found))]
    return Estimate(value, low, high, str(len(pairs)), "share")


def area(negatives: Sequence[float], positives: Sequence[float]) -> Estimate:
    """Estimate the area under the ROC curve: how often a positive scores above a negative.

    Ties count half. The interval is Hanley and McNeil's (Radiology 143, 1982): A plus or minus
    z times the root of (A(1-A) + (p-1)(A/(2-A) - A^2) + (n-1)(2A^2/(1+A) - A^2)) / (p n).
    """
    n, p = len(negatives), len(positives)
    if not n or not p:
        return _nothing("area")
    wins = sum((high > low) + 0.5 * (high == low) for high in positives for low in negatives)
    value = wins / (n * p)
    first = value / (2 - value) - value**2
    second = 2 * value**2 / (1 + value) - value**2
    variance = (value * (1 - value) + (p - 1) * first + (n - 1) * second) / (n * p)
    spread = Z * math.sqrt(max(0.0, variance))
    low, high = max(0.0, value - spread), min(1.0, value + spread)
    return Estimate(value, low, high, f"{p} + {n}", "area")


def average(values: Sequence[float]) -> Estimate:
    """Give the mean."""
    return _number(mean(values), values) if values else _nothing("number")


def middle(values: Sequence[float]) -> Estimate:
    """Give the median."""
    return _number(median(values), values) if values else _nothing("number")


def _ratio(pairs: Sequence[Pair]) -> float:
    base = sum(other for _, other in pairs)
    return sum(one for one, _ in pairs) / base if base else math.nan


def _number(value: float, values: Sequence[float]) -> Estimate:
    return Estimate(float(value), math.nan, math.nan, str(len(values)), "number")


def _nothing(form: Literal["share", "area", "points", "number"]) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, "0", form)
