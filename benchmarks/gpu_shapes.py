"""What `gpu_step.py` runs: the published configuration, a tiny one, prompts, and the rows."""

from dataclasses import dataclass

import torch
from transformers import Qwen2_5_VLConfig

from videothinker.models.base import Prompt
from videothinker.models.qwen2_5_vl.encoding import Video
from videothinker.models.qwen2_5_vl.shapes import OFFICIAL

SPECIAL = {
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "image_token_id": 151655,
    "video_token_id": 151656,
}
TEXT = 210
"""Text tokens of a prompt, as the plan assumes."""
HEIGHT, WIDTH = 18, 26
"""Patches of a frame of CLEVRER at 128 x 28 x 28 pixels: 252 x 364."""


PAIR = ("ours", "naive")


@dataclass(frozen=True)
class Case:
    """One row."""

    length: int
    prompts: int
    lora: bool = False
    optimizer_on_cpu: bool = False
    frames: int = 16
    repeats: int = 2
    sides: tuple[str, ...] = ("ours", "eager", "naive")
    """The quickest first: what is cut short has it."""
    once: tuple[str, ...] = ()
    """Sides that the first repeat alone measures."""


def official() -> Qwen2_5_VLConfig:
    """Qwen2.5-VL-3B's configuration."""
    found = OFFICIAL["Qwen/Qwen2.5-VL-3B-Instruct"]
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    text = found["text_config"] | {"rope_parameters": rope, "tie_word_embeddings": True}
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=found["vision_config"],
        tie_word_embeddings=found["tie_word_embeddings"],
        **SPECIAL,
    )


def tiny() -> Qwen2_5_VLConfig:
    """The same architecture, small enough for a test on a CPU."""
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
    return Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 128,
            "vocab_size": 300,
            "bos_token_id": 0,
            "eos_token_id": 0,
            "rope_parameters": rope,
            "tie_word_embeddings": True,
        },
        vision_config={
            "hidden_size": 32,
            "depth": 2,
            "num_heads": 2,
            "intermediate_size": 64,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
        },
        tie_word_embeddings=True,
        **{name: 296 + place for place, name in enumerate(SPECIAL)},
    )


def synthetic_prompt(config: Qwen2_5_VLConfig, frames: int, seed: int) -> Prompt:
    """Random words around a video of random pixels."""
    draw = torch.Generator().manual_seed(seed)
    time = frames // 2
    patches = time * HEIGHT * WIDTH
    words = torch.randint(0, min(config.text_config.vocab_size, 290), (TEXT,), generator=draw)
    start, end = config.vision_start_token_id, config.vision_end_token_id
    video = torch.full((patches // 4,), config.video_token_id)
    places = [words[:20], torch.tensor([start]), video, torch.tensor([end]), words[20:]]
    ids_P = torch.cat(places)
    shown = Video(
        frames=frames,
        height=HEIGHT * 14,
        width=WIDTH * 14,
        tokens=len(video),
        digest=str(seed),
        second_per_grid=1.0,
        pixel_values=torch.randn(patches, 1176, generator=draw),
        grid_thw=torch.tensor([[time, HEIGHT, WIDTH]]),
    )
    return Prompt(ids_P, ids_P == config.video_token_id, shown)


def cases(scale: str) -> list[Case]:
    """Rows in order of importance, those of one kind of training together.

    The first six are the goals, four prompts and 768 tokens: at the speeds of 8d04b93 on an H200
    about 240 s with three repeats of the goals, the naive side being three quarters of it.
    """
    if scale == "tiny":
        return [Case(6, 2, frames=2, repeats=2), Case(4, 1, lora=True, frames=2, repeats=1)]
    first = [row for lora in (False, True) for row in _goals(lora=lora)]
    on_cpu = Case(256, 2, optimizer_on_cpu=True, sides=("ours",))
    return [*first, on_cpu, *_rest(lora=True), *_rest(lora=False)]


def _goals(*, lora: bool) -> list[Case]:
    return [
        Case(256, 2, lora=lora, repeats=3, once=("eager",)),
        Case(256, 4, lora=lora, repeats=1, sides=PAIR),
        Case(768, 1, lora=lora, repeats=1, sides=PAIR),
    ]


def _rest(*, lora: bool) -> list[Case]:
    """Beside the naive step at three sizes, alone at the others."""
    compared = ((128, 2), (512, 2), (256, 1))
    elsewhere = [(768, 1), (256, 2), (256, 4), *compared]
    sizes = [(length, prompts) for length in (128, 256, 512, 768) for prompts in (1, 2, 4)]
    alone = [size for size in sizes if size not in elsewhere]
    return [Case(*size, lora=lora, repeats=1, sides=PAIR) for size in compared] + [
        Case(*size, lora=lora, repeats=1, sides=("ours",)) for size in alone
    ]
