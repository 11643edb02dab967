"""Qwen2-VL as whoever follows "How to add a model family" in CONTRIBUTING.md would add it.

Plain: the library's own forward and `generate`, the prompt repeated for each completion.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from videothinker.models.base import Group
from videothinker.models.checkpoint import Checkpoint
from videothinker.models.loaded import Loaded, prompt_ids
from videothinker.models.loading import bare_tokenizer, read_tokenizer, read_weights
from videothinker.models.qwen2_5_vl.patches import Patches, frames_to_patches


@dataclass(frozen=True, eq=False)
class Shown:
    """One `base.Prompt`."""

    input_ids_P: Tensor
    video_P: Tensor
    patches: Patches | None = None
    frames: int = 0
    second_per_grid: None = None

    @property
    def prompt_tokens(self) -> int:
        return len(self.input_ids_P)

    @property
    def height(self) -> int:
        return 0 if self.patches is None else self.patches.height

    @property
    def width(self) -> int:
        return 0 if self.patches is None else self.patches.width

    @property
    def video_digest(self) -> str | None:
        if self.patches is None:
            return None
        return hashlib.sha256(self.patches.pixel_values.numpy().tobytes()).hexdigest()


@dataclass(eq=False)
class Toy(Loaded):
    generator: str = field(init=False, default="plain")

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> Patches:
        del seconds, min_pixels, max_pixels
        return frames_to_patches(
            frames_THW3,
            min_pixels=56 * 56,
            max_pixels=56 * 56,
            patch_size=14,
            temporal_patch_size=2,
            merge_size=2,
            mean=(0.5,) * 3,
            std=(0.5,) * 3,
        )

    def encode(self, user: str, video: Patches | None = None, **kwargs: Any) -> Shown:
        pad = self.model.config.video_token_id
        tokens = 0 if video is None else int(video.grid_thw.prod()) // 4
        ids_P = prompt_ids(self.tokenizer, pad, user, video_tokens=tokens, **kwargs)
        frames = 0 if video is None else 2 * int(video.grid_thw[0, 0])
        return Shown(ids_P, ids_P == pad, video, frames)

    def positions(self, prompt: Shown) -> None:
        del prompt

    def inputs(self, prompt: Shown) -> dict[str, Any]:
        ids_1P = prompt.input_ids_P[None]
        given = {
            "input_ids": ids_1P,
            "attention_mask": torch.ones_like(ids_1P),
            "mm_token_type_ids": 2 * prompt.video_P[None].long(),
        }
        if prompt.patches is None:
            return given
        return given | {
            "pixel_values_videos": prompt.patches.pixel_values,
            "video_grid_thw": prompt.patches.grid_thw,
        }

    @property
    def head_VD(self) -> Tensor:
        return self.model.lm_head.weight

    def hidden(self, group: Group) -> Tensor:
        """Every completion after a prompt of its own."""
        prompt = self.inputs(group.prompt)
        first, rows = group.prompt.prompt_tokens - 1, []
        for ids_C in group.completion_ids_GC:
            whole = {"input_ids": torch.cat([group.prompt.input_ids_P, ids_C[:-1]])[None]}
            whole["attention_mask"] = torch.ones_like(whole["input_ids"])
            kinds = torch.zeros_like(whole["input_ids"])
            kinds[0, : first + 1] = prompt["mm_token_type_ids"][0]
            whole["mm_token_type_ids"] = kinds
            rows.append(self.model.model(**(prompt | whole)).last_hidden_state[0, first:])
        return torch.stack(rows)

    def enable_gradient_checkpointing(self) -> None:
        self.model.gradient_checkpointing_enable()

    def freeze_vision(self) -> None:
        self.model.model.visual.requires_grad_(requires_grad=False)

    def share_videos(self, other: Any) -> bool:
        del other
        return False

    def save(self, folder: str | Path) -> Path:
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        return Path(folder)


def load(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Toy:
    del device
    model = read_weights(checkpoint, Qwen2VLForConditionalGeneration, dtype)
    return Toy(model, read_tokenizer(checkpoint, model))


def build_toy(folder: Path, words: Path) -> Path:
    """Random weights, with the tokenizer of the Qwen2.5-VL in `words`."""
    tokenizer = bare_tokenizer(str(words))

    def number(token: str) -> int:
        return tokenizer.convert_tokens_to_ids(token)  # pyright: ignore[reportReturnType]

    torch.manual_seed(0)
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "initializer_range": 0.3,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2},
        video_token_id=number("<|video_pad|>"),
        image_token_id=number("<|image_pad|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
    )
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return Toy(model, tokenizer).save(folder)
