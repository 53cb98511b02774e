"""Choice: the model and the settings of planned stages, the largest that fit memory and hours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from finetune.amounts import billions, duration, gigabytes
from finetune.estimate import estimate
from finetune.policy_config import GrpoConfig
from finetune.shape import ModelShape, find_model, known_models
from finetune.situation import Found, Reason, Situation, Stage, Uplift
from finetune.workload import MethodName, Workload, workload_of

Planned = tuple[MethodName, tuple[Found, ...]]

CEILING: dict[Uplift, float] = {"some": 4.5e9, "clear": 9.5e9, "best": 80e9}
"""Parameters above which no model is looked for: what is wanted does not ask for more."""

ALLOWED = {"open": ("yes",), "terms": ("yes", "terms"), "any": ("yes", "terms", "no")}
MLP = ("gate_proj", "up_proj", "down_proj")
WINDOWS = (256, 512, 1024, 2048, 4096, 8192)
MUCH = 20_000_000
"""Tokens that hold more than an adapter does: from here on full tuning learns more of them
(Schulman et al. 2025, "LoRA Without Regret")."""

EPISODE = {name: GrpoConfig.model_fields[name].default for name in ("turns", "turn_tokens")}
ANSWER_TOKENS = 128
SMALL = 500_000_000
"""Parameters below which a LoRA bears the learning rate of the starter model."""

ANSWERS = 5.0
"""Tokens a second below which a person does not wait for an answer: on a CPU the limit of size."""

FREE_FOR_SERVING = 1.25
"""How much more than its weights a served model takes: its cache and the engine."""


@dataclass(frozen=True)
class Choice:
    """The model, the stages with their settings and cost, and the reasons for both."""

    model: str
    licence: str
    stages: tuple[Stage, ...] = ()
    between: Literal["continue", "merge"] = "continue"
    reasons: tuple[Reason, ...] = ()
    cautions: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class _Option:
    """One model in one precision, with what the stages would take."""

    shape: ModelShape
    licence: str
    four_bits: bool
    stages: tuple[Stage, ...]

    @property
    def memory(self) -> int:
        return max(stage.memory for stage in self.stages)

    @property
    def hours(self) -> float:
        return sum(stage.seconds for stage in self.stages) / 3600

    def fits(self, situation: Situation) -> bool:
        return self.memory <= 0.9 * situation.hardware.device_memory

    def within(self, situation: Situation) -> bool:
        return self.fits(situation) and self.hours <= situation.hours


def choose(situation: Situation, planned: Sequence[Planned]) -> Choice:
    """Choose the model of the planned stages; without any, the one that answers."""
    if not planned:
        return _to_serve(situation)
    options = list(_options(situation, planned))
    chosen = next((each for each in options if each.within(situation)), None)
    cautions: list[Reason] = []
    if chosen is None:
        chosen = next((each for each in options[::-1] if each.fits(situation)), options[-1])
        cautions.append(_over_the_limit(chosen, situation))
    reasons = [_why_this_model(chosen, options, situation)]
    reasons += _why_this_tuner(chosen, situation, planned)
    if len(situation.hardware.gpus) > 1:
        says = "a process on each GPU takes its share of every batch (ppo and grpo take one GPU)"
        reasons.append(Reason("several-gpus", says, f"{len(situation.hardware.gpus)} GPUs"))
    longest = max(each.longest for _, some in planned for each in some)
    window = max(int(str(stage.settings["max_length"])) for stage in chosen.stages)
    if _window(longest) > window and any(method != "cpt" for method, _ in planned):
        says = "rows that are longer than max_length are left out: shorten or split them"
        cautions.append(Reason("long-rows", says, f"the longest has about {longest} tokens"))
    return Choice(
        model=chosen.shape.name,
        licence=chosen.licence,
        stages=chosen.stages,
        between="merge" if chosen.stages[0].settings.get("tuner") == "full" else "continue",
        reasons=tuple(reasons),
        cautions=tuple(cautions),
    )


def _options(situation: Situation, planned: Sequence[Planned]) -> Iterator[_Option]:
    """Yield what could be tuned, the largest model first, each in bf16 before 4 bits."""
    precisions = (False, True) if situation.hardware.gpus else (False,)
    for shape, licence in _models(situation):
        for four_bits in precisions:
            settings = _tuning(situation, planned, shape, four_bits=four_bits)
            stages = tuple(
                _stage(method, some, situation, shape, settings) for method, some in planned
            )
            yield _Option(shape, licence, four_bits, stages)


def _models(situation: Situation) -> list[tuple[ModelShape, str]]:
    if situation.start:
        known = find_model(situation.start.name)
        named = replace(situation.start.shape, name=situation.start.name)
        return [(named, known.licence if known else "as the model's card says")]
    models = [each for each in known_models() if each.commercial in ALLOWED[situation.licence]]
    ceiling = _ceiling(situation)
    return [(each.shape, each.licence) for each in models[::-1] if each.shape.parameters <= ceiling]


def _ceiling(situation: Situation) -> float:
    """Return the parameters above which no model is looked for; each token reads all of them."""
    wanted = CEILING[situation.goal.uplift]
    if situation.hardware.gpus:
        return wanted
    smallest = known_models()[0].shape.parameters
    return max(smallest, min(wanted, situation.pace.bandwidth / (2 * ANSWERS)))


def _tuning(
    situation: Situation, planned: Sequence[Planned], shape: ModelShape, *, four_bits: bool
) -> dict[str, object]:
    """Return the settings of the adapter, which are the same for all stages that continue it."""
    goal = situation.goal
    reads = any(method == "cpt" for method, _ in planned)
    if _wants_full(situation, planned) and not four_bits and len(planned) == 1:
        return {"tuner": "full", "learning_rate": 2e-5}
    settings: dict[str, object] = {"tuner": "lora", "lora_rank": 32}
    if goal.uplift == "best" or reads:
        settings = {"tuner": "rslora", "lora_rank": 64}
    elif goal.uplift == "some" and not goal.may_forget:
        settings = {"tuner": "lora", "lora_rank": 16, "target_modules": list(MLP)}
    if shape.parameters < SMALL and [method for method, _ in planned] == ["sft"]:
        settings["learning_rate"] = 8e-4
    return settings | ({"quantize_4bit": True} if four_bits else {})


def _wants_full(situation: Situation, planned: Sequence[Planned]) -> bool:
    tokens = sum(each.tokens for method, some in planned if method == "cpt" for each in some)
    return situation.goal.may_forget and tokens >= MUCH


def _stage(
    method: MethodName,
    found: tuple[Found, ...],
    situation: Situation,
    shape: ModelShape,
    tuning: dict[str, object],
) -> Stage:
    """Fill in a stage's settings by its rows, and estimate what it takes."""
    rows = sum(each.unique for each in found)
    epochs = _epochs(method, rows)
    length = min(_length(method, found, situation), _largest_window(shape.context))
    settings = tuning | {
        "batch": 8 if rows < 500 or not situation.hardware.gpus else 16,
        "epochs": epochs,
        "max_length": length,
    }
    settings |= _own(method, gpu=bool(situation.hardware.gpus))
    processes = max(1, len(situation.hardware.gpus))
    if processes > 1:  # a step's rows are shared evenly
        share = processes * int(str(settings.get("micro_batch", 1)))
        batch = 4 if method == "grpo" else 16
        settings |= {"processes": processes, "batch": share * max(1, round(batch / share))}
    work = _workload(method, settings, found, situation)
    tokens = round(sum(each.tokens * each.unique / max(1, each.rows) for each in found) * epochs)
    cost = estimate(
        work,
        shape,
        tokens=tokens + (rows * work.generations * work.completion if _writes(method) else 0),
        speed=situation.pace_of(processes),
        sequences=rows * work.generations,
    )
    return Stage(
        method=method,
        data=tuple(path for each in found for path in each.paths),
        settings=settings,
        tokens=tokens,
        memory=cost.memory.total,
        seconds=cost.seconds,
    )


