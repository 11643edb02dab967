"""Bytes a training step needs, counted from shapes: what lies in memory at each of its moments.

Counted by hand and held against real steps: a rehearsal of the step without its numbers
(`benchmarks/rehearsal.py`) is as exact, but takes seconds a plan where this takes none. The count
is of tensors, as `torch.cuda.max_memory_allocated` sees them;
a kernel's inner workspace, the CUDA context and the allocator's gaps come on top (see `plan`).
Letters: L tokens of the packed sequence, D hidden, I intermediate, V vocabulary, b bytes a value.
"""

from dataclasses import dataclass
from typing import Literal

from videothinker.models.logprobs import CHUNK
from videothinker.models.shapes import Grid, Shape, parameters
from videothinker.planning import pieces

FLOAT = 4
"""Bytes of a float32: masters, gradients, moments, norms, softmax."""
SHARD = 2 << 30
"""Bytes of a weight file; `models.loaded.SHARD`, which is not imported: that takes seconds."""
PAGE = 128
"""Keys of a page; `generation.pages.PAGE`."""
TOGETHER = 4096
"""Prompt tokens of one forward; `generation.shared_prefix.TOGETHER`."""
VIDEOS = 32
"""Videos a frozen tower's cache keeps; `models.videos.KEPT`."""

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
    videos: int = VIDEOS
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


def resident(work: Workload) -> dict[str, int]:
    """Bytes that stay from the first step on: weights, bias model, masters, moments."""
    weights = sum(parameters(work.shape).values()) * work.width
    trained = trained_parameters(work) // work.ranks
    adapter = adapter_parameters(work.shape, work.lora_rank) * work.width
    own = bias_weights(work) - pieces.elsewhere(work, pieces.of_bias(work))
    bias = {"none": 0, "model": own, "adapter": adapter, "offloaded": 0}[work.bias]
    # the weight is its own master, unless the master is in pieces
    own_master = work.width == FLOAT and not work.optimizer_on_cpu and work.ranks == 1
    on_device = 0 if work.optimizer_on_cpu else 1
    gone = pieces.elsewhere(work, pieces.of_policy(work))
    return {
        "weights": weights - gone + (adapter if work.lora_rank else 0),
        "bias model": bias,
        "float32 master": 0 if own_master else on_device * trained * FLOAT,
        "moments": on_device * trained * work.moment_bytes,
    }


def bias_weights(work: Workload) -> int:
    """Bytes of a bias model of its own."""
    return sum(parameters(work.bias_shape or work.shape).values()) * work.width


def gradient_bytes(work: Workload) -> int:
    """Summed gradients: float32, and on the CPU where the masters are."""
    return 0 if work.optimizer_on_cpu else trained_parameters(work) * FLOAT // work.ranks


def layer_saved(work: Workload) -> int:
    """Bytes one language layer keeps for its backward pass."""
    attention, mlp = _attention_saved(work), _mlp_saved(work)
    return attention + mlp


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
    keys = _segment_keys(work) if work.checkpointing else 2 * kv * b * tokens
    lora = 4 * b * work.lora_rank * tokens
    return norm + states + keys + lora


def _segment_keys(work: Workload) -> int:
    """Keys and values with the prefix's before every segment's own."""
    kv = work.shape.kv_heads * work.shape.head_dim
    return 2 * work.width * kv * work.generations * (work.prompt - 1 + work.completion)


def _mask(work: Workload) -> int:
    """What segments may not see, once for all layers."""
    repeats = work.shape.heads // work.shape.kv_heads
    return work.width * repeats * work.completion * (work.prompt - 1 + work.completion)


def _mlp_saved(work: Workload) -> int:
    shape, b, tokens = work.shape, work.width, work.packed
    norm = tokens * _norm_saved(work, shape.hidden, trains=not work.lora_rank)
    return norm + tokens * (4 * b * shape.intermediate + 3 * b * work.lora_rank)


def _mlp_backward(work: Workload) -> int:
    """On top of what is saved: gradients of the output and of both factors of the product."""
    return work.packed * work.width * (2 * work.shape.hidden + 2 * work.shape.intermediate)


def _attention_backward(work: Workload) -> int:
    return _segment_keys(work) + 5 * work.width * work.shape.attention * work.packed


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


