"""Bytes a training step needs, counted from shapes: what lies in memory at each of its moments.

Counted by hand and held against real steps: a rehearsal of the step without its numbers
(`benchmarks/rehearsal.py`) is as exact, but takes seconds a plan where this takes none. The count
is of tensors, as `torch.cuda.max_memory_allocated` sees them;
a kernel's inner workspace, the CUDA context and the allocator's gaps come on top (see `plan`).
Letters: L tokens of the packed sequence, D hidden, I intermediate, V vocabulary, b bytes a value.
"""

from videothinker.generation.pages import PAGE
from videothinker.generation.shared_prefix import TOGETHER
from videothinker.models.loaded import SHARD
from videothinker.models.shapes import layer_parameters, parameters
from videothinker.models.videos import KEPT
from videothinker.planning import pieces
from videothinker.planning.activations import (
    attention_backward,
    block_backward,
    block_saved,
    head_bytes,
    inference_bytes,
    language_saved,
    layer_saved,
    mlp_backward,
    mlp_saved,
    tower_saved,
)
from videothinker.planning.workload import (
    FLOAT,
    Workload,
    adapter_parameters,
    largest,
    linear_parameters,
    trained_parameters,
)


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


def rollout_bytes(work: Workload) -> dict[str, int]:
    """The cache of keys and values, the adapter's merged copy, and what decoding adds."""
    shape, b = work.shape, work.width
    prompts = min(work.prompts, work.at_once or work.prompts)
    rows = prompts * work.generations
    token = 2 * shape.layers * b * shape.kv_heads * shape.head_dim
    prefixes, suffixes = prompts * work.prompt * token, rows * work.completion * token
    pages = prompts * _paged(work.prompt) + rows * _paged(work.completion)
    rotations = 4 * b * rows * work.completion * shape.head_dim
    # a layer at a time goes to pages in three copies
    cache = max(pages * token, prefixes + suffixes) + 3 * pages * token // shape.layers + rotations
    prefill = inference_bytes(work, max(work.prompt, min(prompts * work.prompt, TOGETHER)))
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


def _videos(work: Workload) -> int:
    if work.grid is None or work.tower_trains:
        return 0
    one = work.shape.vision
    kept = (1 + one.deepstack) * work.grid.patches // one.merge**2
    return min(KEPT, work.videos) * kept * work.shape.hidden * work.width


def moments(work: Workload) -> dict[str, dict[str, int]]:
    """Bytes by part at every moment of a step that can be its peak."""
    always = resident(work) | {"videos kept": _videos(work)}
    graph = language_saved(work) + tower_saved(work)
    early = gradient_bytes(work) if work.prompts > 1 else 0  # a step's first group left them
    passing = pieces.gathered(work, layer_parameters(work.shape))
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
            "activations": inference_bytes(work, work.packed),
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
    widest = max(mlp_backward(work), attention_backward(work) - mlp_saved(work))
    language, seen = language_saved(work), tower_saved(work)
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
        last, widest = block if work.checkpointing else 0, block_backward(work)
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
    widest = max(mlp_backward(work), attention_backward(work) - mlp_saved(work))
    language, seen = language_saved(work), tower_saved(work)
    rest = pieces.rest(work)
    before_tower = max(early, every - tower - rest * FLOAT // work.ranks)
    unit = layer_parameters(shape)
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
            "activations": seen + (block if again else 0) + block_backward(work),
            "gathered": pieces.gathered(work, pieces.block(work)),
            "reduced": pieces.reduced(work, pieces.block(work)),
        }
    return found


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
