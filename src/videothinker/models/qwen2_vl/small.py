"""The configuration of a small Qwen2-VL; `qwen_vl.small` builds it."""

from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from videothinker.errors import UserError
from videothinker.models.qwen2_vl.model import PROCESSOR
from videothinker.models.qwen_vl.small import (
    CHAT_TEMPLATE,
    SmallConfig,
    half_head,
    outer_settings,
    text_settings,
)

__all__ = ["CHAT_TEMPLATE", "KIND", "PROCESSOR", "small_config"]

KIND = Qwen2VLForConditionalGeneration


def small_config(config: SmallConfig, tokenizer: PreTrainedTokenizerFast) -> Qwen2VLConfig:
    """The official configuration's fields at this size.

    Raises:
        UserError: a tower's MLP that is no whole number of times as wide as the tower.
    """
    ratio, rest = divmod(config.vision_intermediate, config.vision_hidden)
    if rest or not ratio:
        raise UserError(
            f"vision_intermediate {config.vision_intermediate} came for vision_hidden "
            f"{config.vision_hidden}; Qwen2-VL takes whole multiples of it"
        )
    half = half_head(config)
    eighth = half // 8
    sections = [2 * eighth, 3 * eighth, half - 5 * eighth]
    return Qwen2VLConfig(
        text_config=text_settings(config, tokenizer, sections),
        vision_config={
            "depth": config.vision_layers,
            "embed_dim": config.vision_hidden,
            "hidden_size": config.hidden,
            "mlp_ratio": ratio,
            "num_heads": config.vision_heads,
            "patch_size": config.patch_size,
            "initializer_range": config.initializer_range,
        },
        **outer_settings(config, tokenizer),
    )
