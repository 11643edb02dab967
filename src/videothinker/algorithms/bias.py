"""Stage 1, the bias model: DAPO on observational questions without their premise.

Paper: arXiv 2605.01324, "bias-aware training", which follows DAPO (2503.14476). What differs from
GRPO: the data, a mean over tokens, and dynamic sampling, which drops groups whose rewards are all
equal and draws others. Overlong completions are rewarded like any other, as the authors do (DAPO
would filter or shape them).
"""

from dataclasses import dataclass
from typing import ClassVar

from videothinker.algorithms.base import TrainConfig, require
from videothinker.algorithms.choices import LossType


@dataclass(frozen=True, kw_only=True)
class BiasConfig(TrainConfig):
    """Make the bias model, by DAPO on observational questions without their premise."""

    stage: ClassVar[str] = "bias"
    about: ClassVar[str] = "train the bias model by RL on the observational questions"
    role: ClassVar[str] = "Bias model"
    meaning: ClassVar[str] = (
        "trained by reinforcement learning on observational questions alone: it takes the shortcut"
    )
    limit: ClassVar[str] = (
        "It answers from what the video shows and passes over the premise. That is its purpose; it "
        "is not meant to answer questions."
    )
    following: ClassVar[str] = (
        "train cdpo --data {data} --model {model} --bias {out} --out {beside}/cdpo"
    )

    loss_type: LossType = "dapo"
    """Mean over tokens. Paper: stage 1 follows DAPO."""
    as_is: bool = False
    """Train on bias_as_is.jsonl, questions with their premise, rather than bias.jsonl: for a bias
    model whose failures choose the questions. Paper: without their premise."""
    max_refills: int = 9
    """Further draws to fill a step with groups that have signal. Ours: DAPO's 10 draws in all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = self.max_refills == 0 or "pair_consistency" not in self.reward_funcs
        require(self, "max_refills", whole, "0 with the reward 'pair_consistency'")
        allowed = "uniform, base-failure, curriculum, label: "
        allowed += "'bias-failure' needs a bias model, made here"
        require(self, "sampling", self.sampling != "bias-failure", allowed)

    def trained_on(self) -> str:
        """The bias set."""
        return "bias_as_is.jsonl" if self.as_is else "bias.jsonl"

    def refills(self) -> int:
        """Dynamic sampling."""
        return self.max_refills
