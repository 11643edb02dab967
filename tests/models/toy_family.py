"""Qwen2-VL as whoever follows "How to add a model family" in CONTRIBUTING.md would add it.

Plain: the library's own forward and `generate`, the prompt repeated for each completion.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from videothinker.models.base import Group, Prompt, Video
from videothinker.models.checkpoint import Checkpoint
from videothinker.models.loaded import Policy
from videothinker.models.loading import bare_tokenizer, read_tokenizer, read_weights
from videothinker.models.qwen_vl.patches import Patches, frames_to_patches


@dataclass(frozen=True, eq=False, kw_only=True)
class Shown(Video):
    patches: Patches


@dataclass(eq=False)
class Toy(Policy):
    generator: str = field(init=False, default="plain")

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        times: Sequence[float] | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> Shown:
        del seconds, times, min_pixels, max_pixels
        patches = frames_to_patches(
            frames_THW3,
            min_pixels=56 * 56,
            max_pixels=56 * 56,
            patch_size=14,
            temporal_patch_size=2,
            merge_size=2,
            mean=(0.5,) * 3,
            std=(0.5,) * 3,
        )
        return Shown(
            frames=len(frames_THW3),
            height=patches.height,
            width=patches.width,
            tokens=int(patches.grid_thw.prod()) // 4,
            digest=hashlib.sha256(patches.pixel_values.numpy().tobytes()).hexdigest(),
            patches=patches,
        )

    def positions(self, prompt: Prompt) -> None:
        del prompt

    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        ids_1P = prompt.input_ids_P[None]
        given = {
            "input_ids": ids_1P,
            "attention_mask": torch.ones_like(ids_1P),
            "mm_token_type_ids": 2 * prompt.video_P[None].long(),
        }
        if prompt.video is None:
            return given
        return given | {
            "pixel_values_videos": prompt.video.patches.pixel_values,
            "video_grid_thw": prompt.video.patches.grid_thw,
        }

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

    def freeze_vision(self) -> None:
        self.model.model.visual.requires_grad_(requires_grad=False)


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
