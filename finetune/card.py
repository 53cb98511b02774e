"""Card: what a tuned model is, from which data, how it was trained and what it scored.

The form is the model card of Mitchell et al. 2019 ("Model Cards for Model Reporting") with the
YAML head that the model hub reads.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from finetune.errors import ModelError
from finetune.servability import FORMS, Form, recipe_of

HIDDEN = frozenset({"lineage", "versions", "adapter_sha256", "model_sha256", "compared"})


@dataclass(frozen=True)
class Facts:
    """What a card tells; `licences` are as they were given, by what they are of.

    `gguf` is the name of the file, where the model lies in one.
    """

    name: str
    base: str
    form: Form
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    licences: Mapping[str, str] = field(default_factory=dict)
    max_lora_rank: int | None = None
    gguf: str | None = None


def read_facts(run: Path, facts: Facts) -> Facts:
    """Add what a run's folder says of itself; an adapter of another trainer says less."""
    try:
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        metrics = {}
    except ValueError as error:
        raise ModelError(f"{run / 'metrics.json'} is no valid JSON: {error}. Mend it.") from error
    return replace(facts, recipe=recipe_of(run), metrics=metrics)


def licence_of(folder: Path) -> str | None:
    """Return the licence that a model's own card names, if it has one."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    parts = text.split("---", 2)
    if len(parts) < 3 or parts[0].strip():
        return None
    try:
        head = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return None
    return str(head["license"]) if isinstance(head, dict) and head.get("license") else None


def write_card(facts: Facts) -> str:
    """Return the card as Markdown."""
    how = f" by {facts.metrics['method']}" if "method" in facts.metrics else ""
    packed = ", as a GGUF" if facts.gguf else ""
    parts = [
        f"---\n{yaml.safe_dump(_head(facts), sort_keys=False)}---",
        f"# {facts.name}",
        f"{facts.base}, tuned{how}; this folder is {FORMS[facts.form]}{packed}.",
        "\n".join(f"- {note}" for note in facts.notes),
        "## Use",
        _use(facts),
        "## Data",
        _lineage(facts.metrics.get("lineage", {})),
        "## Training",
        _compared(facts.metrics.get("compared")),
        _numbers(facts.metrics),
        f"```yaml\n{yaml.safe_dump(dict(facts.recipe), sort_keys=False)}```"
        if facts.recipe
        else "",
        "## Licences",
        _licences(facts.licences),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(facts: Facts) -> dict[str, Any]:
    whole = facts.form in ("merged", "model")
    head: dict[str, Any] = {"base_model": facts.base}
    if facts.licences.get("model"):
        head["license"] = facts.licences["model"]
    head["library_name"] = "transformers" if whole else "peft"
    return head | {"tags": [str(facts.recipe.get("tuner", "lora")), "agentlab"]}


def _use(facts: Facts) -> str:
    if facts.gguf:
        lines = "ollama create tuned -f Modelfile\nollama run tuned"
    elif facts.form in ("merged", "model"):
        lines = "vllm serve . --served-model-name tuned --chat-template chat_template.jinja"
    else:
        lines = (
            f"vllm serve {facts.base} --enable-lora --max-lora-rank {facts.max_lora_rank} \\\n"
            "  --lora-modules tuned=. --chat-template chat_template.jinja"
        )
    return f"```text\n{lines}\n```"


def _lineage(lineage: Mapping[str, str]) -> str:
    if not lineage:
        return "The folder of the run does not say what it was trained on."
    rows = [f"| {name} | `{sha}` |" for name, sha in lineage.items()]
    return "\n".join(["| what | SHA-256 |", "|---|---|", *rows])


def _numbers(metrics: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {value} |" for name, value in _flat(metrics).items()]
    return "\n".join(["| measure | value |", "|---|---|", *rows]) if rows else ""


def _flat(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in metrics.items():
        if not prefix and name in HIDDEN:
            continue
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name} ")
        elif isinstance(value, float):
            flat[prefix + name] = f"{value:.4g}"
        elif isinstance(value, int | str):
            flat[prefix + name] = str(value)
    return flat


def _compared(compared: Mapping[str, Mapping[str, Any]] | None) -> str:
    if not compared:
        return ""
    names = list(dict.fromkeys(name for each in compared.values() for name in each))
    rows = [
        f"| {tuner} | " + " | ".join(_cell(each.get(name)) for name in names) + " |"
        for tuner, each in compared.items()
    ]
    return "\n".join([f"| tuner | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|", *rows])


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str("" if value is None else value)


def _licences(licences: Mapping[str, str]) -> str:
    rows = [f"- {what}: {licences.get(what, 'not given')}" for what in ("model", "base", "data")]
    return "\n".join(rows)
