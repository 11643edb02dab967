"""What the GPU benchmarks run: published configurations, tiny ones, prompts, and the rows."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from transformers import Qwen2_5_VLConfig, Qwen2VLConfig, Qwen3VLConfig

from videothinker.models.base import Prompt
from videothinker.models.qwen_vl.videos import QwenVideo

CONFIGS = {"qwen2_5_vl": Qwen2_5_VLConfig, "qwen2_vl": Qwen2VLConfig, "qwen3_vl": Qwen3VLConfig}
"""Family -> transformers' configuration; every family of the engine."""
ROTARY = {"qwen2_5_vl": [16, 24, 24], "qwen2_vl": [16, 24, 24], "qwen3_vl": [24, 20, 20]}
"""How the published models share a head's 64 rotary frequencies among time, height and width."""
SPECIAL = {
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "image_token_id": 151655,
    "video_token_id": 151656,
}
TEXT = 210
"""Text tokens of a prompt, as the plan assumes."""
STEP_TEXT = 8
"""Tokens of the time that Qwen3-VL writes before each step of a video."""
HEIGHT, WIDTH = 18, 26
"""Patches of a frame, for every family: CLEVRER at 128 x 28 x 28 pixels is 252 x 364 for 14."""
THREE = "Qwen/Qwen2.5-VL-3B-Instruct"


QWEN3_2B, QWEN3_4B = "Qwen/Qwen3-VL-2B-Instruct", "Qwen/Qwen3-VL-4B-Instruct"
QWEN2_2B, SEVEN = "Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"
ALL, PAIR, OURS = ("ours", "eager", "naive"), ("ours", "naive"), ("ours",)


@dataclass(frozen=True)
class Case:
    """One row."""

    length: int
    prompts: int
    model: str = THREE
    lora: bool = False
    optimizer_on_cpu: bool = False
    keeps: bool = False
    """Activations, as where the plan sees room: no gradient checkpointing."""
    frames: int = 16
    repeats: int = 2
    sides: tuple[str, ...] = ALL
    """The quickest first: what is cut short has it."""


def configuration(scale: str, model: str) -> Any:
    """Of a published model, or the tiny one of its family."""
    return official(model) if scale == "official" else tiny(_published(model)[0])


def official(model: str = THREE) -> Any:
    """The configuration of a published model."""
    family, found = _published(model)
    vision, tied = found.pop("vision_config"), found.pop("tie_word_embeddings")
    return _config(family, found.get("text_config", found), vision, tied, SPECIAL)


def _published(model: str) -> tuple[str, dict[str, Any]]:
    """Its family, and what is published of its configuration."""
    for family in CONFIGS:
        known = import_module(f"videothinker.models.{family}.shapes").OFFICIAL
        if model in known:
            return family, dict(known[model])
    raise ValueError(model)


def tiny(family: str = "qwen2_5_vl", vocabulary: int = 300) -> Any:
    """A family's architecture, small enough for a test on a CPU."""
    text = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "vocab_size": vocabulary,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    tower = {"depth": 2, "num_heads": 2, "hidden_size": 32, "intermediate_size": 64}
    own = {
        "qwen2_5_vl": {"out_hidden_size": 64, "fullatt_block_indexes": [1]},
        "qwen2_vl": {"embed_dim": 32, "mlp_ratio": 2, "hidden_size": 64},
        "qwen3_vl": {
            "out_hidden_size": 64,
            "deepstack_visual_indexes": [0],
            "num_position_embeddings": 576,
            "patch_size": 16,
        },
    }
    if family == "qwen3_vl":
        text["head_dim"] = 16
    special = {name: vocabulary - 4 + place for place, name in enumerate(SPECIAL)}
    return _config(family, text, tower | own[family], True, special)


