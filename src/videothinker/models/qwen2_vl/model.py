"""Qwen2-VL as a policy: time counts grid steps; the rest is the Qwen-VL line's."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from transformers import Qwen2VLForConditionalGeneration

from videothinker.models.base import Prompt
from videothinker.models.checkpoint import Checkpoint
from videothinker.models.qwen_vl.policy import QwenVL, read_policy
from videothinker.models.qwen_vl.preprocessor import Processor

PROCESSOR = Processor("Qwen2VLProcessor", video="Qwen2VLVideoProcessor")


@dataclass(eq=False)
class Qwen2VL(QwenVL):
    """`model` is a `Qwen2VLForConditionalGeneration`."""

    processor: ClassVar[Processor] = PROCESSOR

    def grids(self, prompt: Prompt, steps: int, rows: Tensor, columns: Tensor) -> list[Tensor]:
        """Time counts steps."""
        del prompt
        return [torch.cartesian_prod(torch.arange(steps), rows, columns).T]


def load(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Qwen2VL:
    """See `base.Load`."""
    kind = Qwen2VLForConditionalGeneration
    return read_policy(Qwen2VL, kind, checkpoint, dtype=dtype, device=device)
