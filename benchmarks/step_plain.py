"""The third side of `step.py`: the plain path, a Qwen-VL by the library's own forward alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText

from videothinker.models import base
from videothinker.models.loaded import Policy
from videothinker.models.plain.frames import PlainFrames, PlainVideo
from videothinker.models.plain.model import Plain


@dataclass(frozen=True, eq=False, kw_only=True)
class Both(PlainVideo):
    """A video for both paths."""

    shown: Any
    """The engine's."""


class Borrowed(PlainFrames):
    """The engine's frames and positions, for a model of transformers that knows neither."""

    def __init__(self, engine: Policy) -> None:
        super().__init__(Path(), engine.model.config, engine.tokenizer)
        self.engine: Any = engine

    def to_video(self, frames_THW3: np.ndarray, seconds: float, **_: Any) -> Both:
        """Prepared by the engine, within its own bounds of pixels."""
        return self.borrow(self.engine.to_video(frames_THW3, seconds))

    def borrow(self, shown: Any) -> Both:
        """A video of the engine's."""
        given = self.engine.inputs(self.engine.encode("", shown))
        return Both(
            frames=shown.frames,
            height=shown.height,
            width=shown.width,
            tokens=shown.tokens,
            digest=shown.digest,
            values={name: given[name] for name in ("pixel_values_videos", "video_grid_thw")},
            words=self.place * shown.tokens,
            shown=shown,
        )

    def positions(self, prompt: base.Prompt) -> Tensor | None:
        """The engine's."""
        if prompt.video is None:
            return None
        theirs = base.Prompt(prompt.input_ids_P, prompt.video_P, prompt.video.shown)
        return self.engine.positions(theirs)


def load_plain(folder: Path, engine: Policy, frames: type[Borrowed] = Borrowed) -> Plain:
    """The engine's folder by the plain path."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    return Plain(model, engine.tokenizer, frames(engine))


class PlainSide:
    """What `step.Setting` has, by the plain path."""

    def __init__(self, setting: Any, folders: Sequence[Path]) -> None:
        self.policy, self.bias = (load_plain(folder, setting.policy) for folder in folders)
        self.bias.model.requires_grad_(requires_grad=False)
        if setting.frozen:
            self.policy.freeze_vision()
        frames: Any = self.policy.frames
        shared = setting.prompt
        video = frames.borrow(shared.video)
        self.prompt = base.Prompt(shared.input_ids_P, shared.video_P, video)
        for one in (self.policy, self.bias):
            one.model.generation_config.eos_token_id = [-1]
        trained = [p for p in self.policy.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-6)
        self.advantages_G = setting.advantages_G
