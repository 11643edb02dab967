"""The sizes of a Qwen2.5-VL, published or in a `config.json`."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from videothinker.models.shapes import Shape, Vision, VisionSizes, text_part, vision_part

OFFICIAL: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-VL-3B-Instruct": {
        "text_config": {
            "hidden_size": 2048,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "intermediate_size": 11008,
            "vocab_size": 151936,
        },
        "vision_config": {
            "hidden_size": 1280,
            "depth": 32,
            "num_heads": 16,
            "intermediate_size": 3420,
            "out_hidden_size": 2048,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen2.5-VL-7B-Instruct": {
        "text_config": {
            "hidden_size": 3584,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "intermediate_size": 18944,
            "vocab_size": 152064,
        },
        "vision_config": {
            "hidden_size": 1280,
            "depth": 32,
            "num_heads": 16,
            "intermediate_size": 3420,
            "out_hidden_size": 3584,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        "tie_word_embeddings": False,
    },
}
"""The published configurations, as far as cost goes."""
VISION_DEFAULTS: dict[str, Any] = OFFICIAL["Qwen/Qwen2.5-VL-7B-Instruct"]["vision_config"]
"""The published 7B's `vision_config` leaves all but the width out; the class then takes these."""


@dataclass(frozen=True)
class Qwen25VisionSizes(VisionSizes):
    """What its tower has of its own."""

    window_size: int
    fullatt_block_indexes: list[int]


def read_shape(config: Mapping[str, Any], name: str = "config.json") -> Shape:
    """The shape in a model's `config.json`, nested or flat.

    Raises:
        UserError: sizes are missing or below 1.
    """
    text = text_part(config, name)
    vision = vision_part(Qwen25VisionSizes, config, name, VISION_DEFAULTS)
    return Shape(
        **text,
        vision=Vision(
            *astuple(vision)[:7],
            window=vision.window_size // vision.spatial_merge_size // vision.patch_size,
            full_blocks=len(vision.fullatt_block_indexes),
            gated=True,
            mlp_kept=4,  # gate, its activation, up, their product
            layer_norms=False,
        ),
    )
