"""`agentlab advise`: what to do with the data that there is, and the plan that does it."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from finetune.hardware import Hardware
    from finetune.situation import Advice, Goal, Situation, Start

EXAMPLES = """\b
Examples:
  agentlab advise --data manuals/ --goal "answer questions from our manuals"
  agentlab advise --data talks.jsonl --goal "call our tools right" --out plan.yaml
  agentlab advise --data talks.jsonl --data pairs.jsonl --gpu 24 --hours 4 --out plan.yaml
  agentlab advise --data thumbs.csv --model smollm2-135m --json | jq .headline

\b
Then:
  agentlab finetune run plan.yaml
"""

BEHAVIOURS = {
    "1": ("facts", "know what documents say"),
    "2": ("language", "speak the language of a field"),
    "3": ("task", "do one kind of task, in one form"),
    "4": ("tools", "use tools"),
    "5": ("preference", "write what people like more"),
    "6": ("reward", "get right what a program can check"),
}
UPLIFTS = {"1": ("some", "a little"), "2": ("clear", "clearly"), "3": ("best", "as good as can be")}


def advise(
    *,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Rows (JSONL, CSV, Parquet), texts, PDFs or folders (may be repeated).",
        ),
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option("--goal", metavar="WORDS", help="What shall be better, and how much."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME", help="Begin with this model: name, folder."),
    ] = None,
    base: Annotated[
        bool, typer.Option("--base", help="The --model was not tuned to chat.")
    ] = False,
    licence: Annotated[
        Literal["open", "terms", "any"],
        typer.Option("--licence", help="Models under Apache or MIT; with terms too; any."),
    ] = "open",
    hours: Annotated[
        float, typer.Option("--hours", min=0.1, metavar="H", help="Time that tuning may take.")
    ] = 8.0,
    gpu: Annotated[
        list[float] | None,
        typer.Option("--gpu", metavar="GB", help="Plan for a GPU of that size (may be repeated)."),
    ] = None,
    gpu_name: Annotated[
        str, typer.Option("--gpu-name", metavar="NAME", help="Its name, for its speed: 'A100'.")
    ] = "GPU",
    probe: Annotated[
        bool, typer.Option("--probe", help="Measure the CPU for two seconds (loads torch).")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the plan there.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the advice as JSON.")] = False,
) -> None:
    """Say whether to retrieve, to show examples or to tune.

    It says what, how, why and at what cost, from the rows, the machine, the goal and the limits. On
    a terminal it asks for a goal that is not given. Memory and time are estimates.
    """
    from finetune.advisor import advise as say
    from finetune.situation import Situation
    from finetune.survey import survey

    situation = Situation(
        found=survey(data or []),
        goal=_goal(goal),
        hardware=_hardware(gpu, gpu_name),
        start=_start(model, base=base) if model else None,
        licence=licence,
        hours=hours,
        speed=_probed() if probe and not gpu else None,
    )
    advice = say(situation)
    if as_json:
        sys.stdout.write(to_json(situation, advice) + "\n")
    else:
        _draw(situation, advice)
    if out and not advice.stages:
        sys.stderr.write(f"agentlab: {out} is not written: there is nothing to tune.\n")
    elif out:
        from agentlab.cli.training import template_for
        from finetune.advised_plan import write_plan

        runs, template = Path("runs") / out.stem, template_for(advice.model)
        write_plan(advice, out, out=runs, chat_template=template)
        sys.stderr.write(f"{out}: agentlab finetune run {out}\n")


def to_json(situation: "Situation", advice: "Advice") -> str:
    """Write what was found and what is advised as JSON."""
    value: dict[str, Any] = {
        "headline": advice.headline,
        "methods": advice.methods,
        "memory": advice.memory,
        "seconds": round(advice.seconds),
        **asdict(advice),
        "found": [asdict(each) for each in situation.found],
        "goal": asdict(situation.goal),
        "hardware": asdict(situation.hardware),
    }
    return json.dumps(value, ensure_ascii=False, indent=2)


def _goal(words: str | None) -> "Goal":
    from finetune.goals import goal_of

    if words is not None or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return goal_of(words or "")
    return ask_goal()


def ask_goal() -> "Goal":
    """Ask the three questions that make a goal."""
    from finetune.situation import Goal

    return Goal(
        behaviour=_pick("What shall be better?", BEHAVIOURS),
        uplift=_pick("How much?", UPLIFTS),
        may_forget=typer.confirm("May the model lose other skills for it?", default=False),
    )


def _pick(question: str, answers: dict[str, tuple[Any, str]]) -> Any:
    typer.echo(question)
    for key, (_, text) in answers.items():
        typer.echo(f"  {key} {text}")
    while (chosen := str(typer.prompt("A number")).strip()) not in answers:
        typer.echo(f"One of {', '.join(answers)}.")
    return answers[chosen][0]


def _hardware(sizes: list[float] | None, name: str) -> "Hardware":
    from dataclasses import replace

    from finetune.hardware import Gpu, find_hardware

    found = find_hardware()
    if not sizes:
        return found
    return replace(found, gpus=tuple(Gpu(name, round(size * 1e9)) for size in sizes))


def _start(model: str, *, base: bool) -> "Start":
    from agentlab.cli.training import whole_name
    from finetune.shape import shape_of
    from finetune.situation import Start

    name = whole_name(model)
    return Start(name, shape_of(name), base)


def _probed() -> Any:
    from finetune.probing import probe_cpu

    return probe_cpu()


def _draw(situation: "Situation", advice: "Advice") -> None:
    from finetune.advised_plan import told
    from finetune.amounts import duration, gigabytes

    lines = [advice.headline, ""]
    lines += [f"  data     {_about(each)}" for each in situation.found] or ["  data     none"]
    lines.append(f"  machine  {situation.hardware.summary}")
    lines.append(f"  model    {advice.model} ({advice.licence})")
    for number, stage in enumerate(advice.stages, start=1):
        shown = ", ".join(f"{key}={_plain(value)}" for key, value in stage.settings.items())
        cost = f"about {gigabytes(stage.memory)}, {duration(stage.seconds)}"
        lines += [f"  stage {number}  {stage.method}: {cost}", f"           {shown}"]
    lines += ["", "Why", *told(advice.reasons, indent="  ")]
    if advice.cautions:
        lines += ["", "Mind", *told(advice.cautions, indent="  ")]
    sys.stdout.write("\n".join(lines) + "\n")


def _about(found: Any) -> str:
    from finetune.amounts import counted, rounded
    from finetune.situation import NOUNS

    parts = [counted(found.rows, NOUNS[found.kind]), f"about {rounded(found.tokens)} tokens"]
    if found.duplicates:
        parts.append(f"{found.duplicates} of them duplicates")
    if found.faults:
        parts.append(f"{found.faults} cannot be read")
    return ", ".join(parts)


def _plain(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
