"""What a Qwen-VL costs before it is run: parameters and floating-point operations, counted.

Standard library alone. A family reads its configuration into a `Shape`; all else follows from that.
A multiply-add counts as two operations; norms, rotary embeddings, softmax and biases are left out
(well under one per cent at 3B).
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, TypeVar

from videothinker.errors import UserError
from videothinker.models.border import parse

T = TypeVar("T")


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
    head_dim: int | None = None


@dataclass(frozen=True)
class VisionSizes:
    """The vision tower's, in `config.json`."""

    hidden_size: int
    depth: int
    num_heads: int
    intermediate_size: int
    patch_size: int
    temporal_patch_size: int
    spatial_merge_size: int


@dataclass(frozen=True)
class Vision:
    """The sizes of a vision tower that decide its cost."""

    hidden: int
    depth: int
    heads: int
    intermediate: int
    patch: int
    temporal_patch: int
    merge: int
    window: int = 0
    """Merged tokens along a side of an attention window; 0 where every block sees a whole slice."""
    full_blocks: int = 0
    """Of blocks with windows: those that see a whole temporal slice all the same."""
    gated: bool = False
    """The MLP is three matrices (SwiGLU) and not two."""
    mlp_kept: int = 2
    """Values that it keeps for its backward pass for each of its inner width."""
    layer_norms: bool = True
    """They have a bias, and keep less for the backward pass than RMSNorm in plain torch."""
    patch_bias: bool = False
    table: int = 0
    """Places of a learned position table."""
    deepstack: int = 0
    """Decoder layers that take features of inner blocks, each through a merger of its own."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a model that decide its cost."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    vision: Vision
    biases: bool = True
    """Of query, key and value."""
    head_norms: bool = False
    """Of query and key."""
    whole_video: bool = False
    """The pixel budget of its preparation is a video's, not a frame's."""
    step_text: int = 0
    """Tokens of text before and behind each step of a video's grid, at most."""

    @property
    def attention(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim


def text_part(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The language model's sizes in a `config.json`, nested or flat, as `Shape` has them.

    Raises:
        UserError: they are missing, or below 1.
    """
    text = parse(TextSizes, config.get("text_config") or config, name)
    _refuse_below_one(astuple(text)[:6], name)
    return {
        "hidden": text.hidden_size,
        "layers": text.num_hidden_layers,
        "heads": text.num_attention_heads,
        "kv_heads": text.num_key_value_heads,
        "head_dim": text.head_dim or text.hidden_size // text.num_attention_heads,
        "intermediate": text.intermediate_size,
        "vocab": text.vocab_size,
        "tied": bool(config.get("tie_word_embeddings", text.tie_word_embeddings)),
    }


def vision_part(
    kind: type[T], config: Mapping[str, Any], name: str, defaults: Mapping[str, Any] | None = None
) -> T:
    """The vision tower's sizes in its `vision_config`, as the family's dataclass `kind` has them.

    Raises:
        UserError: they are missing, or below 1.
    """
    found = config.get("vision_config")
    if not isinstance(found, dict):
        raise UserError(f"{name} has no 'vision_config', an object; give a video LLM's")
    vision = parse(kind, {**(defaults or {}), **found}, f"{name}, vision_config")
    values = [getattr(vision, one.name) for one in fields(kind)]  # pyright: ignore[reportArgumentType]
    _refuse_below_one([value for value in values if isinstance(value, int)], name)
    return vision


def _refuse_below_one(sizes: Sequence[int], name: str) -> None:
    if min(sizes) < 1:
        raise UserError(f"{name} has sizes below 1, the smallest is {min(sizes)}; correct them")


def parameters(shape: Shape) -> dict[str, int]:
    """Number of weights: embeddings, language, head (0 where tied), vision."""
    embeddings = shape.vocab * shape.hidden
    return {
        "embeddings": embeddings,
        "language": shape.layers * layer_parameters(shape) + shape.hidden,
        "head": 0 if shape.tied else embeddings,
        "vision": _tower_parameters(shape),
    }


def _tower_parameters(shape: Shape) -> int:
    one = shape.vision
    v, norm = one.hidden, 2 if one.layer_norms else 1
    wide = v * one.merge**2
    merger = wide * wide + wide + wide * shape.hidden + shape.hidden
    mergers = merger + norm * v + one.deepstack * (merger + norm * wide)
    patch = 3 * one.temporal_patch * one.patch**2 * v + (v if one.patch_bias else 0)
    return patch + one.table * v + one.depth * block_parameters(shape) + mergers


def block_parameters(shape: Shape) -> int:
    """Number of weights of one block of the vision tower."""
    one = shape.vision
    v, i, norm = one.hidden, one.intermediate, 2 if one.layer_norms else 1
    mlp = 3 * v * i + 2 * i + v if one.gated else 2 * v * i + i + v
    return 4 * v * v + 4 * v + mlp + 2 * norm * v


def layer_parameters(shape: Shape) -> int:
    """Number of weights of one layer of the language model."""
    d, a, kv = shape.hidden, shape.attention, shape.kv_heads * shape.head_dim
    attention = 2 * d * a + 2 * d * kv + (a + 2 * kv if shape.biases else 0)
    norms = 2 * d + (2 * shape.head_dim if shape.head_norms else 0)
    return attention + 3 * d * shape.intermediate + norms


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
    return grid.patches // shape.vision.merge**2


def vision_flops(shape: Shape, grid: Grid) -> float:
    """One forward of the vision tower and its mergers over one video."""
    one, n = shape.vision, grid.patches
    v = one.hidden
    per_patch = 2 * (4 * v * v + (3 if one.gated else 2) * v * one.intermediate)
    linear = one.depth * n * per_patch + n * 6 * one.temporal_patch * one.patch**2 * v
    slice_pairs = grid.time * (grid.height * grid.width) ** 2
    pairs = one.depth * slice_pairs
    if one.window:
        side = one.window * one.merge
        windows = grid.time * _window_pairs(grid.height, side) * _window_pairs(grid.width, side)
        pairs = one.full_blocks * slice_pairs + (one.depth - one.full_blocks) * windows
    wide = v * one.merge**2
    merger = video_tokens(shape, grid) * 2 * (wide * wide + wide * shape.hidden)
    return float(linear + 4 * v * pairs + (1 + one.deepstack) * merger)


def _window_pairs(length: int, side: int) -> int:
    """Sum of squares of the window lengths that tile `length`."""
    whole, rest = divmod(length, side)
    return whole * side * side + rest * rest


def language_flops(shape: Shape, tokens: float, pairs: float) -> float:
    """One forward of the decoder, without its head, with `pairs` of (query, key)."""
    d, a, kv = shape.hidden, shape.attention, shape.kv_heads * shape.head_dim
    per_token = 2 * (2 * d * a + 2 * d * kv + 3 * d * shape.intermediate)
    return shape.layers * (tokens * per_token + pairs * 4 * a)


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
