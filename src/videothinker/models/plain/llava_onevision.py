"""LLaVA-OneVision's frames: each the tower's square, its grid pooled to a half; no pixel bounds.

For models that stand in the tables too, such as Video-UTR-7B (published as
`Kangheng/Video-UTR-7b`, class LlavaOnevisionForConditionalGeneration).
"""

from pathlib import Path
from typing import Any

import numpy as np

from videothinker.models.plain.frames import (
    PlainFrames,
    PlainVideo,
    digest,
    read_frames_file,
    read_look,
    side,
)
from videothinker.models.qwen_vl.patches import channels_first
from videothinker.models.qwen_vl.preprocessor import CLIP_MEAN


class LlavaOnevisionFrames(PlainFrames):
    """As `LlavaOnevisionVideoProcessor` and `LlavaOnevisionProcessor` make them."""

    one_axis = True

    def __init__(self, folder: Path, config: Any, tokenizer: Any) -> None:
        super().__init__(folder, config, tokenizer)
        file = read_frames_file(folder)
        self.look = read_look(file, folder, mean=CLIP_MEAN, resample=3)
        self.size = (side(file.size, "height", folder), side(file.size, "width", folder))

    def to_video(self, frames_THW3: np.ndarray, seconds: float, **_: Any) -> PlainVideo:
        """It takes no time either."""
        del seconds
        pixels = self.look.normalise(self.look.resize(channels_first(frames_THW3), *self.size))
        vision = self.config.vision_config
        pooled = -(-(vision.image_size // vision.patch_size) // 2)
        tokens = len(frames_THW3) * pooled**2 + 1  # one ends the video
        values, words = {"pixel_values_videos": pixels[None]}, self.place * tokens
        return PlainVideo(
            frames=len(frames_THW3),
            height=self.size[0],
            width=self.size[1],
            tokens=tokens,
            digest=digest(values, words),
            values=values,
            words=words,
        )


FRAMES = LlavaOnevisionFrames
