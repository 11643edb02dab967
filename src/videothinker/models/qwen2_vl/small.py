"""The configuration of a small Qwen2-VL; `qwen_vl.small` builds it."""

from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from videothinker.errors import UserError
from videothinker.models.qwen2_vl.model import PROCESSOR
from videothinker.models.qwen_vl.small import (
    CHAT_TEMPLATE,
    SmallConfig,
    outer_settings,
    sections,
    text_settings,
    tower_settings,
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
    return Qwen2VLConfig(
        text_config=text_settings(config, tokenizer, sections(config)),
        vision_config={
            **tower_settings(config),
            "embed_dim": config.vision_hidden,
            "hidden_size": config.hidden,
            "mlp_ratio": ratio,
        },
        **outer_settings(config, tokenizer),
    )
