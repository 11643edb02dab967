"""What a training step is, as far as its memory goes, and how many weights it trains."""

from dataclasses import dataclass
from typing import Literal

from videothinker.models.shapes import Grid, Shape, parameters
from videothinker.models.videos import KEPT

FLOAT = 4
"""Bytes of a float32: masters, gradients, moments, norms, softmax."""
BiasKind = Literal["none", "model", "adapter", "offloaded"]


@dataclass(frozen=True)
class Workload:
    """Everything a step's memory depends on."""

    shape: Shape
    grid: Grid | None
    """The video; null for text alone."""
    prompt: int
    """Prompt tokens, video included."""
    generations: int
    completion: int
    """Tokens of the longest completion."""
    prompts: int = 1
    """Prompts of one rank and step."""
    width: int = 2
    """Bytes of a weight and an activation: 2 for bfloat16, 4 for float32."""
    lora_rank: int = 0
    freeze_vision: bool = False
    checkpointing: bool = True
    logit_bytes: int = 0
    """Bytes a logit of both models while a divergence over the whole vocabulary is recomputed and
    differentiated, see `divergences`; 0 where it asks for the sampled tokens alone."""
    bias: BiasKind = "model"
    bias_shape: Shape | None = None
    """Of a bias model of another size; null where it is the policy's."""
    optimizer_on_cpu: bool = False
    moment_bytes: int = 2 * FLOAT
    """Of both moments of one weight: 8 in float32, 2 in 8 bits."""

    at_once: int | None = None
    """Prompts whose completions are drawn together; null for all."""
    merges: bool = True
    """Does a rollout draw from a copy of the matrices with the adapter in it?"""
    videos: int = KEPT
    """Different videos seen so far, of which a frozen tower's cache keeps up to 32."""
    fused_update: bool = True
    """AdamW as one kernel, which CUDA has; else tensor by tensor with temporaries."""
    ranks: int = 1
    """Processes that hold a piece each of masters, moments and gradients."""
    by_layer: bool = False
    """And of the weights of layers; see `sharding`."""

    @property
    def packed(self) -> int:
        """Tokens of the training forward: the prompt once, then G segments."""
        return self.prompt - 1 + self.generations * self.completion

    @property
    def tower_trains(self) -> bool:
        """Does the vision tower keep a graph?"""
        return self.grid is not None and not (self.freeze_vision or self.lora_rank)


def trained_parameters(work: Workload) -> int:
    """Weights that take a gradient."""
    if work.lora_rank:
        return adapter_parameters(work.shape, work.lora_rank)
    counts = parameters(work.shape)
    return sum(counts.values()) - (counts["vision"] if work.freeze_vision else 0)


def adapter_parameters(shape: Shape, rank: int) -> int:
    """Weights of a LoRA adapter on every linear map of the language model."""
    d, kv, i = shape.hidden, shape.kv_heads * shape.head_dim, shape.intermediate
    sides = 2 * (d + shape.attention) + 2 * (d + kv) + 3 * (d + i)  # q, o; k, v; gate, up, down
    return shape.layers * rank * sides


def linear_parameters(shape: Shape) -> int:
    """Weights of the language model's linear maps, the head apart."""
    keys = shape.kv_heads * shape.head_dim
    return shape.layers * shape.hidden * (2 * shape.attention + 2 * keys + 3 * shape.intermediate)


def largest(work: Workload) -> int:
    """Values of the largest tensor that trains."""
    shape = work.shape
    if work.lora_rank:
        return work.lora_rank * max(shape.hidden, shape.intermediate)
    return max(shape.vocab, shape.intermediate) * shape.hidden