def _block_backward(work: Workload) -> int:
    assert work.grid is not None
    one = work.shape.vision
    return work.grid.patches * work.width * 2 * (one.hidden + one.intermediate)


def _tower_saved(work: Workload) -> int:
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


def _language_saved(work: Workload) -> int:
    """All layers, the last norm, and the completions' hidden states gathered from it."""
    shape, b, tokens = work.shape, work.width, work.packed
    layer = b * shape.hidden * tokens if work.checkpointing else layer_saved(work)
    last = tokens * _norm_saved(work, shape.hidden, trains=not work.lora_rank)
    gathered = b * shape.hidden * work.generations * work.completion
    rotary = 2 * b * shape.head_dim * tokens
    return shape.layers * layer + last + gathered + rotary + _mask(work)


def _inference(work: Workload, tokens: int) -> int:
    """One layer without a graph, at its widest."""
    d, i, b = work.shape.hidden, work.shape.intermediate, work.width
    copies = _segment_keys(work) + _mask(work) if tokens == work.packed else 0
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


def rollout_bytes(work: Workload) -> dict[str, int]:
    """The cache of keys and values, the adapter's merged copy, and what decoding adds."""
    shape, b = work.shape, work.width
    prompts = min(work.prompts, work.at_once or work.prompts)
    rows = prompts * work.generations
    token = 2 * shape.layers * b * shape.kv_heads * shape.head_dim
    prefixes, suffixes = prompts * work.prompt * token, rows * work.completion * token
    pages = prompts * _paged(work.prompt) + rows * _paged(work.completion)
    turns = 4 * b * rows * work.completion * shape.head_dim
    # a layer at a time goes to pages in three copies
    cache = max(pages * token, prefixes + suffixes) + 3 * pages * token // shape.layers + turns
    prefill = _inference(work, max(work.prompt, min(prompts * work.prompt, TOGETHER)))
    draw = rows * shape.vocab * (b + 3 * FLOAT)
    merged = b * linear_parameters(shape) if work.lora_rank and work.merges else 0
    # else the layers' matrices side by side, one after the other
    joined = 2 * b * shape.hidden * shape.intermediate
    # before the cache is whole: prefixes as computed, and stacked
    peak = max(cache + draw, prefixes + prefill, 2 * prefixes, joined)
    found = {"rollout cache": cache, "decoding": peak - cache}
    return found | ({"merged adapter": merged} if merged else {})


