"""What an objective is made of, by name: the words that flags, recipes and records use.

Standard library alone, so that `--help` needs no torch; the functions are in `objective.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

QuestionSampling = Literal["uniform", "bias-failure", "base-failure", "curriculum", "label"]
RewardScale = Literal["group", "none", "type"]
LossType = Literal["grpo", "dapo"]
Direction = Literal["repel", "attract"]
Schedule = Literal["constant", "controller"]
DivergencePlace = Literal["loss", "reward"]
"""Where the divergence stands."""


@dataclass(frozen=True)
class Divergence:
    """How far the policy is from the bias model."""

    function_name: str
    """In `objective.py`."""
    whole_vocabulary: bool = False
    """False: `(logps, bias_logps, old_logps) -> divergence`, each [G, C], of the sampled tokens
    alone. True: `(logps_NV, bias_logps_NV) -> divergence_N`, over all tokens that could come."""

    @property
    def function(self) -> Callable[..., Any]:
        """Of tensors."""
        return getattr(import_module("videothinker.algorithms.objective"), self.function_name)


DIVERGENCES = {
    "k3": Divergence("k3"),
    "rho_k3": Divergence("rho_k3"),
    "k2": Divergence("k2"),
    "exact": Divergence("exact_kl", whole_vocabulary=True),
    "js": Divergence("jensen_shannon", whole_vocabulary=True),
}
"""The one list; what `--divergence` allows follows from it."""

if TYPE_CHECKING:
    DivergenceName = str
else:
    DivergenceName = Literal[tuple(DIVERGENCES)]
