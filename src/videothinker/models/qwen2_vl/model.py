"""Qwen2-VL as a policy: time counts grid steps; the rest is the Qwen-VL line's."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from transformers import Qwen2VLForConditionalGeneration

from videothinker.models.base import Prompt
from videothinker.models.checkpoint import Checkpoint
from videothinker.models.positions import lay_out
from videothinker.models.qwen_vl.policy import QwenVL, read_policy
from videothinker.models.qwen_vl.preprocessor import Processor

PROCESSOR = Processor("Qwen2VLProcessor", video="Qwen2VLVideoProcessor")


@dataclass(eq=False)
class Qwen2VL(QwenVL):
    """`model` is a `Qwen2VLForConditionalGeneration`."""

    processor: ClassVar[Processor] = PROCESSOR

    def positions(self, prompt: Prompt) -> Tensor:
        """Grid step, height and width of every prompt token: int64 `[3, P]`, on the CPU.

        The text after a video begins one beyond its largest position on any axis, as first
        published (transformers up to 5.2) and in vLLM.
        """
        if prompt.video is None:
            return torch.arange(prompt.prompt_tokens).expand(3, -1)
        merge = self.model.config.vision_config.spatial_merge_size
        steps, *sides = (int(n) for n in prompt.video.grid_thw[0])
        axes = (torch.arange(size) for size in (steps, *(side // merge for side in sides)))
        return lay_out(prompt.video_P, [torch.cartesian_prod(*axes).T])


def load(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Qwen2VL:
    """See `base.Load`."""
    kind = Qwen2VLForConditionalGeneration
    return read_policy(Qwen2VL, kind, checkpoint, dtype=dtype, device=device)
