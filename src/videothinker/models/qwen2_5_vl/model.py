"""The policy: a Qwen2.5-VL, its tokenizer, and how its prompts are made. Frames in, never paths."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from videothinker.models import adapters, attention
from videothinker.models.border import AGAIN, RUNS_NOT, border
from videothinker.models.folders import Base, adapter_folder, read_base
from videothinker.models.placement import AUTO, DTYPES, resolve_dtype, where_auto_runs
from videothinker.models.qwen2_5_vl.encoding import (
    Encoded,
    QwenModel,
    Video,
    VisionSettings,
    encode_prompt,
    prepare_video,
)
from videothinker.models.qwen2_5_vl.loading import (
    digest_weights,
    open_checkpoint,
    read_model,
    refuse_not_finite,
    write_preprocessor_configs,
)
from videothinker.models.videos import FrozenVideos, same_frozen_tower

if TYPE_CHECKING:
    from videothinker.generation.sampling import Group

SHARD = 2 << 30
"""Bytes of a weight file: what of a model on a GPU is in main memory at once while it is saved."""


@dataclass(eq=False)
class Policy:
    """A model that can be asked: see `load_policy`."""

    model: QwenModel
    tokenizer: Any
    vision: VisionSettings
    videos: FrozenVideos = field(init=False)
    recomputes: bool = field(init=False, default=False)
    """Gradient checkpointing is on: a training forward keeps nothing of a layer's inside."""
    base: Base | None = field(init=False, default=None)
    """What its LoRA adapters stand on; null for a complete model."""
    adapter: str | None = field(init=False, default=None)
    """The LoRA adapter it computes with."""

    def __post_init__(self) -> None:
        self.videos = FrozenVideos(self.model.model.visual)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def language_model(self) -> nn.Module:
        """The decoder between embeddings and last hidden states."""
        return self.model.model.language_model

    @property
    def head_VD(self) -> Tensor:
        """The weight that maps hidden states to logits."""
        return self.model.lm_head.weight

    @property
    def digest(self) -> str:
        """sha256 of the weights as they are now, of adapters the one that is at work."""
        state = self.model.state_dict()
        return digest_weights(adapters.plain_state(state, self.adapter) if self.adapter else state)

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Tokens that end a completion: the generation config's, else the tokenizer's."""
        ids = self.model.generation_config.eos_token_id
        if ids is None:
            ids = self.tokenizer.eos_token_id
        return tuple(ids) if isinstance(ids, list) else (int(ids),)

    @property
    def pad_id(self) -> int:
        """What fills the places after a completion's end."""
        return int(self.tokenizer.pad_token_id)

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

    def encode(
        self,
        user: str,
        frames_THW3: np.ndarray | Video | None = None,
        seconds: float | None = None,
        *,
        system: str | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        max_prompt_tokens: int | None = None,
        prefill: str = "",
    ) -> Encoded:
        """One prompt from words and frames (or an already prepared `Video`); see `encode_prompt`.

        Frames need the seconds that their whole clip lasts: the time axis of the positions is made
        of them. Pixel bounds are a frame's height times width; None takes the model's own.
        """
        video = frames_THW3
        if isinstance(video, np.ndarray):
            if seconds is None:
                raise ValueError("frames came without seconds; positions in time need both")
            video = self.to_video(video, seconds, min_pixels=min_pixels, max_pixels=max_pixels)
        return encode_prompt(
            self.tokenizer,
            self.model.config.video_token_id,
            user,
            video,
            system=system,
            prefill=prefill,
            max_prompt_tokens=max_prompt_tokens,
        )

    def decode(self, group: "Group") -> list[str]:
        """The completions' texts without special tokens."""
        return [
            self.tokenizer.decode(ids_C[mask_C], skip_special_tokens=True)
            for ids_C, mask_C in zip(group.completion_ids_GC, group.mask_GC, strict=True)
        ]

    def encode_video(self, prompt: Encoded) -> Tensor | None:
        """The vision tower's output `[video tokens, D]`; None without a video.

        Differentiable where the tower trains. A frozen tower sees a video once: see `videos`.
        """
        if prompt.video_digest is None:
            return None
        return self.videos.get(prompt.video_digest, lambda: self._see(prompt))

    def share_videos(self, other: "Policy") -> bool:
        """Let both use one encoding of each video; only where both towers are frozen and equal.

        Returns whether they now share. Where a tower trains, each must encode for itself.
        """
        shared = same_frozen_tower(self.model.model.visual, other.model.model.visual)
        if shared:
            other.videos = self.videos
        return shared

    def enable_gradient_checkpointing(self) -> None:
        """Recompute each layer's activations in the backward pass instead of keeping them."""
        with warnings.catch_warnings():
            # transformers 5.23 renamed it; the old name works in every release we support
            warnings.simplefilter("ignore", FutureWarning)
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.recomputes = True

    def _see(self, prompt: Encoded) -> Tensor:
        assert prompt.pixel_values is not None
        assert prompt.grid_thw is not None
        outputs = self.model.model.get_video_features(
            prompt.pixel_values.to(self.device), prompt.grid_thw.to(self.device), return_dict=True
        )
        return torch.cat(tuple(outputs.pooler_output))

    def embed_prompt(self, prompt: Encoded, video_ND: Tensor | None = None) -> Tensor:
        """Input embeddings `[P, D]` with the video in its place; encodes it unless it is given."""
        ids_P = prompt.input_ids_P.to(self.device)
        embeds_PD = self.model.get_input_embeddings()(ids_P)
        if prompt.pixel_values is None:
            return embeds_PD
        if video_ND is None:
            video_ND = self.encode_video(prompt)
        places_P = ids_P == self.model.config.video_token_id
        if video_ND is None or len(video_ND) != int(places_P.sum()):
            raise ValueError(
                f"{0 if video_ND is None else len(video_ND)} video embeddings came for "
                f"{int(places_P.sum())} places in the prompt"
            )
        return embeds_PD.masked_scatter(places_P[:, None], video_ND.to(embeds_PD.dtype))


