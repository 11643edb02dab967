"""Run by each of two processes: whole runs of `train`, one after the other."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from tests.training.toy_training import dying_at
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.training.stages import train

torch.set_num_threads(1)


def run(data: Path, out: Path, settings: dict[str, Any], dies_at: int | None) -> None:
    """One run, which may end before a step as by a kill."""
    given = settings | {"reward_funcs": tuple(settings["reward_funcs"])}
    config = CdpoConfig(out=out, **given)
    with dying_at(dies_at), suppress(KeyboardInterrupt):
        train(data, config)


def main(words: list[str]) -> None:
    """The runs of a plan, one after the other."""
    data, out, plan = map(Path, words)
    for name, settings, dies_at in json.loads(plan.read_text()):
        run(data, out / name, settings, dies_at)
