"""The configuration of a small Qwen3-VL; `qwen_vl.small` builds it."""

from transformers import PreTrainedTokenizerFast, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from videothinker.models.qwen3_vl.model import PROCESSOR
from videothinker.models.qwen_vl.small import (
    SmallConfig,
    half_head,
    outer_settings,
    text_settings,
    tower_settings,
)

__all__ = ["CHAT_TEMPLATE", "KIND", "PROCESSOR", "small_config"]

KIND = Qwen3VLForConditionalGeneration
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen3-VL's chat format: nothing is said in the place of a system message."""
TABLE = 24 * 24
"""Places of the tower's learned position table, a square (published: 48 x 48)."""


def small_config(config: SmallConfig, tokenizer: PreTrainedTokenizerFast) -> Qwen3VLConfig:
    """The official configuration's fields at this size."""
    half = half_head(config)
    side = half * 5 // 16  # of the official 64: 24, 20, 20
    text = text_settings(config, tokenizer, [half - 2 * side, side, side])
    text["rope_parameters"]["mrope_interleaved"] = True
    return Qwen3VLConfig(
        text_config=text | {"head_dim": 2 * half},
        vision_config={
            **tower_settings(config),
            "hidden_size": config.vision_hidden,
            "intermediate_size": config.vision_intermediate,
            "out_hidden_size": config.hidden,
            "num_position_embeddings": TABLE,
            "deepstack_visual_indexes": list(config.vision_deepstack),
        },
        **outer_settings(config, tokenizer),
    )
