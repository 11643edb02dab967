"""Qwen2-VL as a policy: time counts grid steps; the rest is the Qwen-VL line's."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import Qwen2VLForConditionalGeneration

from videothinker.models.base import Prompt
from videothinker.models.qwen_vl.policy import QwenVL
from videothinker.models.qwen_vl.preprocessor import Processor

PROCESSOR = Processor("Qwen2VLProcessor", video="Qwen2VLVideoProcessor")


@dataclass(eq=False)
class Qwen2VL(QwenVL):
    """The Qwen-VL line with time in steps."""

    library: ClassVar[Any] = Qwen2VLForConditionalGeneration
    processor: ClassVar[Processor] = PROCESSOR

    def grids(self, prompt: Prompt, steps: int, rows: Tensor, columns: Tensor) -> list[Tensor]:
        """Time counts steps."""
        del prompt
        return [torch.cartesian_prod(torch.arange(steps), rows, columns).T]


load = Qwen2VL.load
