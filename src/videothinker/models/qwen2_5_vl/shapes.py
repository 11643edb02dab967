"""What a Qwen2.5-VL costs before it is run: parameters and floating-point operations, counted.

Standard library alone, so that a dry run needs no torch. A multiply-add counts as two operations;
norms, rotary turns, softmax and biases are left out (well under one per cent at 3B).
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from videothinker.errors import Unplanned, UserError
from videothinker.models.border import parse, read_object
from videothinker.models.folders import complete_folder

ARCHITECTURE = "qwen2_5_vl"
OFFICIAL: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-VL-3B-Instruct": {
        "text_config": {
            "hidden_size": 2048,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "intermediate_size": 11008,
            "vocab_size": 151936,
        },
        "vision_config": {
            "hidden_size": 1280,
            "depth": 32,
            "num_heads": 16,
            "intermediate_size": 3420,
            "out_hidden_size": 2048,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen2.5-VL-7B-Instruct": {
        "text_config": {
            "hidden_size": 3584,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "intermediate_size": 18944,
            "vocab_size": 152064,
        },
        "vision_config": {
            "hidden_size": 1280,
            "depth": 32,
            "num_heads": 16,
            "intermediate_size": 3420,
            "out_hidden_size": 3584,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        "tie_word_embeddings": False,
    },
}
"""The published configurations, as far as cost goes."""
VISION_DEFAULTS: dict[str, Any] = OFFICIAL["Qwen/Qwen2.5-VL-7B-Instruct"]["vision_config"]
"""The published 7B's `vision_config` leaves all but the width out; the class then takes these."""


@dataclass(frozen=True)
class TextSizes:
    """The language model's, in `config.json`."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    vocab_size: int
    tie_word_embeddings: bool = False


@dataclass(frozen=True)
class VisionSizes:
    """The vision tower's."""

    hidden_size: int
    depth: int
    num_heads: int
    intermediate_size: int
    patch_size: int
    temporal_patch_size: int
    spatial_merge_size: int
    window_size: int
    fullatt_block_indexes: list[int]


@dataclass(frozen=True)
class VisionPart:
    """Where those stand."""

    vision_config: dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen2.5-VL that decide its cost."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int
    tied: bool
    vision_hidden: int
    vision_depth: int
    vision_heads: int
    vision_intermediate: int
    patch: int
    temporal_patch: int
    merge: int
    window: int
    """Merged patches along one side of an attention window."""
    full_blocks: int
    """Vision blocks that attend over a whole temporal slice; the others over windows."""

    @property
    def head_dim(self) -> int:
        """Width of one attention head of the language model."""
        return self.hidden // self.heads


def read_shape(config: Mapping[str, Any], name: str = "config.json") -> Shape:
    """The shape in a model's `config.json`, nested or flat.

    Raises:
        UserError: it is not a Qwen2.5-VL configuration.
    """
    kind = config.get("model_type", ARCHITECTURE)
    if kind != ARCHITECTURE:
        raise Unplanned(
            f"{name} is of type {kind!r}; only {ARCHITECTURE!r} (Qwen2.5-VL) is planned: train "
            "without --dry-run"
        )
    text = parse(TextSizes, config.get("text_config") or config, name)
    given = parse(VisionPart, config, name).vision_config
    vision = parse(VisionSizes, VISION_DEFAULTS | given, f"{name}, vision_config")
    sizes = [*astuple(text)[:6], *astuple(vision)[:8]]
    if min(sizes) < 1:
        raise UserError(f"{name} has sizes below 1, the smallest is {min(sizes)}; correct them")
    tied = config.get("tie_word_embeddings", text.tie_word_embeddings)
    return Shape(
        hidden=text.hidden_size,
        layers=text.num_hidden_layers,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        intermediate=text.intermediate_size,
        vocab=text.vocab_size,
        tied=bool(tied),
        vision_hidden=vision.hidden_size,
        vision_depth=vision.depth,
        vision_heads=vision.num_heads,
        vision_intermediate=vision.intermediate_size,
        patch=vision.patch_size,
        temporal_patch=vision.temporal_patch_size,
        merge=vision.spatial_merge_size,
        window=vision.window_size // vision.spatial_merge_size // vision.patch_size,
        full_blocks=len(vision.fullatt_block_indexes),
    )


def find_shape(model: str) -> Shape:
    """The shape of a model folder (or a run folder's `model/`), or of a published hub name.

    Of an adapter's folder it is the base's.

    Raises:
        UserError: neither a folder with a config.json nor a known name.
    """
    path = Path(complete_folder(model)) / "config.json"
    if path.is_file():
        return read_shape(read_object(path), str(path))
    if model in OFFICIAL:
        return read_shape(OFFICIAL[model], model)
    raise UserError(
        f"{model} is no model folder and no known name; known are {', '.join(OFFICIAL)}"
    )


