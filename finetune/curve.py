"""The curves of a run, as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

SMOOTHING = 0.9
COLUMNS = 3


def draw_curve(lines: Sequence[Mapping[str, Any]], path: Path, *, loss: str) -> Path:
    """Draw each step's loss, faint, and its moving average; `loss` names it on the axis."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw(axes, lines, [float(line["loss"]) for line in lines])
    axes.set(xlabel="step", ylabel=loss, title="Training loss")
    figure.savefig(path, dpi=120)
    return path


def draw_measures(lines: Sequence[Mapping[str, Any]], path: Path) -> Path | None:
    """Draw what a method tells beside its loss, such as rewards, each in a field of its own."""
    measured = [line for line in lines if line.get("measures")]
    names = sorted({name for line in measured for name in line["measures"]})
    if not names:
        return None
    rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(rows, COLUMNS, place)
        seen = [line for line in measured if name in line["measures"]]
        _draw(axes, seen, [float(line["measures"][name]) for line in seen])
        axes.set(title=name)
    figure.savefig(path, dpi=100)
    return path


def _draw(axes: Axes, lines: Sequence[Mapping[str, Any]], values: Sequence[float]) -> None:
    steps = [line["step"] for line in lines]
    axes.plot(steps, values, color="tab:blue", alpha=0.3, linewidth=1)
    axes.plot(steps, smoothed(values), color="tab:blue", linewidth=2)
    axes.grid(alpha=0.3)


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the exponential moving average, corrected for its start."""
    averages: list[float] = []
    mean = weight = 0.0
    for value in values:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        averages.append(mean / weight)
    return averages
