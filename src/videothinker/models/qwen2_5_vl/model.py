"""Qwen2.5-VL as a policy: positions that follow seconds; the rest is the Qwen-VL line's."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from videothinker.models.base import Prompt
from videothinker.models.checkpoint import Checkpoint
from videothinker.models.qwen2_5_vl.encoding import positions
from videothinker.models.qwen_vl.policy import QwenVL, read_policy
from videothinker.models.qwen_vl.preprocessor import Processor

PROCESSOR = Processor("Qwen2_5_VLProcessor", video="Qwen2VLVideoProcessor")


@dataclass(eq=False)
class Qwen25VL(QwenVL):
    """`model` is a `Qwen2_5_VLForConditionalGeneration`."""

    processor: ClassVar[Processor] = PROCESSOR

    def positions(self, prompt: Prompt) -> Tensor:
        """Time, height and width position of every prompt token: int64 `[3, P]`, on the CPU."""
        return positions(self.model.config, prompt)


def load(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Qwen25VL:
    """See `base.Load`."""
    kind = Qwen2_5_VLForConditionalGeneration
    return read_policy(Qwen25VL, kind, checkpoint, dtype=dtype, device=device)
