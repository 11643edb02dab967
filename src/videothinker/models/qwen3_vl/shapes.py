"""The sizes of a Qwen3-VL, published or in a `config.json`."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from videothinker.models.shapes import Shape, Vision, VisionSizes, text_part, vision_part

STEP_TEXT = 10
"""Before and behind each step of a video: `<12.3 seconds>` is up to eight tokens of the published
tokenizer (a digit is one), `<|vision_start|>` and `<|vision_end|>` are two more."""
SMALL_TOWER: dict[str, Any] = {
    "hidden_size": 1024,
    "depth": 24,
    "num_heads": 16,
    "intermediate_size": 4096,
    "patch_size": 16,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "num_position_embeddings": 2304,
    "deepstack_visual_indexes": [5, 11, 17],
}
OFFICIAL: dict[str, dict[str, Any]] = {
    "Qwen/Qwen3-VL-2B-Instruct": {
        "text_config": {
            "hidden_size": 2048,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 6144,
            "vocab_size": 151936,
        },
        "vision_config": SMALL_TOWER | {"out_hidden_size": 2048},
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen3-VL-4B-Instruct": {
        "text_config": {
            "hidden_size": 2560,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 9728,
            "vocab_size": 151936,
        },
        "vision_config": SMALL_TOWER | {"out_hidden_size": 2560},
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen3-VL-8B-Instruct": {
        "text_config": {
            "hidden_size": 4096,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 12288,
            "vocab_size": 151936,
        },
        "vision_config": SMALL_TOWER
        | {
            "hidden_size": 1152,
            "depth": 27,
            "intermediate_size": 4304,
            "out_hidden_size": 4096,
            "deepstack_visual_indexes": [8, 16, 24],
        },
        "tie_word_embeddings": False,
    },
}
"""The published configurations, as far as cost goes."""


@dataclass(frozen=True)
class Qwen3VisionSizes(VisionSizes):
    """What its tower has of its own."""

    num_position_embeddings: int
    deepstack_visual_indexes: list[int]


def read_shape(config: Mapping[str, Any], name: str = "config.json") -> Shape:
    """The shape in a model's `config.json`.

    Raises:
        UserError: sizes are missing or below 1.
    """
    text, vision = text_part(config, name), vision_part(Qwen3VisionSizes, config, name)
    return Shape(
        **text,
        vision=Vision(
            *astuple(vision)[:7],
            patch_bias=True,
            table=vision.num_position_embeddings,
            deepstack=len(vision.deepstack_visual_indexes),
        ),
        biases=False,
        head_norms=True,
        whole_video=True,
        step_text=STEP_TEXT,
    )
