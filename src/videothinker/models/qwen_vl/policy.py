"""A Qwen-VL as a policy: its video in its place, its decoder under a plan; what families share.

A family adds its class, where its tokens stand, and what else of its tower the decoder takes.
"""

import hashlib
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from videothinker.errors import UserError
from videothinker.models import attention
from videothinker.models.attention import AttentionPlan
from videothinker.models.base import Group, Prompt
from videothinker.models.checkpoint import Checkpoint
from videothinker.models.loaded import PrefixPolicy
from videothinker.models.loading import read_tokenizer, read_weights
from videothinker.models.positions import lay_out
from videothinker.models.qwen_vl import windows
from videothinker.models.qwen_vl.patches import frames_to_patches
from videothinker.models.qwen_vl.preprocessor import (
    Processor,
    vision_settings,
    write_preprocessor_configs,
)
from videothinker.models.qwen_vl.videos import QwenVideo, VisionSettings, step_times
from videothinker.models.shared_prefix import group_hidden
from videothinker.models.videos import FrozenVideos, same_frozen_tower


@dataclass(eq=False)
class QwenVL(PrefixPolicy):
    """`model` is of the family's `library` class."""

    vision: VisionSettings
    videos: FrozenVideos = field(init=False)
    generator: str = field(init=False, default="shared_prefix")
    library: ClassVar[Any]
    """transformers' class for conditional generation."""
    processor: ClassVar[Processor]

    @classmethod
    def load(cls, checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Self:
        """See `base.Load`."""
        model = read_weights(checkpoint, cls.library, dtype)
        if "sliding_attention" in (getattr(model.config.text_config, "layer_types", None) or ()):
            raise UserError(
                f"{checkpoint.folder} uses sliding-window attention, which shared prompts do not "
                "support; set use_sliding_window to false"
            )
        vision = vision_settings(checkpoint.folder, model, cls.processor)
        install(model, device)
        return cls(model, read_tokenizer(checkpoint, model), vision)

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
        """Frames cut into patches; `seconds` is how long the whole clip lasts that they show.

        A grid step lasts temporal_patch_size / (sampled frames a second), as in the models'
        processor; sampled frames a second are T / `seconds`, whatever the frames' own times. Raises
        `UserError` for a clip without duration.
        """
        count, vision = len(frames_THW3), self.vision
        if not 0 < seconds < math.inf:
            raise UserError(
                f"{count} frames of a clip of {seconds} seconds came; positions in time need its "
                "whole duration, above 0"
            )
        least, most = vision.budget(count, min_pixels, max_pixels)
        patches = frames_to_patches(
            frames_THW3,
            min_pixels=least,
            max_pixels=most,
            patch_size=vision.patch_size,
            temporal_patch_size=vision.temporal_patch_size,
            merge_size=vision.merge_size,
            mean=vision.mean,
            std=vision.std,
            whole_video=vision.whole_video,
        )
        second_per_grid = vision.temporal_patch_size * seconds / count
        content = hashlib.sha256(patches.pixel_values.numpy().tobytes())
        content.update(repr((patches.grid_thw.tolist(), second_per_grid)).encode())
        if times is None:
            times = [seconds * number / count for number in range(count)]
        return QwenVideo(
            pixel_values=patches.pixel_values,
            grid_thw=patches.grid_thw,
            second_per_grid=second_per_grid,
            frames=count,
            height=patches.height,
            width=patches.width,
            tokens=int(patches.grid_thw.prod()) // vision.merge_size**2,
            digest=content.hexdigest(),
            step_times=step_times(times, vision.temporal_patch_size),
        )

    def positions(self, prompt: Prompt) -> Tensor:
        """Time, height and width position of every prompt token: int64 `[3, P]`, on the CPU.

        The text after a video begins one beyond its largest position on any axis, as first
        published (transformers up to 5.2) and in vLLM.
        """
        if prompt.video is None:
            return torch.arange(prompt.prompt_tokens).expand(3, -1)
        merge = self.model.config.vision_config.spatial_merge_size
        steps, *sides = (int(n) for n in prompt.video.grid_thw[0])
        rows, columns = (torch.arange(side // merge) for side in sides)
        return lay_out(prompt.video_P, self.grids(prompt, steps, rows, columns))

    @abstractmethod
    def grids(self, prompt: Prompt, steps: int, rows: Tensor, columns: Tensor) -> list[Tensor]:
        """Positions `[3, N]` of each run of the video's tokens, from 0."""

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
        prompts: Sequence[Prompt] = (),
    ) -> Tensor:
        """The decoder's last hidden states; see `loaded.PrefixPolicy`."""
        ids_BL, seen, deeper = text_BN, self.encode_videos(prompts), {}
        if prompts:
            ids_BP = _rows([prompt.input_ids_P for prompt in prompts])
            ids_BL = torch.cat([ids_BP.to(self.device), text_BN], dim=1)
        embeds_BLD = self.model.get_input_embeddings()(ids_BL)
        if seen is not None:
            video_BL = pad(_rows([one.video_P for one in prompts]), (0, text_BN.shape[1]))
            at_N = video_BL.flatten().nonzero().squeeze(1).to(self.device)
            tokens_ND = self.as_tokens(seen).to(embeds_BLD.dtype)
            embeds_BLD = embeds_BLD.flatten(0, 1).index_copy(0, at_N, tokens_ND).view_as(embeds_BLD)
            deeper = self.deeper(seen, video_BL)
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

    def deeper(self, seen: Tensor, video_BL: Tensor) -> dict[str, Any]:
        """What the decoder takes of videos beside their embeddings; `video_BL` is where they
        stand.
        """
        del seen, video_BL
        return {}

    def as_tokens(self, seen: Tensor) -> Tensor:
        """Of what `encode_videos` gives, what stands in the place of videos' tokens `[N, D]`."""
        return seen

    def encode_videos(self, prompts: Sequence[Prompt]) -> Tensor | None:
        """The vision tower's output for the places of the prompts' videos, one after the other, of
        the shape that `see` gives one; None without a video.

        Differentiable where the tower trains. A frozen tower sees a video once: see `videos`.
        """
        shown = [prompt for prompt in prompts if prompt.video is not None]
        if not shown:
            return None
        seen = self.videos.get({one.video.digest: one.video for one in shown}, self.see)
        parts = [seen[one.video.digest].narrow(-2, 0, int(one.video_P.sum())) for one in shown]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)

    def see(self, videos: Sequence[QwenVideo]) -> Sequence[Tensor]:
        """Of each `[video tokens, D]`."""
        whole = torch.cat(tuple(self.look(videos).pooler_output))
        return whole.split([video.tokens for video in videos])

    def look(self, videos: Sequence[QwenVideo]) -> Any:
        """The library's own output of the tower."""
        pixels = [video.pixel_values.to(self.device) for video in videos]
        grids = [video.grid_thw.to(self.device) for video in videos]
        return self.model.model.get_video_features(
            torch.cat(pixels), torch.cat(grids), return_dict=True
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


def _rows(each: Sequence[Tensor]) -> Tensor:
    """One row each, filled up on the right."""
    return pad_sequence(list(each), batch_first=True)


def install(model: Any, device: torch.device) -> None:
    """Let it attend our way on `device`: its language model and, on a GPU, its tower."""
    names = {"text_config": attention.NAME}
    if device.type == "cuda":
        names["vision_config"] = windows.NAME
    model.set_attn_implementation(names)
