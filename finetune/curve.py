"""The loss curve of a run, as a PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

SMOOTHING = 0.9


def draw_curve(lines: Sequence[Mapping[str, Any]], path: Path, *, loss: str) -> Path:
    """Draw each step's loss, faint, and its moving average; `loss` names it on the axis."""
    steps = [line["step"] for line in lines]
    losses = [float(line["loss"]) for line in lines]
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(steps, losses, color="tab:blue", alpha=0.3, linewidth=1)
    axes.plot(steps, smoothed(losses), color="tab:blue", linewidth=2)
    axes.set(xlabel="step", ylabel=loss, title="Training loss")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    return path


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the exponential moving average, corrected for its start."""
    averages: list[float] = []
    mean = weight = 0.0
    for value in values:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        averages.append(mean / weight)
    return averages