def parameters(shape: Shape) -> dict[str, int]:
    """Number of weights: embeddings, language, head (0 where tied), vision."""
    d, kv = shape.hidden, shape.kv_heads * shape.head_dim
    attention = 2 * d * d + 2 * d * kv + d + 2 * kv  # q, k, v carry a bias
    layer = attention + 3 * d * shape.intermediate + 2 * d
    v, i = shape.vision_hidden, shape.vision_intermediate
    block = 4 * v * v + 4 * v + 3 * v * i + 2 * i + v + 2 * v
    wide = v * shape.merge**2
    merger = v + wide * wide + wide + wide * d + d
    patch = 3 * shape.temporal_patch * shape.patch**2 * v
    embeddings = shape.vocab * d
    return {
        "embeddings": embeddings,
        "language": shape.layers * layer + d,
        "head": 0 if shape.tied else embeddings,
        "vision": patch + shape.vision_depth * block + merger,
    }


@dataclass(frozen=True)
class Grid:
    """A video as the vision tower sees it: patches along time, height and width."""

    time: int
    height: int
    width: int

    @property
    def patches(self) -> int:
        """All patches."""
        return self.time * self.height * self.width


def video_tokens(shape: Shape, grid: Grid) -> int:
    """Tokens the language model sees of it."""
    return grid.patches // shape.merge**2


def vision_flops(shape: Shape, grid: Grid) -> float:
    """One forward of the vision tower and its merger over one video."""
    n, v = grid.patches, shape.vision_hidden
    per_patch = 2 * (4 * v * v + 3 * v * shape.vision_intermediate)
    linear = shape.vision_depth * n * per_patch + n * 6 * shape.temporal_patch * shape.patch**2 * v
    side = shape.window * shape.merge
    slice_pairs = grid.time * (grid.height * grid.width) ** 2
    window_pairs = grid.time * _window_pairs(grid.height, side) * _window_pairs(grid.width, side)
    windowed = shape.vision_depth - shape.full_blocks
    attention = 4 * v * (shape.full_blocks * slice_pairs + windowed * window_pairs)
    wide = v * shape.merge**2
    merger = video_tokens(shape, grid) * 2 * (wide * wide + wide * shape.hidden)
    return float(linear + attention + merger)


def _window_pairs(length: int, side: int) -> int:
    """Sum of squares of the window lengths that tile `length`."""
    whole, rest = divmod(length, side)
    return whole * side * side + rest * rest


def language_flops(shape: Shape, tokens: float, pairs: float) -> float:
    """One forward of the decoder, without its head, with `pairs` of (query, key)."""
    d, kv = shape.hidden, shape.kv_heads * shape.head_dim
    per_token = 2 * (2 * d * d + 2 * d * kv + 3 * d * shape.intermediate)
    return shape.layers * (tokens * per_token + pairs * 4 * d)


def head_flops(shape: Shape, tokens: float) -> float:
    """Logits of `tokens`."""
    return 2.0 * shape.hidden * shape.vocab * tokens


def causal_pairs(length: float, past: float = 0) -> float:
    """(query, key) pairs of `length` tokens that see `past` tokens and causally themselves."""
    return length * past + length * (length + 1) / 2


def group_flops(
    shape: Shape, grid: Grid | None, prompt: int, generations: int, completion: int, *, shared: bool
) -> dict[str, float]:
    """Forward operations over one group, by part: `vision`, `language`, `head`.

    `shared` computes the prompt and its video once; otherwise once a completion.
    """
    copies = 1 if shared else generations
    tokens = copies * prompt + generations * completion
    pairs = copies * causal_pairs(prompt) + generations * causal_pairs(completion, prompt)
    return {
        "vision": 0.0 if grid is None else copies * vision_flops(shape, grid),
        "language": language_flops(shape, tokens, pairs),
        "head": head_flops(shape, generations * completion),
    }


def step_flops(
    shape: Shape,
    grid: Grid | None,
    prompt: int,
    generations: int,
    completion: int,
    *,
    shared: bool,
    bias: bool = True,
    freeze_vision: bool = False,
    checkpointing: bool = True,
    adapters: bool = False,
) -> dict[str, float]:
    """Operations of one CDPO step over one prompt, by phase.

    Phases: `rollout` (prefill and decode), `bias` (log-probabilities of the frozen bias model),
    `forward`, `backward` (twice a forward; three times with gradient checkpointing, the head's
    logits being rebuilt in either case). A frozen tower has no backward, and when it is shared its
    output serves rollout, bias model and policy alike. `adapters`: LoRA, whose frozen weights take
    no gradient (the adapters' own operations, under two per cent, are left out).
    """
    size = (prompt, generations, completion)
    one = group_flops(shape, grid, *size, shared=shared)
    rollout = sum(one.values())
    vision = 0.0 if freeze_vision and shared else one["vision"]
    forward = vision + one["language"] + one["head"]
    again = 3.0 if checkpointing else 2.0
    weights = 1.0 if adapters else 0.0  # a third of the backward pass that LoRA does not need
    backward = (again - weights) * one["language"] + (3.0 - weights) * one["head"]
    if not freeze_vision:
        backward += again * one["vision"]
    return {
        "rollout": rollout,
        "bias": forward if bias else 0.0,
        "forward": forward,
        "backward": backward,
    }
