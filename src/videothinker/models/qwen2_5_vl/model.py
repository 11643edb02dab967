"""Qwen2.5-VL as a policy: positions that follow seconds; the rest is the Qwen-VL line's."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from videothinker.models.base import Prompt
from videothinker.models.qwen_vl.policy import QwenVL
from videothinker.models.qwen_vl.preprocessor import Processor

PROCESSOR = Processor("Qwen2_5_VLProcessor", video="Qwen2VLVideoProcessor")


@dataclass(eq=False)
class Qwen25VL(QwenVL):
    """The Qwen-VL line with time in seconds."""

    library: ClassVar[Any] = Qwen2_5_VLForConditionalGeneration
    processor: ClassVar[Processor] = PROCESSOR

    def grids(self, prompt: Prompt, steps: int, rows: Tensor, columns: Tensor) -> list[Tensor]:
        """Step i of a video lies floor(i * seconds a step * `tokens_per_second`) after step 0, as
        first published (transformers' pull request 35569, by the model's authors) and in vLLM.
        """
        pace = self.model.config.vision_config.tokens_per_second
        seconds = torch.tensor(prompt.video.second_per_grid)  # float32, as the processor has it
        times = (torch.arange(steps) * seconds * pace).long()
        return [torch.cartesian_prod(times, rows, columns).T]


load = Qwen25VL.load
