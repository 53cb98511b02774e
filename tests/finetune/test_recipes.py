"""The recipes: each loads, explains itself, and fits the machine that it is for."""

from importlib import resources

import pytest

from finetune.config import recipes
from finetune.duration import speed_of
from finetune.estimate import estimate
from finetune.hardware import Gpu, Hardware
from finetune.method_config import load_config
from finetune.shape import find_model, shape_of
from finetune.workload import workload_of

GB = 10**9
MACHINES = {
    "laptop-cpu": Hardware(4, 8 * GB),
    "gpu-8gb": Hardware(8, 16 * GB, (Gpu("RTX 4060", 8 * GB),)),
    "gpu-24gb": Hardware(8, 32 * GB, (Gpu("RTX 4090", 24 * GB),)),
    "gpus-2x24gb": Hardware(16, 64 * GB, (Gpu("RTX 4090", 24 * GB),) * 2),
    "gpu-80gb": Hardware(16, 128 * GB, (Gpu("A100", 80 * GB),)),
}
NEEDED = {"data": "rows.jsonl", "out": "out"}


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("method", ["cpt", "sft", "dpo", "orpo", "reward"])
def test_a_recipe_for_a_machine_loads_for_a_method_and_fits_the_machine(
    name: str, method: str
) -> None:
    config = load_config(method, name, NEEDED)
    machine = MACHINES[name]
    work = workload_of(config.resolved(), method=method, hardware=machine, learned=0.5)
    cost = estimate(work, shape_of(config.model), tokens=10**6, speed=speed_of(machine))
    assert cost.fits(machine.device_memory), cost.memory


@pytest.mark.parametrize("name", MACHINES)
def test_a_recipe_fits_kto_with_the_two_rows_that_it_needs(name: str) -> None:
    config = load_config("kto", name, NEEDED | {"micro_batch": 2})
    machine = MACHINES[name]
    work = workload_of(config.resolved(), method="kto", hardware=machine, learned=0.5)
    cost = estimate(work, shape_of(config.model), tokens=10**6, speed=speed_of(machine))
    assert cost.fits(machine.device_memory), cost.memory


@pytest.mark.parametrize("name", MACHINES)
def test_the_model_of_a_recipe_may_be_used_for_anything(name: str) -> None:
    known = find_model(load_config("sft", name, NEEDED).model)
    assert known
    assert known.commercial == "yes"


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_says_first_what_it_is_for(name: str) -> None:
    text = (resources.files("finetune.recipes") / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")


@pytest.mark.parametrize("name", MACHINES)
def test_a_recipe_for_a_machine_shows_the_command_that_uses_it(name: str) -> None:
    text = (resources.files("finetune.recipes") / f"{name}.yaml").read_text(encoding="utf-8")
    assert f"agentlab finetune sft --recipe {name} --data " in text