def _config(family: str, text: Any, vision: Any, tied: bool, special: dict[str, int]) -> Any:  # noqa: FBT001
    width = text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]
    shares = [width * share // 128 for share in ROTARY[family]]
    shares[0] += width // 2 - sum(shares)
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": shares}
    if family == "qwen3_vl":
        rope |= {"rope_theta": 5e6, "mrope_interleaved": True}
    return CONFIGS[family](
        text_config=text | {"rope_parameters": rope, "tie_word_embeddings": tied},
        vision_config=dict(vision),
        tie_word_embeddings=tied,
        **special,
    )


def synthetic_prompt(config: Any, frames: int, seed: int) -> Prompt:
    """Random words around a video of random pixels."""
    draw = torch.Generator().manual_seed(seed)
    steps, patch = frames // 2, config.vision_config.patch_size
    patches = steps * HEIGHT * WIDTH

    def words(count: int) -> torch.Tensor:
        most = min(config.text_config.vocab_size, 290)
        return torch.randint(0, most, (count,), generator=draw)

    start, end = config.vision_start_token_id, config.vision_end_token_id
    runs, before = (steps, STEP_TEXT) if config.model_type == "qwen3_vl" else (1, 0)
    places = [words(20)]
    for _ in range(runs):
        video = torch.full((patches // 4 // runs,), config.video_token_id)
        places += [words(before), torch.tensor([start]), video, torch.tensor([end])]
    ids_P = torch.cat([*places, words(TEXT - 20)])
    shown = QwenVideo(
        frames=frames,
        height=HEIGHT * patch,
        width=WIDTH * patch,
        tokens=patches // 4,
        digest=str(seed),
        second_per_grid=1.0,
        pixel_values=torch.randn(patches, 6 * patch**2, generator=draw),
        grid_thw=torch.tensor([[steps, HEIGHT, WIDTH]]),
    )
    return Prompt(ids_P, ids_P == config.video_token_id, shown)


def goals(scale: str) -> list[Case]:
    """The rows most wanted, those of one model and kind of training together.

    The goals of 3B three times, then 768 tokens and four prompts, then a row for each other family:
    all of that is reached in 300 s on an H200, by the seconds that were measured there.
    """
    if scale == "tiny":
        few = {"frames": 2, "repeats": 1}
        return [
            Case(6, 2, frames=2, repeats=2),
            Case(4, 1, lora=True, **few),
            Case(4, 1, QWEN3_2B, sides=PAIR, **few),
            Case(4, 1, QWEN2_2B, lora=True, sides=PAIR, **few),
        ]
    first = [Case(256, 2, lora=lora, repeats=3, sides=PAIR) for lora in (False, True)]
    rest = [
        Case(length, prompts, lora=lora, repeats=1, sides=OURS)
        for lora in (True, False)  # LoRA is in memory
        for length, prompts in ALONE
    ]
    families = ((QWEN3_2B, False), (QWEN3_4B, True), (QWEN2_2B, True))
    others = [Case(256, 2, one, lora=lora, repeats=1, sides=PAIR) for one, lora in families]
    return [*first, *rest, *others]


ALONE = ((768, 1), (256, 4))
"""Length and prompts; the naive step takes half a minute or more for each, so it comes late."""


def further(scale: str) -> list[Case]:
    """The optimizer on the CPU, kept activations and 7B, then other sizes of 3B."""
    if scale == "tiny":
        few = {"frames": 2, "repeats": 1, "sides": OURS}
        return [Case(4, 1, optimizer_on_cpu=True, **few), Case(4, 1, lora=True, keeps=True, **few)]
    return [
        Case(256, 2, lora=True, keeps=True, sides=OURS),
        Case(256, 2, optimizer_on_cpu=True, repeats=1, sides=OURS),
        Case(256, 2, SEVEN, lora=True, repeats=1, sides=PAIR),
        Case(256, 2, SEVEN, optimizer_on_cpu=True, repeats=1, sides=OURS),
        *_rest(lora=True),
        *_rest(lora=False),
    ]


def _rest(*, lora: bool) -> list[Case]:
    """All sides at one size, beside the naive step at five, alone at the others."""
    compared = (*ALONE, (512, 2), (256, 1))
    elsewhere = [(256, 2), (128, 2), *compared]
    sizes = [(length, prompts) for length in (128, 256, 512, 768) for prompts in (1, 2, 4)]
    alone = [size for size in sizes if size not in elsewhere]
    return [
        Case(128, 2, lora=lora, repeats=1),
        *(Case(*size, lora=lora, repeats=1, sides=PAIR) for size in compared),
        *(Case(*size, lora=lora, repeats=1, sides=OURS) for size in alone),
    ]
