"""Words and frames to one prompt: token ids, patches, and the seconds a video's grid step lasts."""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from videothinker.errors import UserError
from videothinker.models.qwen2_5_vl.patches import frames_to_patches
from videothinker.models.templates import chat_text
from videothinker.prompts import CONTROL_TOKEN

QwenModel: TypeAlias = Any
"""A `Qwen2_5_VLForConditionalGeneration`; transformers' annotations do not fit its own use."""


@dataclass(frozen=True)
class VisionSettings:
    """How a model's frames are prepared, read from its preprocessor config.

    `min_pixels` and `max_pixels` bound one frame's height times width.
    """

    patch_size: int
    temporal_patch_size: int
    merge_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    min_pixels: int
    max_pixels: int


@dataclass(frozen=True, eq=False)
class Video:
    """Frames ready for the vision tower; encode several questions about it without resizing again.

    `pixel_values` float32 `[patches, patch values]`, `grid_thw` int64 `[1, 3]`, `second_per_grid`
    seconds one step of the temporal grid lasts, `frames` as given, `height` and `width` in pixels
    after resizing, `digest` sha256 of all of it.
    """

    pixel_values: Tensor
    grid_thw: Tensor
    second_per_grid: float
    frames: int
    height: int
    width: int
    tokens: int
    digest: str


@dataclass(frozen=True, eq=False)
class Encoded:
    """One prompt. `input_ids_P` int64 on the CPU; the rest is None or 0 where there is no video."""

    input_ids_P: Tensor
    pixel_values: Tensor | None = None
    grid_thw: Tensor | None = None
    second_per_grid: float | None = None
    frames: int = 0
    height: int = 0
    width: int = 0
    video_digest: str | None = None

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt, video tokens included."""
        return len(self.input_ids_P)


def prepare_video(
    frames_THW3: np.ndarray,
    seconds: float,
    settings: VisionSettings,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
) -> Video:
    """Cut frames into patches; `seconds` is how long the whole clip lasts that they show.

    A grid step lasts temporal_patch_size / (sampled frames a second), as in the models' processor;
    sampled frames a second are T / `seconds`, whatever the frames' own times. The pixel budget is
    the model's own where none is given. Raises `UserError` for a clip without duration.
    """
    if not 0 < seconds < math.inf:
        raise UserError(
            f"{len(frames_THW3)} frames of a clip of {seconds} seconds came; positions in time "
            "need its whole duration, above 0"
        )
    patches = frames_to_patches(
        frames_THW3,
        min_pixels=settings.min_pixels if min_pixels is None else min_pixels,
        max_pixels=settings.max_pixels if max_pixels is None else max_pixels,
        patch_size=settings.patch_size,
        temporal_patch_size=settings.temporal_patch_size,
        merge_size=settings.merge_size,
        mean=settings.mean,
        std=settings.std,
    )
    second_per_grid = settings.temporal_patch_size * seconds / len(frames_THW3)
    content = hashlib.sha256(patches.pixel_values.numpy().tobytes())
    content.update(repr((patches.grid_thw.tolist(), second_per_grid)).encode())
    return Video(
        pixel_values=patches.pixel_values,
        grid_thw=patches.grid_thw,
        second_per_grid=second_per_grid,
        frames=len(frames_THW3),
        height=patches.height,
        width=patches.width,
        tokens=int(patches.grid_thw.prod()) // settings.merge_size**2,
        digest=content.hexdigest(),
    )


def encode_prompt(
    tokenizer: PreTrainedTokenizerBase,
    video_token_id: int,
    user: str,
    video: Video | None,
    *,
    system: str | None = None,
    prefill: str = "",
    max_prompt_tokens: int | None = None,
) -> Encoded:
    """The chat-formatted prompt: system, video, the user's words, then `prefill` of the answer.

    Control tokens in `user` and `system` become plain words. The video comes before the words, so
    that questions about one video share a prefix. Raises `UserError` for a prompt longer than
    `max_prompt_tokens`: it is never cut.
    """
    said = None if system is None else _plain(system)
    text = chat_text(tokenizer, _plain(user), video=video is not None, system=said)
    ids = torch.tensor(tokenizer(f"{text}{prefill}", add_special_tokens=False)["input_ids"])
    places = (ids == video_token_id).nonzero().flatten().tolist()
    if len(places) != (video is not None):
        raise UserError(
            f"the chat template gave {len(places)} video places for "
            f"{int(video is not None)} videos; use a model folder with Qwen2.5-VL's chat template"
        )
    if video is not None:
        at = places[0]
        pads = torch.full((video.tokens,), video_token_id)
        ids = torch.cat([ids[:at], pads, ids[at + 1 :]])
    if max_prompt_tokens is not None and len(ids) > max_prompt_tokens:
        raise UserError(
            f"a prompt of {len(ids)} tokens ({video.tokens if video else 0} of them video) came; "
            f"at most {max_prompt_tokens} are allowed: use fewer frames or pixels, or raise the "
            f"limit (prompt: {user[:60]!r})"
        )
    if video is None:
        return Encoded(input_ids_P=ids)
    return Encoded(
        input_ids_P=ids,
        pixel_values=video.pixel_values,
        grid_thw=video.grid_thw,
        second_per_grid=video.second_per_grid,
        frames=video.frames,
        height=video.height,
        width=video.width,
        video_digest=video.digest,
    )


def _plain(text: str) -> str:
    return CONTROL_TOKEN.sub(r"< |\1| >", text)
