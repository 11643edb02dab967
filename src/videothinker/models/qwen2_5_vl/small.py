"""The configuration of a small Qwen2.5-VL; `qwen_vl.small` builds it."""

from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from videothinker.models.qwen2_5_vl.model import PROCESSOR
from videothinker.models.qwen_vl.small import (
    CHAT_TEMPLATE,
    SmallConfig,
    build_small,
    outer_settings,
    sections,
    text_settings,
    tower_settings,
)

__all__ = ["CHAT_TEMPLATE", "KIND", "PROCESSOR", "SmallConfig", "build_small", "small_config"]

KIND = Qwen2_5_VLForConditionalGeneration


def small_config(config: SmallConfig, tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    """The official configuration's fields at this size."""
    return Qwen2_5_VLConfig(
        text_config=text_settings(config, tokenizer, sections(config)),
        vision_config={
            **tower_settings(config),
            "hidden_size": config.vision_hidden,
            "intermediate_size": config.vision_intermediate,
            "window_size": config.window_size,
            "tokens_per_second": config.tokens_per_second,
            "out_hidden_size": config.hidden,
            "fullatt_block_indexes": list(config.vision_full_attention),
        },
        **outer_settings(config, tokenizer),
    )
