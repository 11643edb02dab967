"""Run by each of two processes: whole runs of `train`, one after the other."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.training import loop
from videothinker.training.stages import train

torch.set_num_threads(1)


def run(data: Path, out: Path, settings: dict[str, Any], dies_at: int | None) -> None:
    """One run, which may end before a step as by a kill."""
    given = settings | {"reward_funcs": tuple(settings["reward_funcs"])}
    config = CdpoConfig(out=out, **given)
    update = loop.update

    def die(parts: Any, batch: Any, objective: Any, progress: Any) -> Any:
        if progress.step + 1 == dies_at:
            raise KeyboardInterrupt
        return update(parts, batch, objective, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "update", die)
        try:
            train(data, config)
        except KeyboardInterrupt:
            return


def main(words: list[str]) -> None:
    """The runs of a plan, one after the other."""
    data, out, plan = map(Path, words)
    for name, settings, dies_at in json.loads(plan.read_text()):
        run(data, out / name, settings, dies_at)
