"""What a small Qwen2.5-VL has of its own; `qwen_vl.small` builds it."""

from videothinker.models.qwen2_5_vl.model import Qwen25VL
from videothinker.models.qwen_vl.small import (
    CHAT_TEMPLATE,
    Own,
    SmallConfig,
    build_small,
    sections,
)

__all__ = ["CHAT_TEMPLATE", "POLICY", "SmallConfig", "build_small", "own"]

POLICY = Qwen25VL


def own(config: SmallConfig) -> Own:
    """Windows, and a second's length."""
    tower = {
        "hidden_size": config.vision_hidden,
        "intermediate_size": config.vision_intermediate,
        "window_size": config.window_size,
        "tokens_per_second": config.tokens_per_second,
        "out_hidden_size": config.hidden,
        "fullatt_block_indexes": list(config.vision_full_attention),
    }
    return Own(tower, rotary={"mrope_section": sections(config)}, text={})
