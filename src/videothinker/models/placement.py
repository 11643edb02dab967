"""Where a model runs and in which numbers: `auto` resolved, and what to say before it loads."""

from dataclasses import dataclass
from pathlib import Path

import torch

from videothinker.errors import UserError
from videothinker.models.folders import ModelPlace

AUTO = "auto"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SLOW = 1_000_000_000
"""Parameters above which a CPU takes minutes for what a GPU does in seconds."""


@dataclass(frozen=True)
class Placement:
    """A model, where it is to run, and in which numbers."""

    model: ModelPlace
    weights: Path
    """The folder of its weights; of an adapter, of its base's."""
    device: str
    """cpu, cuda or cuda:N."""
    dtype: str
    """float32, bfloat16 or float16."""
    parameters: int
    path: str | None = None
    """How it runs, where that is not the engine."""

    @property
    def source(self) -> str:
        """The model, as it was written."""
        return self.model.source

    @property
    def folder(self) -> Path | None:
        """Where it lies; null under a hub id."""
        return self.model.folder

    @property
    def facts(self) -> dict[str, str]:
        """For run.json."""
        found = {"device": self.device, "dtype": self.dtype}
        return found if self.path is None else found | {"path": self.path}

    @property
    def lines(self) -> list[str]:
        """For a person, before the model is loaded."""
        device = torch.device(self.device)
        named = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        told = [
            f"{self.source}: {self.parameters:,} parameters, {self.dtype} on {self.device}"
            + (f" ({named})" if named else "")
        ]
        if self.path is not None:
            told.append(f"{self.path} (prompt and video are computed again for every completion)")
        if device.type == "cpu" and self.parameters > SLOW:
            told.append(
                f"warning: {self.parameters / 1e9:.1f} billion parameters are about to run on a "
                f"CPU, which takes minutes an answer; {_why_no_gpu()}"
            )
        return told


def where_auto_runs() -> str:
    """A GPU where torch sees one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_device(device: str) -> str:
    """`auto` resolved; anything else must be a CPU, or a CUDA device that torch sees.

    Apple's `mps` is not among them: the draws of a rollout are float64, which it does not have.
    """
    if device == AUTO:
        return where_auto_runs()
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise UserError(f"device {device!r} came; allowed are auto, cpu, cuda, cuda:1 ...")
    if kind == "cuda":
        seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= seen:
            raise UserError(
                f"device {device!r} came, but {seen} CUDA devices can be used ({_why_no_gpu()}); "
                "give --device auto, or one that is there"
            )
    return device


def resolve_dtype(dtype: str, own: str, source: str) -> str:
    """`auto` resolved to the checkpoint's `own`."""
    if dtype == AUTO and own not in DTYPES:
        raise UserError(
            f"{source} says that it is to run in {own!r}; only {', '.join(DTYPES)} are run: "
            "give one of them as --dtype"
        )
    if dtype not in (AUTO, *DTYPES):
        raise UserError(f"dtype {dtype!r} came; allowed are {AUTO}, {', '.join(DTYPES)}")
    return own if dtype == AUTO else dtype


def _why_no_gpu() -> str:
    if torch.cuda.is_available():
        return f"--device cuda takes {torch.cuda.get_device_name()}"
    if torch.version.cuda is None and torch.version.hip is None:
        return f"the installed torch {torch.__version__} is built for CPUs alone"
    return "torch sees no GPU: check its driver"
