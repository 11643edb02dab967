"""Bytes that a step's forward passes keep, and what their backward passes add.

Letters as in `memory`.
"""

from videothinker.models.logprobs import CHUNK
from videothinker.planning.workload import FLOAT, Workload


def layer_saved(work: Workload) -> int:
    """Bytes one language layer keeps for its backward pass."""
    return _attention_saved(work) + mlp_saved(work)


def _norm_saved(work: Workload, width: int, *, trains: bool) -> int:
    """A norm's float32 input and, where its weight trains, its normalised input; its output."""
    return width * (FLOAT + (work.width if trains else 0) + work.width) + FLOAT


def _attention_saved(work: Workload) -> int:
    shape, b, tokens = work.shape, work.width, work.packed
    a, kv = shape.attention, shape.kv_heads * shape.head_dim
    norm = tokens * _norm_saved(work, shape.hidden, trains=not work.lora_rank)
    if shape.head_norms:  # what they make is turned at once, and not kept
        made = b * (a + kv)
        norm += tokens * (_norm_saved(work, a + kv, trains=not work.lora_rank) - made)
    # query, the two attentions' outputs, the packed output; the prefix's key and value
    states = 3 * a * b * tokens + 2 * kv * b * (work.prompt - 1) + FLOAT * shape.heads * tokens
    # what every segment sees, or what that is made of
    keys = segment_keys(work) if work.checkpointing else 2 * kv * b * tokens
    lora = 4 * b * work.lora_rank * tokens
    return norm + states + keys + lora


def segment_keys(work: Workload) -> int:
    """Keys and values with the prefix's before every segment's own."""
    kv = work.shape.kv_heads * work.shape.head_dim
    return 2 * work.width * kv * work.generations * (work.prompt - 1 + work.completion)


def mask_bytes(work: Workload) -> int:
    """What segments may not see, once for all layers."""
    repeats = work.shape.heads // work.shape.kv_heads
    return work.width * repeats * work.completion * (work.prompt - 1 + work.completion)


def mlp_saved(work: Workload) -> int:
    """Bytes of a language layer's second half, its norm's included."""
    shape, b, tokens = work.shape, work.width, work.packed
    norm = tokens * _norm_saved(work, shape.hidden, trains=not work.lora_rank)
    return norm + tokens * (4 * b * shape.intermediate + 3 * b * work.lora_rank)


def mlp_backward(work: Workload) -> int:
    """On top of what is saved: gradients of the output and of both factors of the product."""
    return work.packed * work.width * (2 * work.shape.hidden + 2 * work.shape.intermediate)


def attention_backward(work: Workload) -> int:
    """On top of what is saved: what every segment sees, and gradients of the states."""
    return segment_keys(work) + 5 * work.width * work.shape.attention * work.packed


def block_saved(work: Workload) -> int:
    """Bytes one vision block keeps for its backward pass."""
    if work.grid is None:
        return 0
    one, b = work.shape.vision, work.width
    norms = 2 * _tower_norm_saved(work, one.hidden)
    # turned query and key, the fused projection (its value is a view), windows, their packing
    attention = 7 * b * one.hidden + FLOAT * one.heads
    return work.grid.patches * (norms + attention + one.mlp_kept * b * one.intermediate)


def _tower_norm_saved(work: Workload, width: int) -> int:
    if work.shape.vision.layer_norms:  # its input as it came, mean and deviation; its output
        return 2 * work.width * width + 2 * FLOAT
    return _norm_saved(work, width, trains=True)


def block_backward(work: Workload) -> int:
    """On top of what is saved: gradients of a vision block's output and of its MLP's inside."""
    assert work.grid is not None
    one = work.shape.vision
    return work.grid.patches * work.width * 2 * (one.hidden + one.intermediate)


def tower_saved(work: Workload) -> int:
    """The tower's whole graph as the backward pass finds it."""
    if work.grid is None or not work.tower_trains:
        return 0
    one, b, n = work.shape.vision, work.width, work.grid.patches
    v = one.hidden
    block = n * b * v if work.checkpointing else block_saved(work)
    pixels = n * 3 * one.temporal_patch * one.patch**2 * (b + (FLOAT if b < FLOAT else 0))
    merger = n * (_tower_norm_saved(work, v) + 2 * b * v)
    rotary = 2 * n * FLOAT * (v // one.heads)
    return one.depth * block + pixels + (1 + one.deepstack) * merger + rotary


def language_saved(work: Workload) -> int:
    """All layers, the last norm, and the completions' hidden states gathered from it."""
    shape, b, tokens = work.shape, work.width, work.packed
    layer = b * shape.hidden * tokens if work.checkpointing else layer_saved(work)
    last = tokens * _norm_saved(work, shape.hidden, trains=not work.lora_rank)
    gathered = b * shape.hidden * work.generations * work.completion
    rotary = 2 * b * shape.head_dim * tokens
    return shape.layers * layer + last + gathered + rotary + mask_bytes(work)


def inference_bytes(work: Workload, tokens: int) -> int:
    """One layer without a graph, at its widest."""
    d, i, b = work.shape.hidden, work.shape.intermediate, work.width
    copies = segment_keys(work) + mask_bytes(work) if tokens == work.packed else 0
    return max(tokens * b * (3 * d + 3 * i), tokens * b * 8 * d + copies)


def head_bytes(work: Workload) -> int:
    """Logits of a chunk with their gradient, and the head's gradient while chunks add up.

    The divergence over the whole vocabulary goes first; its gradient of the head then waits for
    that of the sampled tokens' log-probabilities.
    """
    v, d, b = work.shape.vocab, work.shape.hidden, work.width
    tokens = work.generations * work.completion
    chunk = min(CHUNK, tokens) * v
    table = 0 if work.lora_rank else v * d
    whole = work.logit_bytes
    several = tokens >= 2 * CHUNK  # the chunk before is freed only as the next one is made
    logit = 16 if several else 12 + (b if b < FLOAT else 0)
    sampled = chunk * logit + table * (FLOAT + b + (b if whole else 0))
    return max(sampled, chunk * whole + 2 * b * table if whole else 0) + tokens * d * b
