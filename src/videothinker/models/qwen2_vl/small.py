"""What a small Qwen2-VL has of its own; `qwen_vl.small` builds it."""

from videothinker.errors import UserError
from videothinker.models.qwen2_vl.model import Qwen2VL
from videothinker.models.qwen_vl.small import CHAT_TEMPLATE, Own, SmallConfig, sections

__all__ = ["CHAT_TEMPLATE", "POLICY", "own"]

POLICY = Qwen2VL


def own(config: SmallConfig) -> Own:
    """Names of its own for the tower's widths.

    Raises:
        UserError: a tower's MLP that is no whole number of times as wide as the tower.
    """
    ratio, rest = divmod(config.vision_intermediate, config.vision_hidden)
    if rest or not ratio:
        raise UserError(
            f"vision_intermediate {config.vision_intermediate} came for vision_hidden "
            f"{config.vision_hidden}; Qwen2-VL takes whole multiples of it"
        )
    tower = {
        "embed_dim": config.vision_hidden,
        "hidden_size": config.hidden,
        "mlp_ratio": ratio,
    }
    return Own(tower, rotary={"mrope_section": sections(config)}, text={})