def load_policy(
    path_or_hub: str | Path,
    *,
    dtype: str = AUTO,
    device: str = AUTO,
    freeze_vision: bool = False,
) -> Policy:
    """Read a folder, a run folder's `model/`, or a hub id: safetensors, no remote code, eval mode.

    A LoRA adapter is read onto its base, unmerged; the base must be the one it was trained on.
    `auto` is the checkpoint's own dtype, and a GPU where there is one; see `placement`.

    Raises:
        UserError: a folder that cannot be used, with the reason; an unknown dtype; or an adapter
            whose base has moved or changed.
    """
    from videothinker.models.trial import try_out  # noqa: PLC0415 (it asks policies)

    if adapter := adapter_folder(str(path_or_hub)):
        base = read_base(adapter)
        policy = load_policy(base.model, dtype=dtype, device=device, freeze_vision=freeze_vision)
        adapters.check_base(adapter, base)
        adapters.attach(policy, adapter, adapters.POLICY_ADAPTER)
        policy.base = base
        with border(f"{path_or_hub}: its adapter cannot be run", AGAIN):
            try_out(policy, str(path_or_hub))
        return policy
    checkpoint = open_checkpoint(path_or_hub)
    numbers = DTYPES[resolve_dtype(dtype, checkpoint.dtype, str(path_or_hub))]
    place = torch.device(where_auto_runs() if device == AUTO else device)
    model, tokenizer, vision = read_model(checkpoint, dtype=numbers)
    attention.install(model, place)
    with border(f"{path_or_hub} could not be put on {place}", "give another --device or --dtype"):
        model.to(place)
    refuse_not_finite(model, checkpoint, numbers)
    policy = Policy(model=model, tokenizer=tokenizer, vision=vision)
    with border(f"{path_or_hub}: its model cannot be run", RUNS_NOT):
        try_out(policy, str(path_or_hub))
    if freeze_vision:
        model.model.visual.requires_grad_(requires_grad=False)
    return policy


def save_policy(policy: Policy, folder: str | Path) -> Path:
    """Write a complete transformers folder (config, safetensors, tokenizer, preprocessor)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    policy.model.save_pretrained(folder, max_shard_size=SHARD)
    policy.tokenizer.save_pretrained(folder)
    write_preprocessor_configs(folder, policy.vision)
    return folder
