"""The paper's run, at the published shape."""

from pathlib import Path
from typing import Any

from videothinker.algorithms.cdpo import CdpoConfig


def paper(**changes: Any) -> CdpoConfig:
    given = {"model": "Qwen/Qwen2.5-VL-3B-Instruct", "out": Path("never"), "bias": "runs/bias"}
    given["sampling"] = "uniform"
    return CdpoConfig(**(given | changes))
