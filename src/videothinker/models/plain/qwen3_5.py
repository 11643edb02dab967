"""Qwen3.5's frames: Qwen3-VL's patches, with the time of each pair of frames written before it.

transformers 5.23 keeps the marks of the template's place around all pairs, so that they stand
there twice; as first published (transformers 4.57, and in vLLM) they go with the place, as here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from videothinker.models.plain.frames import (
    PlainFrames,
    PlainPrompt,
    PlainVideo,
    digest,
    moments,
    read_frames_file,
    read_look,
    side,
)
from videothinker.models.qwen_vl.patches import frames_to_patches
from videothinker.models.qwen_vl.videos import step_times

PAIR = 2
"""Frames of a temporal patch."""


class Qwen35Frames(PlainFrames):
    """As `Qwen3VLVideoProcessor` and `Qwen3VLProcessor` make them."""

    def __init__(self, folder: Path, config: Any, tokenizer: Any) -> None:
        super().__init__(folder, config, tokenizer)
        file = read_frames_file(folder)
        self.look = read_look(file, folder, mean=(0.5,) * 3, resample=3)
        self.least = side(file.size, "shortest_edge", folder)
        self.most = side(file.size, "longest_edge", folder)
        vision = config.vision_config
        self.patch, self.merge = vision.patch_size, vision.spatial_merge_size

    @property
    def place(self) -> str:
        """Its two marks go with it."""
        return self._between("{}")

    def _between(self, form: str) -> str:
        """Start mark, `form` filled with the video token, end mark."""
        start, video, end = (
            str(self.tokenizer.convert_ids_to_tokens(number))
            for number in (
                self.config.vision_start_token_id,
                self.config.video_token_id,
                self.config.vision_end_token_id,
            )
        )
        return f"{start}{form.format(video)}{end}"

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        times: Sequence[float] | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> PlainVideo:
        """An odd last frame is repeated; bounds of the model's own hold for all frames together."""
        count = len(frames_THW3)
        shown_at = step_times(moments(count, seconds, times), PAIR)
        if count == 1:  # the processor refuses it
            frames_THW3 = frames_THW3.repeat(PAIR, axis=0)
        shown = len(frames_THW3)
        least = self.least if min_pixels is None else min_pixels * shown
        most = self.most if max_pixels is None else max_pixels * shown
        patches = frames_to_patches(
            frames_THW3,
            min_pixels=least,
            max_pixels=most,
            patch_size=self.patch,
            temporal_patch_size=PAIR,
            merge_size=self.merge,
            mean=self.look.mean,
            std=self.look.std,
            resample=self.look.resample,
            whole_video=True,
        )
        values = {
            "pixel_values_videos": patches.pixel_values,
            "video_grid_thw": patches.grid_thw,
        }
        each = patches.height * patches.width // (self.patch * self.merge) ** 2
        pair = self._between("{0}" * each)
        words = "".join(f"<{moment:.1f} seconds>{pair}" for moment in shown_at)
        return PlainVideo(
            frames=count,
            height=patches.height,
            width=patches.width,
            tokens=each * len(shown_at),
            digest=digest(values, words),
            values=values,
            words=words,
        )

    def marked(self, ids_P: Tensor, video: Any, kinds: Mapping[str, Tensor]) -> PlainPrompt:
        """The forward counts positions by what is a video's."""
        types_P = 2 * (ids_P == self.config.video_token_id).long()
        return super().marked(ids_P, video, dict(kinds) | {"mm_token_type_ids": types_P})


FRAMES = Qwen35Frames
