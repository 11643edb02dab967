"""Optional trackers (tensorboard, wandb) beside metrics.jsonl, through accelerate.

Quantities of the clock, such as tokens a second, go here and never into metrics.jsonl.
"""

import importlib.util
from collections.abc import Callable

from videothinker.errors import UserError
from videothinker.records import Step
from videothinker.training.config import TrainConfig
from videothinker.training.processes import Processes

FOLDER = "trackers"


def open_tracker(config: TrainConfig, processes: Processes) -> Callable[[Step, float], None]:
    """A function of (record, seconds of the step) that logs to the tracker asked for, if any.

    Raises:
        UserError: the tracker is not installed.
    """
    if config.log_with is None or not processes.main:
        return lambda record, seconds: None  # noqa: ARG005
    if importlib.util.find_spec(config.log_with) is None:
        raise UserError(
            f"log_with is {config.log_with!r}, which is not installed; "
            "install videothinker[trackers], or leave log_with out"
        )
    from accelerate import Accelerator  # noqa: PLC0415

    folder = config.out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(
        cpu=processes.device.type == "cpu", log_with=config.log_with, project_dir=str(folder)
    )
    # wandb would write where the command was given, under a random name
    own = {"dir": str(folder), "name": config.out.name}
    accelerator.init_trackers("videothinker", init_kwargs={"wandb": own})
    return lambda record, seconds: accelerator.log(flat(record, seconds), step=record.step)


def flat(record: Step, seconds: float) -> dict[str, float]:
    """A record as name -> number, with the step's speed."""
    values = {"loss": record.loss, "valid": record.valid, "repulsion": record.repulsion}
    values |= {f"reward/{name}": value for name, value in record.reward.items()}
    values |= record.metrics
    for name in ("divergence", "entropy"):
        value = getattr(record, name)
        if value is not None:
            values[name] = value
    values["dropped_groups"] = record.dropped_groups
    values["seconds"] = seconds
    return values | {"completion_tokens_per_second": completion_tokens(record) / seconds}


def completion_tokens(record: Step) -> float:
    """All completion tokens of the step, those of dropped groups included."""
    return record.metrics["completions"] * record.metrics["completion_length"]
