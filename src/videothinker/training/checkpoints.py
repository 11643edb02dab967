"""checkpoints/step-N/: the model, the optimizer's state, and where the loop stands.

The model is a complete folder; under LoRA it is the adapter alone, and its README.md says so. There
is no random state to keep: every draw is seeded by (seed, stage, step, item).
"""

import json
import math
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load_file

from videothinker.errors import UserError
from videothinker.files import border, content, load_json, opened
from videothinker.models.border import parse
from videothinker.models.loaded import Policy
from videothinker.models.tensor_file import write_tensors
from videothinker.records import write_atomic
from videothinker.training.models import save_model
from videothinker.training.optimizer import Optimizer

NAME = re.compile(r"step-[0-9]+|\.step-[0-9]+\.tmp")
"""Of a checkpoint, and of one that is being written."""
OPTIMIZER, STATE = "optimizer.safetensors", "state.json"
GONE = "remove this checkpoint's folder to go on from the one before, or give another --out"


@dataclass
class Progress:
    """Where the loop stands; written into every checkpoint."""

    step: int = 0
    position: int = 0
    """Questions drawn so far, dropped ones included."""
    entropy: float | None = None
    """Of the last good step, in nats a token: what the guard looks at."""
    divergence: float | None = None
    """KL(policy || bias) of the last good step, in nats a token, whatever divergence is trained:
    what the controller and the guard look at."""
    bad_in_a_row: int = 0
    """Steps whose loss or gradient was not a number."""


def save_checkpoint(
    folder: Path,
    policy: Policy,
    optimizer: Optimizer,
    progress: Progress,
    *,
    keep: int,
    main: bool = True,
) -> None:
    """Write `step-N` beside and rename it into place; older ones beyond `keep` go.

    All processes call it: those that are not `main` write nothing and give what they hold.

    Args:
        folder: the run's `checkpoints/`.
        policy: saved as the run's `model/` is: a folder that plain transformers or peft loads.
        optimizer: saved with its float32 master weights.
        progress: its `step` names the checkpoint.
        keep: how many checkpoints stay.
        main: does this process write?
    """
    if not main:
        write_tensors(None, optimizer.state())
        return
    target = folder / f"step-{progress.step}"
    beside = folder / f".step-{progress.step}.tmp"
    for leftover in (beside, target):
        if leftover.exists():
            shutil.rmtree(leftover)
    try:
        save_model(policy, beside)
        write_tensors(beside / OPTIMIZER, optimizer.state())
        write_atomic(beside / STATE, json.dumps(asdict(progress), sort_keys=True).encode())
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    prune(folder, keep)


def prune(folder: Path, keep: int) -> None:
    """Delete all but the last `keep` checkpoints, and what a kill left of others."""
    kept = _all(folder)[-keep:]
    for path in folder.iterdir() if folder.is_dir() else ():
        if NAME.fullmatch(path.name) and path not in kept:
            shutil.rmtree(path)


def last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the latest step, if there is any."""
    return next(reversed(_all(folder)), None)


def load_checkpoint(checkpoint: Path, optimizer: Optimizer) -> Progress:
    """Put the weights (through the optimizer's masters) and moments back; returns the progress.

    Raises:
        UserError: it is damaged, or of another model.
    """
    progress = read_progress(checkpoint)
    path = checkpoint / OPTIMIZER
    with border(f"{path} is no optimizer's state of this model", GONE), opened(path):
        optimizer.load(load_file(path))
    return progress


def read_progress(checkpoint: Path) -> Progress:
    """Where the loop stood at a checkpoint.

    Raises:
        UserError: it is not whole, or says what cannot be.
    """
    path = checkpoint / STATE
    with border(f"{path} is not readable JSON", GONE):
        told = load_json(content(path).decode("utf-8"))
    found = parse(Progress, told, path, GONE)
    counts = (found.step, found.position, found.bad_in_a_row)
    measured = [one for one in (found.entropy, found.divergence) if one is not None]
    named = checkpoint.name == f"step-{found.step}"
    if not named or min(counts) < 0 or not all(map(math.isfinite, measured)):
        raise UserError(f"{path} says {asdict(found)}, which {checkpoint.name} cannot be; {GONE}")
    return found


def _all(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    found = {
        int(number): path
        for path in folder.glob("step-*")
        if (number := path.name.removeprefix("step-")).isdecimal() and (path / STATE).is_file()
    }
    return [found[number] for number in sorted(found)]
