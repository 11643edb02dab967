"""How long a run takes on the one card on which steps were measured, and who waits in a step."""

from dataclasses import dataclass

from videothinker.planning.plan import Plan

CARD = "one H200"
COMMIT = "20b3a42"
"""Where `benchmarks/results/gpu_step_h200.json` was measured."""


@dataclass(frozen=True)
class Pace:
    """Of the 3B shape in bfloat16, two prompts, 256 tokens."""

    token: float
    """Seconds a decoding step, the prompts' share included."""
    operations: float
    """Operations a second in everything but the rollout."""


FULL, LORA = Pace(0.004080, 2.080e14), Pace(0.004275, 1.311e14)


def expected_seconds(plan: Plan) -> float | None:
    """Seconds a step with completions at full length; None where nothing like it was measured.

    Decoding goes with the tokens of a completion, the rest with its operations.
    """
    shape, config = plan.shape, plan.config
    as_measured = (shape.layers, shape.hidden) == (36, 2048) and config.dtype == "bfloat16"
    if not as_measured or config.optimizer_device == "cpu" or plan.ranks > 1:
        return None
    pace = LORA if config.lora_rank else FULL
    flops = plan.flops(shared=True)
    computing = sum(flops.values()) - flops["rollout"]
    return config.max_completion_length * pace.token + computing / pace.operations


def in_words(plan: Plan) -> str:
    """The run's hours, and on what that stands."""
    seconds = expected_seconds(plan)
    if seconds is None:
        return "seconds: not measured"
    hours = seconds * plan.config.max_steps / 3600
    return f"about {hours:.1f} hours on {CARD}, by steps measured at {COMMIT}, completions full"


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
