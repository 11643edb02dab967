"""SmolVLM2's frames: each a square between words that say when it is shown; no pixel bounds."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from transformers.models.smolvlm.processing_smolvlm import (
    DEFAULT_CHAT_TEMPLATE,
    DEFAULT_MEDIA_OUTTRO,
    DEFAULT_VIDEO_INTRO,
    FRAME_TIMESTAMP_MESSAGE,
)

from videothinker.models.plain.frames import (
    PlainFrames,
    PlainVideo,
    digest,
    moments,
    read_frames_file,
    read_look,
    side,
)
from videothinker.models.qwen_vl.patches import channels_first

IMAGE = "<fake_token_around_image><global-img>{}<fake_token_around_image>"
"""A whole frame, without tiles."""
LARGEST = 4096
"""Pixels along the longer side before the square."""
UNITS = (
    *("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


class SmolVLMFrames(PlainFrames):
    """As `SmolVLMVideoProcessor` and `SmolVLMProcessor` make them."""

    one_axis = True

    def __init__(self, folder: Path, config: Any, tokenizer: Any) -> None:
        super().__init__(folder, config, tokenizer)
        file = read_frames_file(folder)
        self.look = read_look(file, folder, mean=(0.5,) * 3, resample=1)
        sampling = file.video_sampling or {}
        first = file.size or sampling.get("video_size") or {"longest_edge": 4 * 364}
        self.longest = min(LARGEST, side(first, "longest_edge", folder))
        square = file.max_image_size or {"longest_edge": 364}
        self.square = side(square, "longest_edge", folder)
        patches = self.square // config.vision_config.patch_size
        self.frame_tokens = patches**2 // config.scale_factor**2
        # what the processor takes for every prompt with a video, whatever the folder says
        tokenizer.chat_template = DEFAULT_CHAT_TEMPLATE

    @property
    def place(self) -> str:
        """A word of the template; what stands for pixels is `<image>`."""
        return "<video>"

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        times: Sequence[float] | None = None,
        **_: Any,
    ) -> PlainVideo:
        """Resized twice, as the processor does: keeping the shape, then to the square."""
        count, height, width, _ = frames_THW3.shape
        first = self.look.resize(channels_first(frames_THW3), *self._first_size(height, width))
        pixels = self.look.normalise(self.look.resize(first, self.square, self.square))
        values, words = (
            {"pixel_values": pixels[None]},
            self._words(seconds, moments(count, seconds, times)),
        )
        return PlainVideo(
            frames=count,
            height=self.square,
            width=self.square,
            tokens=count * self.frame_tokens,
            digest=digest(values, words),
            values=values,
            words=words,
        )

    def _first_size(self, height: int, width: int) -> tuple[int, int]:
        """The longer side as long as asked for, the other even and in proportion."""
        ratio = width / height
        if width >= height:
            other = int(self.longest / ratio)
            return max(1, other + other % 2), self.longest
        other = int(self.longest * ratio)
        return self.longest, max(1, other + other % 2)

    def _words(self, seconds: float, shown_at: Sequence[float]) -> str:
        image = self.tokenizer.convert_ids_to_tokens(self.config.image_token_id)
        shown = IMAGE.format(image * self.frame_tokens)
        said = [
            DEFAULT_VIDEO_INTRO.format(
                frame_count=number_words(len(shown_at)),
                video_duration=timedelta(seconds=int(seconds)),
            )
        ]
        for moment in shown_at:
            clock = f"{int(moment // 60):02d}:{int(moment % 60):02d}"
            said.append(FRAME_TIMESTAMP_MESSAGE.format(timestamp=clock) + shown)
        return "".join([*said, DEFAULT_MEDIA_OUTTRO])


def number_words(number: int) -> str:
    """English words for 1 to 999,999, as the package num2words writes them."""
    if number >= 1000:
        rest = number % 1000
        joint = "" if not rest else ", " if rest >= 100 else " and "
        return f"{number_words(number // 1000)} thousand{joint}{number_words(rest) if rest else ''}"
    if number >= 100:
        rest = number % 100
        return f"{UNITS[number // 100]} hundred" + (f" and {number_words(rest)}" if rest else "")
    if number >= 20:
        tens, one = divmod(number, 10)
        return TENS[tens] + (f"-{UNITS[one]}" if one else "")
    return UNITS[number]


FRAMES = SmolVLMFrames
