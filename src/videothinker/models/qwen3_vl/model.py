"""Qwen3-VL as a policy: timestamps as text, tower features in several decoder layers.

The rest is the Qwen-VL line's. A video is a run of tokens for each step of the temporal grid, with
its time in words before it; DeepStack adds features of inner tower layers to the video tokens of
the first decoder layers, in every call of the decoder that sees the video.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

from videothinker.models import base
from videothinker.models.base import Prompt
from videothinker.models.qwen_vl.policy import QwenVL
from videothinker.models.qwen_vl.preprocessor import Processor
from videothinker.models.qwen_vl.videos import QwenVideo

PROCESSOR = Processor(
    "Qwen3VLProcessor",
    video="Qwen3VLVideoProcessor",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    pixels=(128 * 32 * 32, 32 * 32 * 768),
    whole_video=True,
)
PLACE = "<|vision_start|><|video_pad|><|vision_end|>"
"""Of a video in the chat template."""


@dataclass(eq=False)
class Qwen3VL(QwenVL):
    """The Qwen-VL line with timestamps and DeepStack."""

    library: ClassVar[Any] = Qwen3VLForConditionalGeneration
    processor: ClassVar[Processor] = PROCESSOR

    def spell_video(self, video: base.Video) -> tuple[str, list[str]]:
        """In the place of a video: each step of its grid, after the time at which it is shown.

        As `Qwen3VLProcessor` wrote it when the models were published (transformers 4.57) and vLLM
        writes it. In 5.23 the same stands once more between the two tokens that it replaces here.
        """
        assert isinstance(video, QwenVideo)
        return PLACE, [f"<{time:.1f} seconds>{PLACE}" for time in video.step_times]

    def grids(self, prompt: Prompt, steps: int, rows: Tensor, columns: Tensor) -> list[Tensor]:
        """Every step of a video is a grid of its own, all of it at one time."""
        del prompt
        return [torch.cartesian_prod(torch.zeros(1, dtype=torch.long), rows, columns).T] * steps

    def see(self, videos: Sequence[QwenVideo]) -> Sequence[Tensor]:
        """Of each `[1 + K, video tokens, D]`: its tokens, and what the first K layers add."""
        outputs = self.look(videos)
        layers = [outputs.pooler_output, *outputs.deepstack_features]
        # one tensor a video, or, in transformers 5.17, of all videos
        whole = [one if isinstance(one, Tensor) else torch.cat(tuple(one)) for one in layers]
        return torch.stack(whole).split([video.tokens for video in videos], dim=1)

    def as_tokens(self, seen: Tensor) -> Tensor:
        """The first."""
        return seen[0]

    def deeper(self, seen: Tensor, video_BL: Tensor) -> dict[str, Any]:
        """DeepStack: what is added, and where."""
        return {
            "visual_pos_masks": video_BL.to(self.device),
            "deepstack_visual_embeds": list(seen[1:].unbind()),
        }

    def no_mask(self) -> dict[str, Any]:
        """None is made where queries and keys are as many."""
        return {}


load = Qwen3VL.load
