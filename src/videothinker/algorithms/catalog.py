"""The algorithms there are: the one list, from which verbs, export, report and cards follow."""

from typing import TYPE_CHECKING, Literal

from videothinker.algorithms.base import TrainConfig
from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.grpo import GrpoConfig

ALGORITHMS: dict[str, type[TrainConfig]] = {
    kind.stage: kind for kind in (BiasConfig, GrpoConfig, CdpoConfig)
}
"""By the second word of `train <stage>`, in the order of the help and of the report's tables."""

if TYPE_CHECKING:
    AlgorithmName = str
else:
    AlgorithmName = Literal[tuple(ALGORITHMS)]
