"""Reward folder: what a run of `reward` left, read without loading it."""

from pathlib import Path

import yaml

from finetune.errors import ModelError
from finetune.method_config import RewardConfig

SCALE = "reward.json"


def read_reward_config(folder: Path) -> RewardConfig:
    """Read the settings of the run that left a reward model; raise ModelError where none did."""
    path = folder / "resolved.yaml"
    if not path.is_file() or not (folder / SCALE).is_file():
        raise ModelError(
            f"{folder} holds no reward model ({SCALE} is missing). Give the folder that a finished "
            "run of `reward` wrote."
        )
    return RewardConfig(**yaml.safe_load(path.read_text(encoding="utf-8")))


def base_folder(folder: Path, config: RewardConfig, base: Path | None) -> Path:
    """Return the folder of the model below a reward model: its own where it was tuned whole.

    Raises ModelError where neither `base` nor the run's settings name one.
    """
    below = folder if config.tuner == "full" else base or Path(config.model)
    if not (below / "config.json").is_file():
        raise ModelError(
            f"The reward model {folder} was trained on {config.model}, which is no model folder. "
            "Give `base`, the folder of that model."
        )
    return below
