"""checkpoints/step-N/: the model, the optimizer's state, and where the loop stands.

The model is a complete folder; under LoRA it is the adapter alone, and its README.md says so. There
is no random state to keep: every draw is seeded by (seed, stage, step, item).
"""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from videothinker.models.loaded import Policy
from videothinker.models.tensor_file import write_tensors
from videothinker.records import write_atomic
from videothinker.training.models import save_model
from videothinker.training.optimizer import MasterAdamW

OPTIMIZER, STATE = "optimizer.safetensors", "state.json"


def save_checkpoint(
    folder: Path, policy: Policy, optimizer: MasterAdamW, state: dict[str, Any], *, keep: int
) -> None:
    """Write `step-N` beside and rename it into place; older ones beyond `keep` go.

    Args:
        folder: the run's `checkpoints/`.
        policy: saved as the run's `model/` is: a folder that plain transformers or peft loads.
        optimizer: saved with its float32 master weights.
        state: JSON-ready; its `step` names the checkpoint.
        keep: how many checkpoints stay.
    """
    target = folder / f"step-{state['step']}"
    beside = folder / f".step-{state['step']}.tmp"
    for leftover in (beside, target):
        if leftover.exists():
            shutil.rmtree(leftover)
    save_model(policy, beside)
    write_tensors(beside / OPTIMIZER, optimizer.state())
    write_atomic(beside / STATE, json.dumps(state, sort_keys=True).encode())
    beside.rename(target)
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old)


def last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the latest step, if there is any."""
    return _all(folder)[-1] if _all(folder) else None


def load_checkpoint(checkpoint: Path, optimizer: MasterAdamW) -> dict[str, Any]:
    """Put the weights (through the optimizer's masters) and moments back; returns the state."""
    optimizer.load(load_file(checkpoint / OPTIMIZER))
    return json.loads((checkpoint / STATE).read_text())


def _all(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    found = [path for path in folder.glob("step-*") if (path / STATE).is_file()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))
