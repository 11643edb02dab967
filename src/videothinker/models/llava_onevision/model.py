"""LLaVA-OneVision as it is in transformers: it can be asked, one prompt at a time.

For models that stand in the tables, such as Video-UTR-7B (published as `Kangheng/Video-UTR-7b`,
class LlavaOnevisionForConditionalGeneration). Frames are resized to the vision tower's square, as
the model's own video processor does (which needs torchvision; this needs Pillow), so pixel budgets
of a protocol do not apply; the size that was used is recorded.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import LlavaOnevisionForConditionalGeneration

from videothinker.models.checkpoint import Checkpoint
from videothinker.models.loaded import Loaded, prompt_ids
from videothinker.models.loading import read_tokenizer, read_weights

MEAN = STD = 0.5
"""SigLIP's: pixels from -1 to 1."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """One `base.Prompt`; `values_TCHW` are the frames as the tower takes them, float32."""

    input_ids_P: Tensor
    video_P: Tensor
    values_TCHW: Tensor | None
    second_per_grid: None = None

    @property
    def video_digest(self) -> str | None:
        """sha256 of the frames."""
        if self.values_TCHW is None:
            return None
        return hashlib.sha256(self.values_TCHW.numpy().tobytes()).hexdigest()

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt, video tokens included."""
        return len(self.input_ids_P)

    @property
    def frames(self) -> int:
        """How many frames are shown."""
        return 0 if self.values_TCHW is None else len(self.values_TCHW)

    @property
    def height(self) -> int:
        """Pixels of a frame as the model sees it."""
        return 0 if self.values_TCHW is None else self.values_TCHW.shape[2]

    @property
    def width(self) -> int:
        """Pixels of a frame as the model sees it."""
        return 0 if self.values_TCHW is None else self.values_TCHW.shape[3]


@dataclass(eq=False)
class LlavaOnevision(Loaded):
    """A `base.Model`; `model` is a `LlavaOnevisionForConditionalGeneration`."""

    generator: str = field(init=False, default="plain")

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> Tensor:
        """Resize to the tower's square (bicubic) and scale to [-1, 1]; it takes no time."""
        del seconds, min_pixels, max_pixels
        side = self.model.config.vision_config.image_size
        resized = [
            np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC))
            for frame in frames_THW3
        ]
        values = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255
        return (values - MEAN) / STD

    def encode(
        self,
        user: str,
        video: Tensor | None = None,
        *,
        system: str | None = None,
        prefill: str = "",
        max_prompt_tokens: int | None = None,
    ) -> Encoded:
        """One prompt; see `loaded.prompt_ids`."""
        pad = self.model.config.video_token_id
        ids_P = prompt_ids(
            *(self.tokenizer, pad, user),
            video_tokens=0 if video is None else self._video_tokens(len(video)),
            system=system,
            prefill=prefill,
            max_prompt_tokens=max_prompt_tokens,
            listed=True,
        )
        return Encoded(ids_P, ids_P == pad, video)

    def _video_tokens(self, frames: int) -> int:
        """Every frame's grid is pooled 2 x 2, and one token ends the video."""
        tower = self.model.config.vision_config
        side = -(-(tower.image_size // tower.patch_size) // 2)
        return frames * side * side + 1

    def positions(self, prompt: Encoded) -> Tensor:
        """One axis, on which video and text count alike: `[1, P]`."""
        return torch.arange(prompt.prompt_tokens)[None]

    def inputs(self, prompt: Encoded) -> dict[str, Any]:
        """As the library takes it."""
        ids_1P = prompt.input_ids_P[None].to(self.device)
        given: dict[str, Any] = {"input_ids": ids_1P, "attention_mask": torch.ones_like(ids_1P)}
        if prompt.values_TCHW is not None:
            values = prompt.values_TCHW[None].to(self.device, self.model.dtype)
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
