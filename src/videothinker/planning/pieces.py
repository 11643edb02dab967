"""Several processes: what of the weights lies elsewhere, and what passes between them in a step.

See `training.sharding`. Units (the decoder's layers, the tower's blocks where it trains) are
gathered and reduced one by one; the rest (embeddings, head, norms, merger) at the end.
"""

from videothinker.models.shapes import Shape, block_parameters, layer_parameters, parameters
from videothinker.planning.workload import FLOAT, Workload


def of_policy(work: Workload) -> int:
    """Bytes of weights that are cut where layers are."""
    layers = work.shape.layers * layer_parameters(work.shape)
    return work.width * (layers + blocks(work)) if work.by_layer else 0


def of_bias(work: Workload) -> int:
    """Of a bias model of its own; its tower is frozen and stays whole."""
    shape: Shape = work.bias_shape or work.shape
    cut = work.by_layer and work.bias == "model"
    return work.width * shape.layers * layer_parameters(shape) if cut else 0


def elsewhere(work: Workload, cut: int) -> int:
    """What the other processes hold of it."""
    return cut - cut // work.ranks


def blocks(work: Workload) -> int:
    """Weights of the tower's blocks, where it trains."""
    trains = not (work.freeze_vision or work.lora_rank)
    return work.shape.vision.depth * block_parameters(work.shape) if trains else 0


def rest(work: Workload) -> int:
    """Weights that train outside of all units."""
    if work.lora_rank:
        return 0
    counts = parameters(work.shape)
    tower = 0 if work.freeze_vision else counts["vision"] - blocks(work)
    return counts["embeddings"] + counts["head"] + work.shape.hidden + tower


def block(work: Workload) -> int:
    """Weights of one of the tower's blocks, where it trains."""
    return block_parameters(work.shape) if blocks(work) else 0


def gathered(work: Workload, unit: int, *, ahead: bool = True) -> int:
    """Bytes of units of so many weights while a pass gathers them: in use, and the one `ahead`."""
    return (1 + ahead) * work.width * unit if work.by_layer else 0


def renewed(work: Workload) -> int:
    """Bytes of a unit on its way to the weights that an update changed."""
    cut = work.ranks > 1 and not work.lora_rank and not work.by_layer
    return work.width * max(layer_parameters(work.shape), block(work)) if cut else 0


def reduced(work: Workload, unit: int) -> int:
    """Bytes of the last unit's gradients on their way, in float32, while the next one's come."""
    return 0 if work.lora_rank else FLOAT * unit


def one_tensor(work: Workload, values: int) -> int:
    """Bytes of the largest master while a checkpoint puts its pieces together."""
    return 0 if work.ranks == 1 or work.optimizer_on_cpu else values * FLOAT


def traffic(work: Workload, *, updates: int, trained: int) -> dict[str, int]:
    """Bytes that a process receives in a step.

    Args:
        work: its `prompts` are passed once an update.
        updates: optimisation steps a rollout.
        trained: weights that train.
    """
    if work.ranks == 1:
        return {}
    others, passes = (work.ranks - 1) / work.ranks, work.prompts * updates
    whole = of_policy(work)
    again = rest(work) if work.by_layer else trained  # what each update makes anew
    gathers = updates * again * work.width + whole  # and for the rollout
    gathers += passes * (2 * whole + of_bias(work))
    sums = passes * trained * FLOAT
    return {"weights gathered": round(others * gathers), "gradients summed": round(others * sums)}
