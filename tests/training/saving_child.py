"""Training runs that say how much resident memory their phases take; see `test_saving.py`.

    python -m tests.training.saving_child FOLDER LORA_RANK...

The last line is JSON: megabytes by rank and phase, those that were there before it apart.
"""

import ctypes
import gc
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.step_memory import resident
from tests.training.toy_training import corpus, make_question
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import Policy
from videothinker.models.qwen_vl.small import SmallConfig, build_small
from videothinker.records import write_jsonl
from videothinker.training import loop, stages

WIDE: dict[str, Any] = {"hidden": 512, "layers": 5, "heads": 8, "intermediate": 2560}
M_MMAP_THRESHOLD = -3
"""Of malloc.h: blocks beyond it go back to the system when freed, so that what is taken shows."""
FOUND: dict[str, float] = {}


def watched(name: str, function: Any) -> Any:
    """The function; what it adds at most is noted."""

    def run(*given: Any, **named: Any) -> Any:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # freed blocks, which would be taken again unseen
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # its most is from here on
        out = function(*given, **named)
        FOUND[name] = max(FOUND.get(name, 0.0), resident("VmHWM") - before)
        return out

    return run


def copied(policy: Policy, folder: Path) -> None:
    """A save that holds a copy of everything at once."""
    kept = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    policy.save(folder)
    del kept


def trained(root: Path, rank: int) -> dict[str, float]:
    """What one run takes."""
    FOUND.clear()
    config = CdpoConfig(
        model=str(root / "base"),
        bias=str(root / "other"),
        out=root / f"run-{rank}",
        dtype="float32",
        lora_rank=rank,
        sampling="uniform",
        prompts_per_step=1,
        num_generations=2,
        max_completion_length=4,
        max_steps=1,
        eval_steps=0,
        reward_funcs=("tests.training.toy_training:length_reward",),
        guard=False,
    )
    with (
        mock.patch.object(loop, "update", watched("step", loop.update)),
        mock.patch.object(loop, "checkpoint", watched("checkpoint", loop.checkpoint)),
        mock.patch.object(stages, "save_model", watched("model", stages.save_model)),
    ):
        stages.train(root / "questions.jsonl", config)
    watched("copied", copied)(load_policy(root / "base"), root / f"copied-{rank}")
    return {**FOUND, "weights": (root / "base" / "model.safetensors").stat().st_size / 2**20}


def main() -> None:
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**20)
    root = Path(sys.argv[1])
    torch.set_num_threads(1)
    for seed, name in enumerate(("base", "other")):
        build_small(root / name, SmallConfig(seed=seed, **WIDE), corpus())
    write_jsonl(root / "questions.jsonl", [make_question(number) for number in range(12)])
    print(json.dumps({rank: trained(root, int(rank)) for rank in sys.argv[2:]}))


if __name__ == "__main__":
    main()
