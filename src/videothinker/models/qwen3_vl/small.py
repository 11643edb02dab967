"""What a small Qwen3-VL has of its own; `qwen_vl.small` builds it."""

from videothinker.models.qwen3_vl.model import Qwen3VL
from videothinker.models.qwen_vl.small import MESSAGES, Own, SmallConfig

__all__ = ["CHAT_TEMPLATE", "POLICY", "own"]

POLICY = Qwen3VL
CHAT_TEMPLATE = "{% for message in messages %}" + MESSAGES
"""Qwen3-VL's chat format: nothing is said in the place of a system message."""
TABLE = 24 * 24
"""Places of the tower's learned position table, a square (published: 48 x 48)."""


def own(config: SmallConfig) -> Own:
    """Interleaved rotary sections, a width of heads, a table of positions, and DeepStack."""
    half = config.half_head
    side = half * 5 // 16  # of the official 64: 24, 20, 20
    tower = {
        "hidden_size": config.vision_hidden,
        "intermediate_size": config.vision_intermediate,
        "out_hidden_size": config.hidden,
        "num_position_embeddings": TABLE,
        "deepstack_visual_indexes": list(config.vision_deepstack),
    }
    rotary = {"mrope_section": [half - 2 * side, side, side], "mrope_interleaved": True}
    return Own(tower, rotary, text={"head_dim": 2 * half})
