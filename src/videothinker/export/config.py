"""The settings of `videothinker export`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videothinker.algorithms.catalog import AlgorithmName
from videothinker.errors import UserError

To = Literal["ms-swift", "lmms-eval"]
INSTALL = (
    "pip install --no-deps CHECKOUT (the folder of videothinker's repository); pip install msgspec"
)
"""What another tool's environment needs of ours."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Take work elsewhere: a LoRA adapter and its base as one complete model, a training run to
    ms-swift, CLEVRER's counterfactual questions by label to lmms-eval.
    """

    out: Path
    """The folder to write."""
    merge: str | None = None
    """The adapter: a run trained with LoRA, its `model/`, or one of its checkpoints."""
    to: To | None = None
    """`ms-swift`: data, plug-in and command of a training run. `lmms-eval`: a task folder for its
    `--include_path`."""
    data: Path | None = None
    """With --to: a diagnose folder."""
    data_root: Path | None = None
    """With --to: where its videos lie; by default what the diagnose run recorded, else --data."""
    algorithm: AlgorithmName = "cdpo"
    """With --to ms-swift: what is trained."""
    recipe: Path | None = None
    """With --to ms-swift: the run's settings, as `train --config` takes them."""
    model: str | None = None
    """With --to ms-swift: the model to start from; a folder or a hub name."""
    bias: str | None = None
    """With --to ms-swift: the bias model."""
    success: Path | None = None
    """With --to ms-swift and a failure sampling: `success.jsonl` of an earlier run."""
    split: str | None = None
    """With --to lmms-eval: which questions; by default validation where there are such, else test,
    else the only one."""
    follow_links: bool = False
    """With --to lmms-eval: follow symbolic links that lead out of the data folder, as a hub cache
    has them."""
    dtype: Literal["base", "float32", "bfloat16"] = "base"
    """With --merge: of the weights that are written; `base` is the base's own. The sum itself is
    float32."""
    device: str = "cpu"
    """With --merge: where the two models are compared: cpu, cuda, cuda:1 ..."""

    def __post_init__(self) -> None:
        if self.dtype not in ("base", "float32", "bfloat16"):
            raise UserError(f"dtype is {self.dtype!r}; allowed are base, float32, bfloat16")
        if (self.merge is None) == (self.to is None):
            raise UserError("give one of --merge ADAPTER and --to ms-swift or lmms-eval")
        if self.to is not None and self.data is None:
            raise UserError(f"no --data came; --to {self.to} needs a diagnose folder")
