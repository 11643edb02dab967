"""What makes a run fit a smaller GPU: each lever, what it costs, and the bytes it saves."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from videothinker.errors import UserError
from videothinker.training import memory
from videothinker.training.plan import GIB, Plan, bias_kind


@dataclass(frozen=True)
class Lever:
    """One change of a config that saves memory."""

    flag: str
    cost: str
    """`exact`, or what else it changes."""
    change: dict[str, Any]


LEVERS = (
    Lever("--gradient-checkpointing", "exact, recomputes", {"gradient_checkpointing": True}),
    Lever("--offload-bias", "exact, copied in once a prompt", {"offload_bias": True}),
    Lever("--optimizer-device cpu", "exact but for rounding, slower", {"optimizer_device": "cpu"}),
    Lever("--freeze-vision", "another method: the tower stays", {"freeze_vision": True}),
    Lever("--max-completion-length 512", "another recipe", {"max_completion_length": 512}),
    Lever(
        "--lora-rank 64 --freeze-vision",
        "another method: adapters",
        {"lora_rank": 64, "freeze_vision": True, "offload_bias": False},
    ),
)
"""In the order to try them: exact ones first."""
EIGHT_BIT = Lever("--moments 8bit", "not exact; needs bitsandbytes", {"moments": "8bit"})
"""Stands beside the optimizer on the CPU, not on top of it."""


def pull(plan: Plan, lever: Lever) -> Plan | None:
    """The plan with `lever`; null where it changes nothing here."""
    known = {k: v for k, v in lever.change.items() if k in plan.config.__dataclass_fields__}
    if plan.config.lora_rank or bias_kind(plan.config) == "none":
        known.pop("offload_bias", None)
    now = {key: getattr(plan.config, key) for key in known}
    if known == now or now.get("max_completion_length", 513) <= 512:
        return None
    return Plan(plan.stage, replace(plan.config, **known), plan.shape, plan.prompt)


def pulled(plan: Plan, limit: int) -> list[tuple[Lever, int, Plan]]:
    """Levers in order, bytes each saves on top of those before, until the plan fits `limit`."""
    found: list[tuple[Lever, int, Plan]] = []
    chosen = _enough(plan, limit)
    for lever in chosen:
        changed = pull(plan, lever)
        if changed is not None and changed.needed < plan.needed:
            found.append((lever, plan.needed - changed.needed, changed))
            plan = changed
    return found


def _enough(plan: Plan, limit: int) -> list[Lever]:
    """As few levers as fit `limit`, exact ones first; all of them where none do."""
    chosen: list[Lever] = []
    for lever in LEVERS:
        if _with(plan, chosen).needed <= limit:
            break
        chosen.append(lever)
    if _with(plan, chosen).needed > limit:
        return chosen
    for lever in tuple(chosen[:-1]):
        rest = [one for one in chosen if one is not lever]
        chosen = rest if _with(plan, rest).needed <= limit else chosen
    return chosen


def _with(plan: Plan, levers: Sequence[Lever]) -> Plan:
    for lever in levers:
        plan = pull(plan, lever) or plan
    return plan


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
    steps = pulled(plan, limit)
    enough = bool(steps) and steps[-1][2].needed <= limit
    flags = " ".join(lever.flag for lever, _, _ in steps)
    advice = (
        f"add {flags}, which needs {steps[-1][2].needed / GIB:.1f} GiB"
        if enough
        else "no lever is enough: take a larger GPU, a smaller model, or fewer frames"
    )
    raise UserError(
        f"this run needs {plan.needed / GIB:.1f} GiB (at its {name}: {words} GiB) and the GPU has "
        f"{limit / GIB:.1f}; {advice}"
    )
