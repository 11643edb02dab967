"""LLaVA-OneVision as it is in transformers: it can be asked, one prompt at a time.

For models that stand in the tables, such as Video-UTR-7B (published as `Kangheng/Video-UTR-7b`,
class LlavaOnevisionForConditionalGeneration). Frames are resized to the vision tower's square, as
the model's own video processor does (which needs torchvision; this needs Pillow), so pixel budgets
of a protocol do not apply; the size that was used is recorded.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import LlavaOnevisionForConditionalGeneration

from videothinker.models import base
from videothinker.models.base import Prompt
from videothinker.models.checkpoint import Checkpoint
from videothinker.models.loaded import Loaded
from videothinker.models.loading import read_tokenizer, read_weights

MEAN = STD = 0.5
"""SigLIP's: pixels from -1 to 1."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Video(base.Video):
    """`values_TCHW` float32, as the tower takes them."""

    values_TCHW: Tensor


@dataclass(eq=False)
class LlavaOnevision(Loaded):
    """A `base.Model`; `model` is a `LlavaOnevisionForConditionalGeneration`."""

    generator: str = field(init=False, default="plain")
    listed: ClassVar[bool] = True

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        times: Sequence[float] | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> Video:
        """Resize to the tower's square (bicubic) and scale to [-1, 1]; it takes no time."""
        del seconds, times, min_pixels, max_pixels
        side = self.model.config.vision_config.image_size
        resized = [
            np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC))
            for frame in frames_THW3
        ]
        values = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255
        values = (values - MEAN) / STD
        # every frame's grid is pooled 2 x 2, and one token ends the video
        pooled = -(-(side // self.model.config.vision_config.patch_size) // 2)
        return Video(
            frames=len(values),
            height=side,
            width=side,
            tokens=len(values) * pooled**2 + 1,
            digest=hashlib.sha256(values.numpy().tobytes()).hexdigest(),
            values_TCHW=values,
        )

    def positions(self, prompt: Prompt) -> Tensor:
        """One axis, on which video and text count alike: `[1, P]`."""
        return torch.arange(prompt.prompt_tokens)[None]

    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        """As the library takes it."""
        ids_1P = prompt.input_ids_P[None].to(self.device)
        given: dict[str, Any] = {"input_ids": ids_1P, "attention_mask": torch.ones_like(ids_1P)}
        if prompt.video is not None:
            values = prompt.video.values_TCHW[None].to(self.device, self.model.dtype)
            given["pixel_values_videos"] = values
        return given


def load(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> LlavaOnevision:
    """Model (in evaluation mode) and tokenizer of a folder.

    Raises:
        UserError: the parts of the folder do not fit each other.
    """
    del device
    model = read_weights(checkpoint, LlavaOnevisionForConditionalGeneration, dtype)
    return LlavaOnevision(model, read_tokenizer(checkpoint, model, listed=True))
