"""What makes a run fit a smaller GPU: each memory option, what it costs, the bytes it saves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from videothinker.errors import UserError
from videothinker.planning.plan import Plan, bias_kind


@dataclass(frozen=True)
class MemoryOption:
    """One change of a config that saves memory."""

    flag: str
    cost: str
    """`exact`, or what else it changes."""
    change: dict[str, Any]
    ranks: Literal["one", "several", "any"] = "any"
    """How many processes it is for."""


OPTIONS = (
    MemoryOption("--gradient-checkpointing", "exact, recomputes", {"gradient_checkpointing": True}),
    MemoryOption(
        "--shard layers", "exact, gathers each layer", {"shard": "layers"}, ranks="several"
    ),
    MemoryOption("--offload-bias", "exact, copied in once a prompt", {"offload_bias": True}),
    MemoryOption(
        "--optimizer-device cpu",
        "exact but for rounding, slower",
        {"optimizer_device": "cpu"},
    ),
    MemoryOption("--freeze-vision", "another method: the tower stays", {"freeze_vision": True}),
    MemoryOption("--max-completion-length 512", "another recipe", {"max_completion_length": 512}),
    MemoryOption(
        "--lora-rank 64 --freeze-vision",
        "another method: adapters",
        {"lora_rank": 64, "freeze_vision": True, "offload_bias": False},
    ),
)
"""In the order to try them: exact ones first."""
EIGHT_BIT = MemoryOption(
    "--moments 8bit", "not exact; needs bitsandbytes", {"moments": "8bit"}, ranks="one"
)
"""Stands beside the optimizer on the CPU, not on top of it."""


@dataclass(frozen=True)
class Applied:
    """An option on top of those before it."""

    option: MemoryOption
    saved: int
    """Bytes."""
    plan: Plan
    """With it."""


def apply(plan: Plan, option: MemoryOption) -> Plan | None:
    """The plan with `option`; null where it changes nothing here or would be refused."""
    settings = vars(plan.config)
    change = {key: value for key, value in option.change.items() if key in settings}
    if plan.config.lora_rank or bias_kind(plan.config) == "none":
        change.pop("offload_bias", None)
    now = {key: settings[key] for key in change}
    if change == now or now.get("max_completion_length", 513) <= 512:
        return None
    if option.ranks != "any" and (option.ranks == "several") != (plan.ranks > 1):
        return None
    try:
        return replace(plan, config=replace(plan.config, **change))
    except UserError:  # it excludes what is set already
        return None


def make_fit(plan: Plan, limit: int) -> list[Applied]:
    """The first set of options, in their order, with which the plan fits `limit` bytes.

    None more than is needed; where no set is enough, all that save something.
    """
    added: list[MemoryOption] = []
    for option in OPTIONS:
        if _with(plan, added).needed <= limit:
            break
        added.append(option)
    if _with(plan, added).needed <= limit:
        for option in added[:-1]:
            fewer = [one for one in added if one is not option]
            added = fewer if _with(plan, fewer).needed <= limit else added
    found: list[Applied] = []
    for option in added:
        changed = apply(plan, option)
        if changed is not None and changed.needed < plan.needed:
            found.append(Applied(option, plan.needed - changed.needed, changed))
            plan = changed
    return found


def _with(plan: Plan, options: Sequence[MemoryOption]) -> Plan:
    for option in options:
        plan = apply(plan, option) or plan
    return plan