def _paged(length: int) -> int:
    """Keys that fit the pages which hold `length`."""
    return -(-length // PAGE) * PAGE


def linear_parameters(shape: Shape) -> int:
    """Weights of the language model's linear maps, the head apart."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    return shape.layers * shape.hidden * (2 * queries + 2 * keys + 3 * shape.intermediate)


def _videos(work: Workload) -> int:
    if work.grid is None or work.tower_trains:
        return 0
    one = work.shape.vision
    kept = (1 + one.deepstack) * work.grid.patches // one.merge**2
    return min(VIDEOS, work.videos) * kept * work.shape.hidden * work.width


def moments(work: Workload) -> dict[str, dict[str, int]]:
    """Bytes by part at every moment of a step that can be its peak."""
    always = resident(work) | {"videos kept": _videos(work)}
    graph = _language_saved(work) + _tower_saved(work)
    early = gradient_bytes(work) if work.prompts > 1 else 0  # a step's first group left them
    passing = pieces.gathered(work, pieces.layer(work))
    whole = pieces.elsewhere(work, pieces.of_policy(work))
    found: dict[str, dict[str, int]] = {
        "rollout": rollout_bytes(work) | {"gathered": whole},
        "head": {"gradients": early, "activations": graph, "logits chunk": head_bytes(work)},
        "update": {
            "gradients": gradient_bytes(work),
            "optimizer transients": transients(work),
            "gathered": pieces.renewed(work),
        },
        # tensors pass to main memory one by one, weights file by file
        "save": {"gathered": whole, "one tensor": pieces.one_tensor(work, largest(work))},
    }
    if work.bias != "none":
        found["bias model"] = {
            "bias model": bias_weights(work) if work.bias == "offloaded" else always["bias model"],
            "gradients": early,
            "activations": _inference(work, work.packed),
            "gathered": passing,
        }
    found |= _backward(work, early)
    return {name: always | parts for name, parts in found.items()}


def _backward(work: Workload, early: int) -> dict[str, dict[str, int]]:
    """Beginning and end of both backward passes: activations shrink while gradients grow."""
    if work.ranks > 1:
        return _sharded_backward(work, early)
    shape, all_gradients = work.shape, gradient_bytes(work)
    tower = parameters(shape)["vision"] * FLOAT if work.tower_trains and all_gradients else 0
    table = 0 if work.lora_rank else shape.vocab * shape.hidden * work.width
    waiting = table if shape.tied else 0  # the head's gradient, until the embedding's joins it
    layer, block = layer_saved(work), block_saved(work) if work.tower_trains else 0
    last = layer if work.checkpointing else 0
    widest = max(_mlp_backward(work), _attention_backward(work) - _mlp_saved(work))
    language, seen = _language_saved(work), _tower_saved(work)
    before_tower = max(early, all_gradients - tower)
    own = parameters(shape)["language"] // shape.layers * FLOAT if before_tower > early else 0
    joined = max(3 * table if shape.tied else table, table and table // work.width * 6)
    found = {
        "language backward": {
            "gradients": early + waiting,
            "activations": language + seen + last + widest,
        },
        "first layer": {
            "gradients": max(early, before_tower - own) + waiting,
            "activations": seen + layer + widest,
        },
        "embedding": {"gradients": before_tower + joined, "activations": seen},
    }
    if work.tower_trains:
        last, widest = block if work.checkpointing else 0, _block_backward(work)
        found["vision backward"] = {
            "gradients": before_tower,
            "activations": seen + last + widest,
        }
        found["first block"] = {"gradients": all_gradients, "activations": block + widest}
    return found


def _sharded_backward(work: Workload, early: int) -> dict[str, dict[str, int]]:
    """Several processes: a layer's gradients are summed over them as soon as they are there."""
    shape, every = work.shape, gradient_bytes(work)
    table = 0 if work.lora_rank else shape.vocab * shape.hidden * work.width
    tower = pieces.blocks(work) * FLOAT // work.ranks if every else 0
    layer, block = layer_saved(work), block_saved(work) if work.tower_trains else 0
    again = work.checkpointing
    widest = max(_mlp_backward(work), _attention_backward(work) - _mlp_saved(work))
    language, seen = _language_saved(work), _tower_saved(work)
    rest = pieces.rest(work)
    before_tower = max(early, every - tower - rest * FLOAT // work.ranks)
    unit = pieces.layer(work)
    found = {
        "language backward": {
            "gradients": early + table,
            "activations": language + seen + (layer if again else 0) + widest,
            "gathered": pieces.gathered(work, unit),
            "reduced": pieces.reduced(work, unit),
        },
        "first layer": {
            "gradients": before_tower + table,
            "activations": seen + layer + widest,
            "gathered": pieces.gathered(work, unit, ahead=False),
            "reduced": pieces.reduced(work, unit),
        },
        "last reduction": {"gradients": every, "reduced": rest * (work.width + FLOAT)},
    }
    if work.tower_trains:
        found["vision backward"] = {
            "gradients": before_tower + table,
            "activations": seen + (block if again else 0) + _block_backward(work),
            "gathered": pieces.gathered(work, pieces.block(work)),
            "reduced": pieces.reduced(work, pieces.block(work)),
        }
    return found


def largest(work: Workload) -> int:
    """Values of the largest tensor that trains."""
    shape = work.shape
    if work.lora_rank:
        return work.lora_rank * max(shape.hidden, shape.intermediate)
    return max(shape.vocab, shape.intermediate) * shape.hidden


def saving_bytes(work: Workload) -> int:
    """Main memory a checkpoint or the final save takes: one file of weights, or one master."""
    weights = 0 if work.lora_rank else sum(parameters(work.shape).values()) * work.width
    return max(min(SHARD, weights), FLOAT * largest(work))


def transients(work: Workload) -> int:
    """What the update makes for one tensor at a time: nothing in the fused kernel."""
    return 0 if work.fused_update else 2 * FLOAT * largest(work) // work.ranks


def peak(work: Workload) -> tuple[str, dict[str, int]]:
    """The moment that needs most, and its parts in bytes."""
    found = moments(work)
    name = max(found, key=lambda moment: sum(found[moment].values()))
    return name, found[name]
