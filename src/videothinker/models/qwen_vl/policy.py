"""A Qwen-VL as a policy: its video in its place, its decoder under a plan; what families share.

A family adds its class, where its tokens stand, and what else of its tower the decoder takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from videothinker.errors import UserError
from videothinker.models import attention
from videothinker.models.attention import AttentionPlan
from videothinker.models.base import Group, Prompt
from videothinker.models.checkpoint import Checkpoint
from videothinker.models.loaded import PrefixPolicy
from videothinker.models.loading import read_tokenizer, read_weights
from videothinker.models.qwen_vl import windows
from videothinker.models.qwen_vl.preprocessor import (
    Processor,
    vision_settings,
    write_preprocessor_configs,
)
from videothinker.models.qwen_vl.videos import QwenVideo, VisionSettings, prepare_video
from videothinker.models.shared_prefix import group_hidden
from videothinker.models.videos import FrozenVideos, same_frozen_tower


@dataclass(eq=False)
class QwenVL(PrefixPolicy):
    """`model` is of the family's class for conditional generation."""

    vision: VisionSettings
    videos: FrozenVideos = field(init=False)
    generator: str = field(init=False, default="shared_prefix")
    processor: ClassVar[Processor]

    def __post_init__(self) -> None:
        self.videos = FrozenVideos(self.model.model.visual)

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        times: Sequence[float] | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> QwenVideo:
        """Prepare frames once for several questions; see `videos.prepare_video`."""
        return prepare_video(
            frames_THW3,
            seconds,
            self.vision,
            times=times,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
        )

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
        plan: AttentionPlan,
        *,
        prompt: Prompt | None = None,
        first: int = 0,
    ) -> Tensor:
        """The decoder's last hidden states; see `loaded.PrefixPolicy`."""
        seen = None if prompt is None else self.encode_video(prompt)
        before = [] if prompt is None else [self.embed_prompt(prompt, seen)[None, :first]]
        embeds_BLD = torch.cat([*before, self.model.get_input_embeddings()(text_BN)], dim=1)
        deeper = {}
        if prompt is not None and seen is not None:
            video_P = torch.zeros(embeds_BLD.shape[1], dtype=torch.bool)
            video_P[:first] = prompt.video_P[:first]
            deeper = self.deeper(seen, video_P)
        return self.model.model.language_model(
            inputs_embeds=embeds_BLD,
            position_ids=places_XBL,
            use_cache=False,
            plan=plan,
            **self.no_mask(),
            **deeper,
        ).last_hidden_state

    def no_mask(self) -> dict[str, Any]:
        """What keeps the decoder from making a mask, which the plan would not read."""
        return {"attention_mask": {"full_attention": None}}

    def deeper(self, seen: Tensor, video_L: Tensor) -> dict[str, Any]:
        """What the decoder takes of a video beside its embeddings; `video_L` is where it stands."""
        del seen, video_L
        return {}

    def embed_prompt(self, prompt: Prompt, seen: Tensor | None) -> Tensor:
        """Input embeddings `[P, D]` with the video, as `encode_video` gave it, in its place."""
        embeds_PD = self.model.get_input_embeddings()(prompt.input_ids_P.to(self.device))
        if seen is None:
            return embeds_PD
        places_P1 = prompt.video_P[:, None].to(self.device)
        return embeds_PD.masked_scatter(places_P1, self.as_tokens(seen).to(embeds_PD.dtype))

    def as_tokens(self, seen: Tensor) -> Tensor:
        """Of what `encode_video` gives, what stands in the place of a video's tokens `[N, D]`."""
        return seen

    def encode_video(self, prompt: Prompt) -> Tensor | None:
        """The vision tower's output, of the shape that `see` gives it; None without a video.

        Differentiable where the tower trains. A frozen tower sees a video once: see `videos`.
        """
        if prompt.video is None:
            return None
        return self.videos.get(prompt.video.digest, lambda: self.see(prompt.video))

    def see(self, video: QwenVideo) -> Tensor:
        """`[video tokens, D]`."""
        return torch.cat(tuple(self.look(video).pooler_output))

    def look(self, video: QwenVideo) -> Any:
        """The library's own output of the tower."""
        return self.model.model.get_video_features(
            video.pixel_values.to(self.device), video.grid_thw.to(self.device), return_dict=True
        )

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
        write_preprocessor_configs(folder, self.vision, self.processor)
        return folder


def read_policy(
    policy: type[QwenVL],
    kind: Any,
    checkpoint: Checkpoint,
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Any:
    """A `policy` whose model is of transformers' class `kind`, in evaluation mode.

    Raises:
        UserError: the parts of the folder do not fit each other or cannot be run.
    """
    model = read_weights(checkpoint, kind, dtype)
    if "sliding_attention" in (getattr(model.config.text_config, "layer_types", None) or ()):
        raise UserError(
            f"{checkpoint.folder} uses sliding-window attention, which shared prompts do not "
            "support; set use_sliding_window to false"
        )
    vision = vision_settings(checkpoint.folder, model, policy.processor)
    install(model, device)
    return policy(model, read_tokenizer(checkpoint, model), vision)


def install(model: Any, device: torch.device) -> None:
    """Let it attend our way on `device`: its language model and, on a GPU, its tower."""
    names = {"text_config": attention.NAME}
    if device.type == "cuda":
        names["vision_config"] = windows.NAME
    model.set_attn_implementation(names)
