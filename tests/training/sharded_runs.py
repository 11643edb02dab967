"""Run by each of two processes: whole runs of `train`, one after the other."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from tests.training.toy_training import dying_at
from videothinker.algorithms.base import TrainConfig
from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.training.stages import train

torch.set_num_threads(1)
ALGORITHMS: tuple[type[TrainConfig], ...] = (BiasConfig, GrpoConfig, CdpoConfig)


def run(
    data: Path, out: Path, algorithm: str, settings: dict[str, Any], dies_at: int | None = None
) -> Path:
    """One run, which may end before a step as by a kill; its folder."""
    config = next(one for one in ALGORITHMS if one.stage == algorithm)
    given = settings | {"reward_funcs": tuple(settings["reward_funcs"])}
    with dying_at(dies_at), suppress(KeyboardInterrupt):
        train(data, config(out=out, **given))
    return out


def main(words: list[str]) -> None:
    """The runs of a plan, one after the other."""
    data, out, plan = map(Path, words)
    for name, algorithm, settings, dies_at in json.loads(plan.read_text()):
        run(data, out / name, algorithm, settings, dies_at)
