"""Frames and prompts by a family's own published processor, where nothing of ours prepares them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoProcessor

from videothinker.errors import UserError
from videothinker.files import border
from videothinker.models.border import AGAIN
from videothinker.models.plain.frames import PlainFrames, PlainPrompt, PlainVideo, digest, moments

INPUTS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
"""What a processor says of the tokens; all else it gives is the video's."""
CLOCK = 1000
"""Frames a second of the file that a processor is told of: its numbers are then milliseconds."""


def load_processor(folder: Path) -> Any:
    """The folder's processor.

    Raises:
        UserError: it asks for a package that is not there, or takes no video.
    """
    try:
        with border(f"{folder}: its processor could not be loaded", AGAIN):
            found = AutoProcessor.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
    except UserError as error:
        if isinstance(error.__cause__, ImportError):
            lacks = "num2words" if "num2words" in str(error.__cause__) else "torchvision"
            raise UserError(
                f"{folder}: its frames are prepared by its own processor, which needs the package "
                f"{lacks}; install {lacks}, of the build that fits the installed torch "
                f"{torch.__version__}"
            ) from error
        raise
    if getattr(found, "video_processor", None) is None or not getattr(found, "video_token", None):
        raise UserError(
            f"{folder}: its processor, {type(found).__name__}, takes no video; choose a model for "
            "videos"
        )
    return found


@dataclass(frozen=True, eq=False)
class RawFrames:
    """Frames as they came, because the processor sees them again with every prompt."""

    frames_THW3: np.ndarray
    seconds: float
    times: Sequence[float]


@dataclass(frozen=True, eq=False, kw_only=True)
class ProcessedVideo(PlainVideo):
    """And what it was made of."""

    shown: RawFrames


class ProcessorFrames(PlainFrames):
    """A prompt's ids and a video's values are what the processor returns; no pixel bounds."""

    def __init__(self, folder: Path, config: Any, tokenizer: Any, processor: Any = None) -> None:
        super().__init__(folder, config, tokenizer)
        self.processor = load_processor(folder) if processor is None else processor

    @property
    def place(self) -> str:
        """As the processor looks for it."""
        return self.processor.video_token

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        times: Sequence[float] | None = None,
        **_: Any,
    ) -> PlainVideo:
        """Raises `UserError` where the processor returns no video."""
        shown = RawFrames(frames_THW3, seconds, moments(len(frames_THW3), seconds, times))
        given = self._call(self.place, shown)
        values = {name: value for name, value in given.items() if name not in INPUTS}
        if not values:
            raise UserError(
                f"{self.folder}: its processor, {type(self.processor).__name__}, returned no video "
                f"for {len(frames_THW3)} frames, only {', '.join(given)}; choose a model for videos"
            )
        height, width = self._size(values)
        return ProcessedVideo(
            frames=len(frames_THW3),
            height=height,
            width=width,
            tokens=int(torch.isin(given["input_ids"], torch.tensor(self.placeholders)).sum()),
            digest=digest(values, str(given["input_ids"].tolist())),
            values=values,
            words=self.place,
            shown=shown,
        )

    def _size(self, values: dict[str, Tensor]) -> tuple[int, int]:
        """Of a frame, where the values show it; else 0."""
        if "video_grid_thw" in values:
            patch = self.config.vision_config.patch_size
            _, rows, columns = values["video_grid_thw"][0].tolist()
            return rows * patch, columns * patch
        for value in values.values():
            if value.ndim >= 4:
                return int(value.shape[-2]), int(value.shape[-1])
        return 0, 0

    def read(self, text: str, video: Any) -> PlainPrompt:
        """The processor's ids for the whole text."""
        if video is None:
            return super().read(text, None)
        given = self._call(text, video.shown)
        kinds = {name: given[name][0] for name in INPUTS[2:] if name in given}
        return self.marked(given["input_ids"][0], video, kinds)

    def _call(self, text: str, shown: RawFrames) -> dict[str, Tensor]:
        count = len(shown.frames_THW3)
        about = {
            "fps": CLOCK,
            "duration": shown.seconds,
            "total_num_frames": round(CLOCK * shown.seconds),
            "frames_indices": [round(CLOCK * moment) for moment in shown.times],
        }
        with border(f"{self.folder}: its processor failed on {count} frames", AGAIN):
            return dict(
                self.processor(
                    text=[text],
                    videos=[shown.frames_THW3],
                    video_metadata=[about],
                    do_sample_frames=False,
                    add_special_tokens=self.adds_special(text),
                    return_tensors="pt",
                )
            )


FRAMES = ProcessorFrames
