"""Tiny models of the plain path, of random weights: the same noise each time."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
    SiglipVisionConfig,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from tests.answering_toys import WORDS
from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small

LLAVA = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% for c in m['content'] if c['type'] == 'video' %}<video>\n{% endfor %}"
    "{% for c in m['content'] if c['type'] == 'text' %}{{ c['text'] }}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN = LLAVA.replace("<video>\n", "<|vision_start|><|video_pad|><|vision_end|>")
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def _words(out: Path, added: list[str]) -> Any:
    """A tokenizer of the toys' words with a family's special tokens."""
    base = out.with_name(f"{out.name}-words")
    build_small(base, SmallConfig(hidden=32, layers=1, heads=2, kv_heads=1), WORDS)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"additional_special_tokens": added})
    tokenizer.chat_template = None
    return tokenizer


def _text(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "initializer_range": 0.3,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _save(
    model: Any, tokenizer: Any, out: Path, frames: dict[str, Any], template: str | None
) -> Path:
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "video_preprocessor_config.json").write_text(json.dumps(frames))
    if template is not None:
        (out / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    return out


def build_llava(out: Path) -> Path:
    """LLaVA-OneVision, Video-UTR-7B's class."""
    tokenizer = _words(out, ["<video>", "<image>"])
    torch.manual_seed(0)
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=42,
            patch_size=14,
            vision_use_head=False,
        ),
        text_config=Qwen2Config(**_text(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
    )
    frames = {"size": {"height": 42, "width": 42}, **HALF}
    return _save(LlavaOnevisionForConditionalGeneration(config), tokenizer, out, frames, LLAVA)


def build_smolvlm(out: Path) -> Path:
    """SmolVLM2: its placeholder is that of an image, and `<video>` is no token."""
    marks = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    tokenizer = _words(out, marks)
    torch.manual_seed(0)
    config = SmolVLMConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
        },
        text_config={"model_type": "llama", **_text(tokenizer)},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
    )
    frames = {"size": {"longest_edge": 84}, "max_image_size": {"longest_edge": 56}, **HALF}
    return _save(SmolVLMForConditionalGeneration(config), tokenizer, out, frames, None)


def build_qwen3_5(out: Path) -> Path:
    """Qwen3.5: three layers of four have a recurrent state in the place of keys and values."""
    tokenizer = _words(out, [])
    torch.manual_seed(0)
    text = _text(tokenizer) | {
        "num_hidden_layers": 4,
        "head_dim": 16,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
    }
    ids, vision = _qwen_ids(tokenizer), _qwen_vision()
    config = Qwen3_5Config(text_config=text, vision_config=vision, **ids)
    frames = {"size": {"shortest_edge": 4096, "longest_edge": 786432}, **HALF}
    return _save(Qwen3_5ForConditionalGeneration(config), tokenizer, out, frames, QWEN)


def build_qwen3_vl_moe(out: Path) -> Path:
    """Qwen3-VL with experts: features of the tower enter several layers."""
    tokenizer = _words(out, [])
    torch.manual_seed(0)
    text = _text(tokenizer) | {"head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2}
    text |= {"moe_intermediate_size": 24, "decoder_sparse_step": 1}
    text["rope_parameters"] = {"rope_type": "default", "mrope_section": [2, 3, 3]}
    vision = _qwen_vision() | {"deepstack_visual_indexes": [0, 1]}
    config = Qwen3VLMoeConfig(text_config=text, vision_config=vision, **_qwen_ids(tokenizer))
    frames = {"size": {"shortest_edge": 4096, "longest_edge": 786432}, **HALF}
    return _save(Qwen3VLMoeForConditionalGeneration(config), tokenizer, out, frames, QWEN)


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = (
        *(("video_token", "video_pad"), ("image_token", "image_pad")),
        *(("vision_start_token", "vision_start"), ("vision_end_token", "vision_end")),
    )
    return {f"{name}_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>") for name, token in names}


def _qwen_vision() -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "depth": 2,
        "num_heads": 2,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
    }


FAMILIES = {
    "llava_onevision": build_llava,
    "smolvlm": build_smolvlm,
    "qwen3_5": build_qwen3_5,
}
