"""The sizes of a Qwen2-VL, published or in a `config.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videothinker.models.shapes import Shape, Vision, text_part, vision_part

VISION_DEFAULTS: dict[str, Any] = {
    "embed_dim": 1280,
    "depth": 32,
    "num_heads": 16,
    "mlp_ratio": 4,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
}
"""The class's, which published configurations may leave out."""
OFFICIAL: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2-VL-2B-Instruct": {
        "hidden_size": 1536,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "intermediate_size": 8960,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
        "vision_config": {"embed_dim": 1280, "hidden_size": 1536},
    },
    "Qwen/Qwen2-VL-7B-Instruct": {
        "hidden_size": 3584,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
        "vision_config": {"embed_dim": 1280, "hidden_size": 3584},
    },
}
"""The published configurations, as far as cost goes."""


@dataclass(frozen=True)
class Qwen2VisionSizes:
    """The vision tower's, in `config.json`, where `hidden_size` is the language model's."""

    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: int
    patch_size: int
    temporal_patch_size: int
    spatial_merge_size: int


def read_shape(config: Mapping[str, Any], name: str = "config.json") -> Shape:
    """The shape in a model's `config.json`, nested or flat.

    Raises:
        UserError: sizes are missing or below 1.
    """
    text = text_part(config, name)
    vision = vision_part(Qwen2VisionSizes, config, name, VISION_DEFAULTS)
    return Shape(
        **text,
        vision=Vision(
            hidden=vision.embed_dim,
            depth=vision.depth,
            heads=vision.num_heads,
            intermediate=vision.mlp_ratio * vision.embed_dim,
            patch=vision.patch_size,
            temporal_patch=vision.temporal_patch_size,
            merge=vision.spatial_merge_size,
            mlp_kept=3,  # the sigmoid of its QuickGELU as well
        ),
    )
