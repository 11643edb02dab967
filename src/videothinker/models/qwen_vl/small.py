"""A real Qwen-VL of any small size with its own tokenizer: a folder plain transformers loads."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as splitters
from transformers import GenerationConfig, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from videothinker.errors import UserError
from videothinker.models.qwen_vl.preprocessor import Processor, write_preprocessor_configs
from videothinker.models.qwen_vl.videos import VisionSettings

FRAMES = (2, 32)
"""Fewest and most for which a budget of whole videos is written."""
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Qwen-VL's, in its order."""

ANSWER_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
"""One token each, so that a small model need not spell them; plain text, not special."""

# Qwen2's own splitting rule.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

MESSAGES = (
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The chat formats' one way of writing what was said, in a loop over `messages`."""
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
) + MESSAGES
"""Qwen2-VL's and Qwen2.5-VL's chat format."""

CHAT_WORDS = ("system\nYou are a helpful assistant.", "user\n", "assistant\n")
"""Always learnt as whole words: they stand in every prompt."""


@dataclass(frozen=True)
class SmallConfig:
    """The shape of a small model; the defaults have about 1.2 M parameters.

    Head width times heads is the hidden size; every head's width must be a multiple of 8, because
    rotary positions share it among time, height and width in the family's official proportion.
    """

    family: Literal["qwen2_5_vl", "qwen2_vl", "qwen3_vl"] = "qwen2_5_vl"
    """Whose folder it is to be."""
    hidden: int = 128
    """Width of the language model."""
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    intermediate: int = 344
    """Width of the language model's MLP."""
    vocab_size: int = 1024
    """At most this many entries, special tokens included; a small corpus gives fewer."""
    tie_embeddings: bool = True
    """As Qwen2.5-VL-3B (the 7B does not)."""
    vision_hidden: int = 96
    vision_layers: int = 3
    vision_heads: int = 4
    vision_intermediate: int = 256
    vision_full_attention: tuple[int, ...] = (2,)
    """Qwen2.5-VL: blocks that see the whole frame; the others see one window."""
    vision_deepstack: tuple[int, ...] = (0,)
    """Qwen3-VL: blocks whose features enter the first decoder layers."""
    patch_size: int = 14
    window_size: int = 112
    """Qwen2.5-VL: window's side in pixels; a multiple of twice the patch size."""
    tokens_per_second: int = 2
    """Qwen2.5-VL: steps of the time axis a second."""
    min_pixels: int = 4 * 28 * 28
    max_pixels: int = 64 * 28 * 28
    max_positions: int = 32768
    initializer_range: float = 0.02
    answer_tags: bool = True
    """Give each of `<think>`, `</think>`, `<answer>`, `</answer>` one token."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.hidden % self.heads or (self.hidden // self.heads) % 16:
            raise UserError(
                f"hidden {self.hidden} with {self.heads} heads; the width of a head must be a "
                "multiple of 16: change hidden or heads"
            )
        if self.heads % self.kv_heads:
            raise UserError(
                f"{self.heads} heads with {self.kv_heads} kv_heads; kv_heads must divide heads"
            )
        if self.vision_hidden % self.vision_heads or (self.vision_hidden // self.vision_heads % 4):
            raise UserError(
                f"vision_hidden {self.vision_hidden} with {self.vision_heads} vision_heads; "
                "the width of a head must be a multiple of 4: change one of them"
            )
        own = {"qwen2_5_vl": "vision_full_attention", "qwen3_vl": "vision_deepstack"}
        name = own.get(self.family, "")
        if any(not 0 <= block < self.vision_layers for block in getattr(self, name, ())):
            raise UserError(
                f"{name} {getattr(self, name)}; blocks are numbered 0 to {self.vision_layers - 1}"
            )
        if self.family == "qwen3_vl" and len(self.vision_deepstack) > self.layers:
            raise UserError(
                f"vision_deepstack {self.vision_deepstack} came for {self.layers} layers; each "
                "block's features need a decoder layer of their own"
            )

    @property
    def half_head(self) -> int:
        """Rotary frequencies of a head."""
        return self.hidden // self.heads // 2


class Own(NamedTuple):
    """What a family's configuration has of its own, beside `_settings`."""

    tower: dict[str, Any]
    rotary: dict[str, Any]
    text: dict[str, Any]