def _workload(
    method: MethodName,
    settings: dict[str, object],
    found: tuple[Found, ...],
    situation: Situation,
) -> Workload:
    tokens = sum(each.tokens for each in found) or 1
    learned = sum(each.tokens * each.learned for each in found) / tokens
    return workload_of(settings, method=method, hardware=situation.hardware, learned=learned)


def _own(method: MethodName, *, gpu: bool) -> dict[str, object]:
    """Return what a method needs to be told beside what all are."""
    match method:
        case "kto":
            return {"micro_batch": 2}
        case "reward":
            return {"micro_batch": 1}
        case "ppo":
            return {"batch": 16, "micro_batch": 1, "completion_length": ANSWER_TOKENS}
        case "grpo":
            return {"batch": 4, "generations": 8 if gpu else 4, **EPISODE}
        case _:
            return {}


def _writes(method: MethodName) -> bool:
    return method in ("ppo", "grpo")


def _epochs(method: MethodName, rows: int) -> int:
    if method != "sft":
        return 1
    return 3 if rows < 500 else 2 if rows < 5000 else 1


def _length(method: MethodName, found: tuple[Found, ...], situation: Situation) -> int:
    if method == "cpt":
        return 2048 if situation.hardware.gpus else 1024
    longest = max(each.longest for each in found)
    if method == "grpo":
        return max(1024, _window(longest))  # the turns and what the tools say stand in it too
    return min(4096, _window(longest + (ANSWER_TOKENS if method == "ppo" else 0)))


def _window(longest: int) -> int:
    """Return the window for the longest row, whose tokens were only guessed at."""
    wanted = longest * 1.15 + 64
    return next((window for window in WINDOWS if window >= wanted), WINDOWS[-1])


