"""Sitting: one model answers the questions of the exam, in this process or in several.

On a CPU several processes of one thread each answer sooner than one whose threads share each
product: a small model's products are too small for that.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path

from agentlab.errors import UserError
from agentlab.library import open_embedder, open_rater, open_reader
from agentlab.model import choose_engine, find_model, open_model
from agentlab.record import Record
from agentlab.settings import Settings
from agentlab.starter.exam import Case, Part
from agentlab.starter.examination import run_exam
from finetune.hardware import find_hardware, usable_cores

LEAST_EACH = 30
"""Questions below which a process of its own is not worth what it reads first."""

MEMORY_EACH = 5 * 1024**3
"""Bytes that a process takes beside its model, and what it leaves free."""

WEIGHTS_IN_MEMORY = 2
"""Bytes in memory for each byte of weights on the disk: bf16 becomes fp32."""

MOST = 8
LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Sitting:
    """What a model is asked, under which settings, and where its outcomes are kept.

    `label` and `build` name the column and the weights; `settings` name the model.
    """

    settings: Settings
    parts: tuple[Part, ...]
    record: Path
    questions: Path | None
    label: str
    build: str

    def rest(self) -> "Sitting":
        """Return what has no outcome yet."""
        missing = partial(Record(self.record).missing, model=self.label, build=self.build)
        return self._of(lambda part: missing(part.cases, part=part.name))

    def share(self, number: int, of: int) -> "Sitting":
        """Return every `of`th question, from the `number`th on."""
        return self._of(lambda part: part.cases[number::of])

    def _of(self, cases: Callable[[Part], Sequence[Case]]) -> "Sitting":
        parts = (replace(part, cases=tuple(cases(part))) for part in self.parts)
        return replace(self, parts=tuple(part for part in parts if part.cases))

    def __len__(self) -> int:
        """Count the questions."""
        return sum(len(part.cases) for part in self.parts)


def sit(
    sitting: Sitting,
    *,
    workers: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Iterator[int]:
    """Ask all that is left; yields how many are answered. A model is opened if there is any.

    `workers` are processes, as many as suit where it is None. Raises UserError for several that
    would each start a server.
    """
    left = sitting.rest()
    if not len(left):
        return
    workers = workers or suited_workers(left.settings, len(left))
    if workers == 1:
        yield from _ask(left, progress)
        return
    if choose_engine(left.settings) == "vllm":
        raise UserError(
            "--workers: each process would start a vLLM of its own. Start one yourself, with "
            "--enable-auto-tool-choice --tool-call-parser hermes, and give its address with "
            "--set engine=openai --set base_url=URL, or leave --workers out."
        )
    yield from _ask_in_processes(left, workers)


def suited_workers(settings: Settings, questions: int) -> int:
    """Return how many processes suit this machine, its model's engine and so many questions."""
    machine = find_hardware()
    if choose_engine(settings) != "transformers" or machine.gpus:
        return 1
    folder = find_model(settings.model, settings)
    weights = sum(each.stat().st_size for each in folder.glob("*.safetensors")) if folder else 0
    fitting = machine.memory // (MEMORY_EACH + WEIGHTS_IN_MEMORY * weights)
    return max(1, min(machine.cores, fitting, questions // LEAST_EACH, MOST))


def _ask(sitting: Sitting, progress: Callable[[str], None] | None = None) -> Iterator[int]:
    own = sitting.settings
    model = open_model(own, progress=progress)
    try:
        outcomes = run_exam(
            model, list(sitting.parts), settings=own, embedder=open_embedder(own),
            reader=open_reader(own), rater=open_rater(own), questions=sitting.questions,
            record=Record(sitting.record), label=sitting.label, build=sitting.build,
        )  # fmt: skip
        yield 0
        for done, _ in enumerate(outcomes, start=1):
            yield done
    finally:
        model.close()


def _ask_in_processes(left: Sitting, workers: int) -> Iterator[int]:
    workers = min(workers, len(left))
    context = multiprocessing.get_context("spawn")
    stop, answered = context.Event(), context.Value("i", 0)
    given = (max(1, usable_cores() // workers), stop, answered)
    with ProcessPoolExecutor(workers, context, _begin, given) as pool:
        running = {pool.submit(_answer, left.share(each, workers)) for each in range(workers)}
        try:
            while running:
                done, running = wait(running, LOOK_EVERY_S, FIRST_COMPLETED)
                for each in done:
                    each.result()
                yield answered.value
        finally:
            stop.set()


_stop: Event
_answered: "Synchronized[int]"


def _begin(threads: int, stop: Event, answered: "Synchronized[int]") -> None:
    """Set up a process that answers."""
    import torch

    global _stop, _answered
    torch.set_num_threads(threads)
    _stop, _answered = stop, answered


def _answer(share: Sitting) -> None:
    """Answer a share, up to where the others stop or the process that began it is gone."""
    parent = multiprocessing.parent_process()
    for done in _ask(share):
        with _answered.get_lock():
            _answered.value += bool(done)
        if _stop.is_set() or parent is None or not parent.is_alive():
            return
