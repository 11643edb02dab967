"""Qwen2.5-VL as a policy: its prompts, its video embeddings, its decoder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from videothinker.errors import UserError
from videothinker.models import attention
from videothinker.models.attention import Plan
from videothinker.models.base import Group, Prompt
from videothinker.models.checkpoint import Checkpoint
from videothinker.models.loaded import PrefixPolicy
from videothinker.models.loading import read_tokenizer, read_weights
from videothinker.models.qwen2_5_vl import windows
from videothinker.models.qwen2_5_vl.encoding import (
    Video,
    VisionSettings,
    positions,
    prepare_video,
)
from videothinker.models.qwen2_5_vl.preprocessor import vision_settings, write_preprocessor_configs
from videothinker.models.shared_prefix import group_hidden
from videothinker.models.videos import FrozenVideos, same_frozen_tower


@dataclass(eq=False)
class Qwen25VL(PrefixPolicy):
    """`model` is a `Qwen2_5_VLForConditionalGeneration`."""

    vision: VisionSettings
    videos: FrozenVideos = field(init=False)
    generator: str = field(init=False, default="shared_prefix")

    def __post_init__(self) -> None:
        self.videos = FrozenVideos(self.model.model.visual)

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> Video:
        """Prepare frames once for several questions; see `encoding.prepare_video`."""
        return prepare_video(
            frames_THW3, seconds, self.vision, min_pixels=min_pixels, max_pixels=max_pixels
        )

    def positions(self, prompt: Prompt) -> Tensor:
        """Time, height and width position of every prompt token: int64 `[3, P]`, on the CPU."""
        return positions(self.model.config, prompt)

    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        """As the library takes it, with positions of ours."""
        ids_1P = prompt.input_ids_P[None].to(self.device)
        given: dict[str, Any] = {"input_ids": ids_1P, "attention_mask": torch.ones_like(ids_1P)}
        if prompt.video is None:
            return given
        return given | {
            "pixel_values_videos": prompt.video.pixel_values.to(self.device, self.model.dtype),
            "video_grid_thw": prompt.video.grid_thw.to(self.device),
            "position_ids": self.positions(prompt)[:, None].to(self.device),
        }

    def hidden(self, group: Group) -> Tensor:
        """See `shared_prefix.group_hidden`."""
        return group_hidden(self, group)

    def hidden_states(
        self,
        text_BN: Tensor,
        places_XBL: Tensor,
        plan: Plan,
        *,
        prompt: Prompt | None = None,
        first: int = 0,
    ) -> Tensor:
        """The decoder's last hidden states; see `loaded.PrefixPolicy`."""
        before = [] if prompt is None else [self.embed_prompt(prompt)[None, :first]]
        embeds_BLD = torch.cat([*before, self.model.get_input_embeddings()(text_BN)], dim=1)
        return self.model.model.language_model(
            inputs_embeds=embeds_BLD,
            position_ids=places_XBL,
            attention_mask={"full_attention": None},
            use_cache=False,
            plan=plan,
        ).last_hidden_state

    def embed_prompt(self, prompt: Prompt) -> Tensor:
        """Input embeddings `[P, D]` with the video in its place."""
        embeds_PD = self.model.get_input_embeddings()(prompt.input_ids_P.to(self.device))
        video_ND = self.encode_video(prompt)
        if video_ND is None:
            return embeds_PD
        places_P1 = prompt.video_P[:, None].to(self.device)
        return embeds_PD.masked_scatter(places_P1, video_ND.to(embeds_PD.dtype))

    def encode_video(self, prompt: Prompt) -> Tensor | None:
        """The vision tower's output `[video tokens, D]`; None without a video.

        Differentiable where the tower trains. A frozen tower sees a video once: see `videos`.
        """
        if prompt.video is None:
            return None
        return self.videos.get(prompt.video.digest, lambda: self._see(prompt.video))

    def _see(self, video: Video) -> Tensor:
        outputs = self.model.model.get_video_features(
            video.pixel_values.to(self.device), video.grid_thw.to(self.device), return_dict=True
        )
        return torch.cat(tuple(outputs.pooler_output))

    def share_videos(self, other: Any) -> bool:
        """Let both use one encoding of each video; only where both towers are frozen and equal.

        Returns whether they now share. Where a tower trains, each must encode for itself.
        """
        shared = same_frozen_tower(self.model.model.visual, other.model.model.visual)
        if shared:
            other.videos = self.videos
        return shared

    def freeze_vision(self) -> None:
        """Let the vision tower take no gradient."""
        self.model.model.visual.requires_grad_(requires_grad=False)

    def save(self, folder: str | Path) -> Path:
        """See `loaded.Policy`."""
        folder = super().save(folder)
        write_preprocessor_configs(folder, self.vision)
        return folder


def load(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Qwen25VL:
    """Model (in evaluation mode), tokenizer and vision settings of a folder.

    Raises:
        UserError: the parts of the folder do not fit each other or cannot be run.
    """
    model = read_weights(checkpoint, Qwen2_5_VLForConditionalGeneration, dtype)
    if "sliding_attention" in model.config.text_config.layer_types:
        raise UserError(
            f"{checkpoint.folder} uses sliding-window attention, which shared prompts do not "
            "support; set use_sliding_window to false"
        )
    vision = vision_settings(checkpoint.folder, model)
    install(model, device)
    return Qwen25VL(model, read_tokenizer(checkpoint, model), vision)


def install(model: Any, device: torch.device) -> None:
    """Let it attend our way on `device`: its language model and, on a GPU, its tower."""
    names = {"text_config": attention.NAME}
    if device.type == "cuda":
        names["vision_config"] = windows.NAME
    model.set_attn_implementation(names)