def _largest_window(context: int) -> int:
    return max((window for window in WINDOWS if window <= context), default=WINDOWS[0])


def _why_this_model(chosen: _Option, options: list[_Option], situation: Situation) -> Reason:
    size = f"{chosen.shape.name} ({billions(chosen.shape.parameters)} parameters)"
    cost = f"about {gigabytes(chosen.memory)} of {gigabytes(situation.hardware.device_memory)}, "
    cost += f"{duration(chosen.hours * 3600)} of {situation.hours:g} h"
    if situation.start:
        return Reason("model-given", f"{size}: the model that was given", cost)
    if chosen is options[0] or chosen.shape == options[0].shape:
        if _ceiling(situation) < CEILING[situation.goal.uplift]:
            says = f"{size}: larger ones write fewer than {ANSWERS:.0f} tokens a second here"
            return Reason("model-by-answers", says, cost)
        says = f"{size}: the largest that {situation.goal.uplift} uplift asks for"
        return Reason("model-by-uplift", says, cost)
    larger = [each for each in options if each.shape.parameters > chosen.shape.parameters]
    if any(each.fits(situation) for each in larger):
        next_up = min((each for each in larger if each.fits(situation)), key=_size)
        says = f"{size}: larger ones take too long ({next_up.shape.name}: "
        return Reason("model-by-hours", f"{says}{duration(next_up.hours * 3600)})", cost)
    says = f"{size}: larger ones do not fit ({larger[-1].shape.name}: "
    return Reason("model-by-memory", f"{says}{gigabytes(larger[-1].memory)})", cost)


def _size(option: _Option) -> int:
    return option.shape.parameters


def _why_this_tuner(
    chosen: _Option, situation: Situation, planned: Sequence[Planned]
) -> list[Reason]:
    reasons = []
    settings = chosen.stages[0].settings
    if settings.get("tuner") == "full":
        says = "all weights are trained: so many tokens hold more than an adapter does"
        fact = f"{sum(stage.tokens for stage in chosen.stages) / 1e6:.0f} million tokens, and other"
        reasons.append(Reason("full", says, f"{fact} skills may be lost"))
    elif settings.get("target_modules") == list(MLP):
        says = "a LoRA on the MLP layers alone: PEFT's table has it forget least for its gain"
        reasons.append(Reason("keep-skills", says, "some uplift, and no skill may be lost"))
    elif settings["tuner"] == "rslora":
        reads = any(method == "cpt" for method, _ in planned)
        says = "rsLoRA of rank 64: it learns most, and stays stable at high ranks"
        reasons.append(Reason("learn-much", says, "much text" if reads else "the best is wanted"))
    if chosen.four_bits:
        says = "QLoRA: the frozen weights in 4 bits"
        plain = 2 * chosen.shape.parameters
        reasons.append(Reason("four-bits", says, f"in bf16 they alone take {gigabytes(plain)}"))
    if not situation.hardware.gpus:
        precision = "bf16" if situation.hardware.computes_bf16 else "fp32"
        says = f"a LoRA in {precision}: on a CPU 4 bits are slower, not faster"
        if settings.get("tuner") != "full":
            reasons.append(Reason("cpu", says, situation.hardware.summary))
    return reasons


def _over_the_limit(chosen: _Option, situation: Situation) -> Reason:
    if not chosen.fits(situation):
        says = "it does not fit: take a smaller model, a shorter max_length, or a larger device"
        fact = f"about {gigabytes(chosen.memory)} of {gigabytes(situation.hardware.device_memory)}"
        return Reason("does-not-fit", says, fact)
    says = "it takes longer than the limit: learn from fewer rows (max_steps), or on a GPU"
    fact = f"about {duration(chosen.hours * 3600)} of {situation.hours:g} h"
    return Reason("too-long", says, fact)


def _to_serve(situation: Situation) -> Choice:
    """Choose what answers where nothing is tuned."""
    if situation.start:
        shape, licence = _models(situation)[0]
        reason = Reason("model-given", f"{shape.name}: the model that was given", "--model")
        return Choice(shape.name, licence, reasons=(reason,))
    memory = situation.hardware.device_memory
    if not situation.hardware.gpus:
        says = "starter: the model that comes with agentlab reads, quotes and cites on a CPU"
        reason = Reason("starter", says, situation.hardware.summary)
        return Choice("starter", "Apache-2.0", reasons=(reason,))
    fitting = [
        (shape, licence)
        for shape, licence in _models(situation)
        if 2 * shape.parameters * FREE_FOR_SERVING <= memory
    ]
    shape, licence = fitting[0] if fitting else _models(situation)[-1]
    size = f"{shape.name} ({billions(shape.parameters)} parameters)"
    says = f"{size}: the largest for {situation.goal.uplift} uplift that is served in bf16"
    fact = f"{gigabytes(2 * shape.parameters)} of weights on {gigabytes(memory)}"
    return Choice(shape.name, licence, reasons=(Reason("model-to-serve", says, fact),))