def build_small(folder: Path, config: SmallConfig, corpus: Iterable[str]) -> Path:
    """Write a randomly initialised model and a tokenizer trained on `corpus` into `folder`.

    The folder holds what the official one holds (config, generation config, safetensors, tokenizer,
    chat template, preprocessor configs); the same seed and corpus give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    family: Any = import_module(f"videothinker.models.{config.family}.small")
    tokenizer = train_tokenizer(corpus, config.vocab_size, answer_tags=config.answer_tags)
    tokenizer.chat_template = family.CHAT_TEMPLATE
    kind, processor = family.POLICY.library, family.POLICY.processor
    model_config = kind.config_class(**_settings(config, family.own(config), tokenizer))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = kind(model_config)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        eos_token_id=tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]),
        pad_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
    )
    transformers_logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_preprocessor_configs(folder, _frames(config, processor), processor)
    return folder


def _frames(config: SmallConfig, processor: Processor) -> VisionSettings:
    fewest, most = FRAMES if processor.whole_video else (1, 1)
    return VisionSettings(
        patch_size=config.patch_size,
        temporal_patch_size=2,
        merge_size=2,
        mean=processor.mean,
        std=processor.std,
        min_pixels=fewest * config.min_pixels,
        max_pixels=most * config.max_pixels,
        whole_video=processor.whole_video,
    )


def train_tokenizer(
    corpus: Iterable[str], vocab_size: int, *, answer_tags: bool = True
) -> PreTrainedTokenizerFast:
    """A byte-level BPE that splits as Qwen2 does, with Qwen2.5-VL's special tokens."""
    added = SPECIAL_TOKENS + (ANSWER_TAGS if answer_tags else ())
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = splitters.Sequence(
        [
            splitters.Split(Regex(WORDS), behavior="isolated"),
            splitters.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(added),
        initial_alphabet=splitters.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(chain(corpus, CHAT_WORDS * 100), trainer)
    core.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    if answer_tags:
        core.add_tokens([AddedToken(token, normalized=False) for token in ANSWER_TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
        extra_special_tokens=[
            t for t in SPECIAL_TOKENS if t not in {"<|im_end|>", "<|endoftext|>"}
        ],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=131072,
    )


def _settings(config: SmallConfig, own: Own, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """The official configuration's fields at this size."""
    token = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL_TOKENS}
    return {
        "text_config": {
            "vocab_size": len(tokenizer),
            "hidden_size": config.hidden,
            "intermediate_size": config.intermediate,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
            "num_key_value_heads": config.kv_heads,
            "max_position_embeddings": config.max_positions,
            "initializer_range": config.initializer_range,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0, **own.rotary},
            "bos_token_id": token["<|endoftext|>"],
            "eos_token_id": token["<|im_end|>"],
            "pad_token_id": token["<|endoftext|>"],
            "tie_word_embeddings": config.tie_embeddings,
            **own.text,
        },
        "vision_config": {
            "depth": config.vision_layers,
            "num_heads": config.vision_heads,
            "patch_size": config.patch_size,
            "initializer_range": config.initializer_range,
            **own.tower,
        },
        "image_token_id": token["<|image_pad|>"],
        "video_token_id": token["<|video_pad|>"],
        "vision_start_token_id": token["<|vision_start|>"],
        "vision_end_token_id": token["<|vision_end|>"],
        "tie_word_embeddings": config.tie_embeddings,
    }


def sections(config: SmallConfig) -> list[int]:
    """Rotary frequencies of time, height and width, in Qwen2-VL's and Qwen2.5-VL's proportion."""
    eighth = config.half_head // 8
    return [2 * eighth, 3 * eighth, config.half_head - 5 * eighth]
