"""The report of a run: its curves, numbers and settings on one page that needs no network."""

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, select_autoescape

from finetune.config import RunConfig
from finetune.curve import draw_curve, draw_measures
from finetune.run_folder import write


def write_report(
    folder: Path,
    config: RunConfig,
    metrics: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    *,
    loss: str,
) -> Path:
    """Draw loss.png, measures.png where a method tells more, and report.html with both."""
    pictures = [draw_curve(lines, folder / "loss.png", loss=loss)]
    more = draw_measures(lines, folder / "measures.png")
    pictures += [more] if more else []
    page = resources.files("finetune") / "report.html.jinja"
    template = Environment(autoescape=select_autoescape(default=True)).from_string(
        page.read_text(encoding="utf-8")
    )
    path = folder / "report.html"
    write(
        path,
        template.render(
            title=f"{metrics.get('method', 'run')} of {config.model}",
            pictures=[base64.b64encode(path.read_bytes()).decode() for path in pictures],
            metrics=flat({key: each for key, each in metrics.items() if key != "compared"}),
            compared=metrics.get("compared", {}),
            settings=flat(config.resolved()),
        ),
    )
    return path


def flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Return nested values as lines, their names joined by dots; numbers in four digits."""
    lines: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines += flat(value, f"{before}{name}.")
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append((f"{before}{name}", shown))
    return lines
