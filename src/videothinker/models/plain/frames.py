"""What only a plain family knows: how its frames are prepared, and what stands in a video's place.

A family has a file of its own here, named as its `model_type`, with a class that `FRAMES` names,
where its published processor needs torchvision; every other goes through that processor
(`processor`). The arithmetic is that of transformers' video processors; tests hold it to arrays
that they made.
"""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers.video_processing_utils import VideoProcessorMixin

from videothinker.errors import UserError
from videothinker.files import border
from videothinker.models import base
from videothinker.models.border import AGAIN, parse
from videothinker.models.qwen_vl.patches import normalise, resize

FILTERS = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""`resample` as Pillow numbers it -> torch's name."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PlainVideo(base.Video):
    """`values` is what the model's forward takes, by name; `words` stand in the video's place."""

    values: Mapping[str, Tensor]
    words: str


@dataclass(frozen=True, eq=False)
class PlainPrompt(base.Prompt):
    """Beside the ids, what else the forward wants to know of every token, by name: int64 `[P]`."""

    kinds: Mapping[str, Tensor] = field(default_factory=dict)


class PlainFrames(ABC):
    """A family's frames and prompts, made from its folder.

    Args:
        folder: of the model.
        config: the model's.
        tokenizer: may be given the family's own chat template.
    """

    one_axis: ClassVar[bool] = False
    """Positions count video and text alike; else they are not known here."""

    def __init__(self, folder: Path, config: Any, tokenizer: Any) -> None:
        self.folder, self.config, self.tokenizer = folder, config, tokenizer

    @property
    def place(self) -> str:
        """What the chat template shows for a video."""
        return str(self.tokenizer.convert_ids_to_tokens(self.config.video_token_id))

    @abstractmethod
    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        times: Sequence[float] | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> PlainVideo:
        """See `base.Model`; a family whose frames have one size takes no pixel bounds.

        `times` are when each frame is shown, seconds; see `moments`.
        """

    def read(self, text: str, video: Any) -> PlainPrompt:
        """The prompt of a chat-formatted text, whose one place the video's words take."""
        if video is not None:
            text = text.replace(self.place, video.words)
        special = self.adds_special(text)
        ids_P = torch.tensor(self.tokenizer(text, add_special_tokens=special)["input_ids"])
        return self.marked(ids_P, video, {})

    def adds_special(self, text: str) -> bool:
        """Does the tokenizer add its own beginning: not where the template wrote it already."""
        begin = self.tokenizer.bos_token
        return begin is None or not text.startswith(begin)

    def marked(self, ids_P: Tensor, video: Any, kinds: Mapping[str, Tensor]) -> PlainPrompt:
        """The prompt of these ids, of which the placeholders stand for the video."""
        return PlainPrompt(ids_P, torch.isin(ids_P, torch.tensor(self.placeholders)), video, kinds)

    @property
    def placeholders(self) -> list[int]:
        """Ids in whose places the model puts what a tower saw."""
        named = (getattr(self.config, f"{what}_token_id", None) for what in ("video", "image"))
        return [one for one in named if one is not None]

    def positions(self, prompt: base.Prompt) -> Tensor | None:
        """See `base.Model`; more than one axis is given to the forward, one it counts itself."""
        return torch.arange(prompt.prompt_tokens)[None] if self.one_axis else None


@dataclass(frozen=True)
class FramesFile:
    """What is read of a video processor's config."""

    image_mean: list[float] | None = None
    image_std: list[float] | None = None
    resample: int | None = None
    size: dict[str, Any] | None = None
    max_image_size: dict[str, Any] | None = None
    video_sampling: dict[str, Any] | None = None


@dataclass(frozen=True)
class Look:
    """How pixels are made: a filter's name, then per channel a mean and a deviation of 0 to 1."""

    resample: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def resize(self, frames_TCHW: Tensor, height: int, width: int) -> Tensor:
        """See `patches.resize`."""
        return resize(frames_TCHW, height, width, self.resample)

    def normalise(self, frames_TCHW: Tensor) -> Tensor:
        """See `patches.normalise`."""
        return normalise(frames_TCHW, self.mean, self.std)


def read_frames_file(folder: Path) -> FramesFile:
    """The video processor's config, from whichever file holds it.

    Raises:
        UserError: there is none, or it does not say what it should.
    """
    with border(f"{folder}: its video processor's config could not be read", AGAIN):
        content = VideoProcessorMixin.get_video_processor_dict(folder, local_files_only=True)[0]
    return parse(FramesFile, content, f"{folder}, video processor's config")


def read_look(file: FramesFile, folder: Path, *, mean: Sequence[float], resample: int) -> Look:
    """Filter and colors, of the file or else the family's own.

    Raises:
        UserError: numbers of no colors, or an unknown filter.
    """
    colors = tuple(file.image_mean or mean), tuple(file.image_std or mean)
    wanted = file.resample if file.resample is not None else resample
    finite = all(math.isfinite(number) for one in colors for number in one)
    if [len(one) for one in colors] != [3, 3] or not finite or min(colors[1]) <= 0:
        raise UserError(
            f"{folder}: image_mean {colors[0]} and image_std {colors[1]} came; each needs three "
            f"numbers, the second above 0: {AGAIN}"
        )
    if wanted not in FILTERS:
        raise UserError(
            f"{folder}: resample {wanted} came; allowed are {', '.join(map(str, FILTERS))}: {AGAIN}"
        )
    return Look(FILTERS[wanted], *colors)


def side(size: Mapping[str, Any] | None, name: str, folder: Path) -> int:
    """The length `name` in a `size` entry.

    Raises:
        UserError: it is not there, or no length.
    """
    found = (size or {}).get(name)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise UserError(f"{folder}: size {size} came; {name!r} of at least 1 is needed: {AGAIN}")
    return found


def moments(frames: int, seconds: float, times: Sequence[float] | None) -> list[float]:
    """When each frame is shown, seconds; where that is not told, evenly from 0.

    Raises:
        UserError: a clip without duration.
    """
    if not 0 < seconds < math.inf:
        raise UserError(
            f"{frames} frames of a clip of {seconds} seconds came; the words between the frames "
            "need its whole duration, above 0"
        )
    rate = frames / seconds
    return [index / rate for index in range(frames)] if times is None else list(times)


def digest(values: Mapping[str, Tensor], words: str) -> str:
    """sha256 of what the model is given for a video."""
    total = hashlib.sha256(words.encode())
    for name in sorted(values):
        content: Any = values[name].contiguous().view(-1).numpy()
        total.update(f"{name} {tuple(values[name].shape)}\n".encode() + content.tobytes())
    return total.hexdigest()
