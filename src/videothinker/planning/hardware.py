"""Does a run fit this GPU? Asked before anything is loaded."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch

from videothinker import console
from videothinker.algorithms.base import TrainConfig
from videothinker.errors import Unplanned, UserError
from videothinker.planning import memory
from videothinker.planning.options import make_fit
from videothinker.planning.plan import GIB, Choice, Plan, make_plan
from videothinker.records import Question


def parse_memory(text: str) -> int:
    """`48GB` -> bytes. A card sold as 48 GB has 48 GiB, near enough.

    Raises:
        UserError: anything else.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:GB|GiB)", text.strip(), re.IGNORECASE)
    if not found or not float(found[1]):
        raise UserError(f"--gpu-memory is {text!r}; allowed is a size such as 24GB, 48GB or 80GB")
    return int(float(found[1]) * GIB)


def check_fits(plan: Plan, limit: int) -> None:
    """Refuse a GPU too small, with the numbers and what would make it do.

    Raises:
        UserError: the plan needs more than `limit` bytes.
    """
    if plan.needed <= limit:
        return
    name, parts = memory.peak(plan.work)
    largest = sorted(parts.items(), key=lambda part: -part[1])[:3]
    words = ", ".join(f"{part} {size / GIB:.1f}" for part, size in largest)
    steps = make_fit(plan, limit)
    advice = (
        "no memory option is enough: take more or larger GPUs, a smaller model, or fewer frames"
    )
    if steps and steps[-1].plan.needed <= limit:
        flags = " ".join(step.option.flag for step in steps)
        advice = f"add {flags}, which needs {steps[-1].plan.needed / GIB:.1f} GiB"
    each = f" on each of {plan.ranks} GPUs" if plan.ranks > 1 else ""
    raise UserError(
        f"this run needs {plan.needed / GIB:.1f} GiB{each} (at its {name}: {words} GiB) and the "
        f"GPU has {limit / GIB:.1f}; {advice}"
    )


def refuse_pieces_of_eight_bits(config: TrainConfig, ranks: int) -> None:
    """Refuse 8-bit moments in several processes.

    Raises:
        UserError: they were asked for.
    """
    if ranks > 1 and config.moments == "8bit":
        raise UserError(
            f"moments '8bit' came with {ranks} processes, which hold pieces of the moments that "
            "8-bit blocks do not fit; keep moments 'float32', which are shared among them"
        )


def check_hardware(
    config: TrainConfig,
    questions: Sequence[Question],
    data_root: Path,
    device: torch.device,
    *,
    ranks: int,
) -> Choice | None:
    """Refuse a run that this GPU cannot hold or compute.

    Returns:
        What the run makes of the GPU's room; null on a CPU.

    Raises:
        UserError: too little memory, no bfloat16, or 8-bit moments in several processes.
    """
    refuse_pieces_of_eight_bits(config, ranks)
    if device.type != "cuda":
        if config.moments == "8bit":
            raise UserError("moments '8bit' need a GPU; keep moments 'float32' on the CPU")
        return None
    name = torch.cuda.get_device_name(device)
    if config.dtype == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError(f"{name} does not compute in bfloat16; use --dtype float32 or another GPU")
    has = torch.cuda.get_device_properties(device).total_memory
    try:
        plan = make_plan(config, questions, data_root, ranks=ranks)
    except Unplanned:
        console.say(f"warning: {config.model} is of a family without a plan; watch {name}'s memory")
        return None
    check_fits(plan, has)
    return plan.choose(has)


def who_waits(prompts: int, ranks: int) -> str | None:
    """Which processes have less to do in a step of so many prompts; null where none has."""
    short = -prompts % ranks
    if not short:
        return None
    have = "a prompt less than the others" if prompts > ranks else "no prompt"
    return (
        f"{short} of {ranks} processes have {have} in a step, and wait; a multiple of {ranks} as "
        "--prompts-per-step keeps all at work"
    )
