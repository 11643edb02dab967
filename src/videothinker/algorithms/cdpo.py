"""Stage 2, causal debiasing policy optimisation (CDPO, arXiv 2605.01324).

GRPO plus repulsion * divergence(policy, frozen bias model), where TRL's `beta` is `-repulsion`; the
weight in force follows direction, schedule and guard (`control.py`). Defaults: the paper's
objective, with our guard and our draw of questions by the bias model's failures; `--no-guard
--sampling uniform` is the paper's own. Bounded at every step: `divergence exact, repulsion 0.3,
schedule controller`.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from videothinker.algorithms import choices, control
from videothinker.algorithms.base import BiasSource, Objective, TrainConfig, require


@dataclass(frozen=True, kw_only=True)
class CdpoConfig(TrainConfig):
    """GRPO with a repulsion from the frozen bias model."""

    stage: ClassVar[str] = "cdpo"
    about: ClassVar[str] = (
        "train by CDPO: GRPO repelled from a bias model, on questions that it fails"
    )
    role: ClassVar[str] = "CDPO"
    meaning: ClassVar[str] = "GRPO repelled from the bias model"

    sampling: choices.QuestionSampling = "bias-failure"
    """How a step's questions are drawn: `bias-failure` takes most often what the bias model fails
    at, which it is asked before step 1. Ours: measured in miniature. Paper: uniform, every question
    once before any twice."""
    bias: str
    """The frozen bias model: a folder, a run of `train bias`, a hub name, or a LoRA adapter."""
    offload_bias: bool = False
    """Keep the bias model on the CPU between its uses; exact. Ours."""
    repulsion: float = 0.01
    """Weight of the divergence from the bias model; TRL's `beta` is -repulsion. Paper: 0.01. With
    the controller 0.3 was measured in miniature."""
    divergence: choices.DivergenceName = "k3"
    """`k3` is the authors' code, KL(bias || pi); `rho_k3`, `k2` and `exact` the paper's formula,
    KL(pi || bias); `js` Jensen-Shannon. Authors' code: k3."""
    direction: choices.Direction = "repel"
    """`attract` is the paper's ablation. Paper: repel."""
    schedule: choices.Schedule = "constant"
    """`controller`: repulsion * clip(1 - D / target, -1, 1), ours. Paper: constant."""
    divergence_in: choices.DivergencePlace = "loss"
    """`reward` adds repulsion * log(pi / bias) of the whole completion to its reward and leaves the
    loss plain: the sceptic's baseline. Paper: loss."""
    divergence_target: float = 0.4
    """The KL(pi || bias) the controller holds, in nats a token. Ours: measured in miniature."""
    guard: bool = True
    """Stop the push at signs of a collapse; the paper has no such guard. Ours."""
    guard_valid: float = 0.5
    """The guard stops the push below this share of valid formats. Ours."""
    guard_entropy: float = 3.0
    """The guard stops the push above this entropy, in nats a token. Ours."""
    guard_divergence: float = 4.0
    """The guard stops the push above this KL(pi || bias), in nats a token. Ours."""
    allow_self_bias: bool = False
    """Let the bias model be the starting policy itself: the paper's ablation, which collapses."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "bias", bool(self.bias), "a bias model; make one with `train bias`")
        alone = self.repulsion == 0 and self.sampling != "uniform"
        allowed = (
            "a number above 0 (repulsion = -beta; to pull towards the bias model set direction "
            "'attract'), or 0 with a sampling other than 'uniform'"
        )
        require(self, "repulsion", alone or 0 < self.repulsion < math.inf, allowed)
        if self.direction == "attract":
            require(self, "schedule", self.schedule == "constant", "'constant' for 'attract'")
        require(self, "guard_valid", self.guard_valid <= 1, "a share from 0 to 1")

    def bias_source(self) -> BiasSource:
        """Always: it is what the policy is driven from."""
        return BiasSource(self.bias, self.offload_bias, self.allow_self_bias)

    def objective(self) -> Objective:
        """With the divergence and its weight, unless the repulsion is 0."""
        plain = super().objective()
        if not self.repulsion:
            return plain
        return replace(
            plain,
            divergence=self.divergence,
            divergence_in=self.divergence_in,
            repulsion=self.repulsion if self.direction == "repel" else -self.repulsion,
        )

    def weigh(self, signs: control.Signs) -> tuple[float, str | None]:
        """The objective's, after schedule and guard."""
        weight = self.objective().repulsion
        if self.schedule == "controller":
            weight = control.controlled(weight, signs.divergence, self.divergence_target)
        if not self.guard:
            return weight, None
        limits = control.Signs(self.guard_valid, self.guard_entropy, self.guard_divergence)
        return control.guarded(weight, signs, limits)
