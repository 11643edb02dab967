"""Plain GRPO (arXiv 2402.03300) on all questions: the paper's baseline.

Nothing differs from what all share, but a bias model may choose the questions: `bias-failure`
sampling is our cure, in which nothing is repelled (`training/sampling.py`).
"""

from dataclasses import dataclass
from typing import ClassVar

from videothinker.algorithms.base import BiasSource, TrainConfig, require


@dataclass(frozen=True, kw_only=True)
class GrpoConfig(TrainConfig):
    """Plain GRPO on all questions, no divergence term: the paper's baseline."""

    stage: ClassVar[str] = "grpo"
    about: ClassVar[str] = "train by GRPO on all questions: the baseline"
    role: ClassVar[str] = "GRPO"
    meaning: ClassVar[str] = "reinforcement learning on all questions"

    bias: str | None = None
    """The bias model, needed by sampling 'bias-failure' alone."""
    offload_bias: bool = False
    """Keep the bias model on the CPU between its uses; exact. Ours."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling == "bias-failure":
            require(self, "bias", bool(self.bias), "a model, which 'bias-failure' needs")

    def bias_source(self) -> BiasSource | None:
        """It chooses the questions, or is not needed."""
        if self.bias is None or self.sampling != "bias-failure":
            return None
        return BiasSource(self.bias, self.offload_bias)
