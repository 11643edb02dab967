"""A training run that says how much resident memory its phases take; see `test_saving.py`.

    python -m tests.training.saving_child FOLDER LORA_RANK

The last line is JSON: megabytes by phase, those that were there before it apart.
"""

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
FOUND: dict[str, float] = {}


def watched(name: str, function: Any) -> Any:
    """The function; what it adds at most is noted."""

    def run(*given: Any, **named: Any) -> Any:
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


def main() -> None:
    root, rank = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    for seed, name in enumerate(("base", "other")):
        build_small(root / name, SmallConfig(seed=seed, **WIDE), corpus())
    write_jsonl(root / "questions.jsonl", [make_question(number) for number in range(12)])
    config = CdpoConfig(
        model=str(root / "base"),
        bias=str(root / "other"),
        out=root / "run",
        dtype="float32",
        lora_rank=rank,
        prompts_per_step=1,
        max_completion_length=24,
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
    watched("copied", copied)(load_policy(root / "base"), root / "copied")
    FOUND["weights"] = (root / "base" / "model.safetensors").stat().st_size / 2**20
    print(json.dumps(FOUND))


if __name__ == "__main__":
    main()
