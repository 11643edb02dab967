"""The settings of `videothinker export`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videothinker.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Make a complete model folder of a LoRA adapter and its base."""

    merge: str
    """The adapter: a run trained with LoRA, its `model/`, or one of its checkpoints."""
    out: Path
    """The folder to write; plain transformers loads it."""
    dtype: Literal["base", "float32", "bfloat16"] = "base"
    """Of the weights that are written; `base` is the base's own. The sum itself is float32."""
    device: str = "cpu"
    """Where the two models are compared: cpu, cuda, cuda:1 ..."""

    def __post_init__(self) -> None:
        if self.dtype not in ("base", "float32", "bfloat16"):
            raise UserError(f"dtype is {self.dtype!r}; allowed are base, float32, bfloat16")
