"""Kernels and bytes of one decoding step, and what a training step launches beside those, counted.

    python benchmarks/gpu_launches.py [--out FILE]

Without a GPU. A kernel is an operation of torch that computes: what only looks at a tensor in
another way counts nothing. What stands between two products is a function each, and inductor says
of how many kernels it would make it: its own schedule for triton, stopped before code is written,
so that neither a GPU nor triton is needed. Counts depend on no size, so a small model of the same
architecture gives them; bytes are those of the published 3B shape. Milliseconds take a GPU
(`gpu_step.py`).
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))  # where it is not installed

import gpu_sides
from gpu_naive import GENERATIONS
from gpu_shapes import CONFIGS, Case, official, synthetic_prompt, tiny
from gpu_sides import build

from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.generation import shared_prefix
from videothinker.generation.base import Sampling
from videothinker.generation.decoder import Heads
from videothinker.generation.graphs import Fuse, as_it_is
from videothinker.generation.pages import PAGE
from videothinker.models.catalog import read_shape
from videothinker.models.qwen_vl.policy import install
from videothinker.models.shapes import Shape, parameters
from videothinker.training.adapters import add_adapter
from videothinker.training.optimizer import adamw

FREE = ("aten::detach", "aten::_unsafe_view", "aten::_reshape_alias", "aten::lift_fresh")
BEFORE = {"full": (54, 57), "LoRA": (82, 57)}
"""Kernels a layer and beside the layers at commit 8ac1dcd, by the same count; a profile of 8d04b93
on an H200 has 2,070 (full) and 3,114 (LoRA) a step of 36 layers, 57 and 86 a layer."""
PARTS = {"_prefill": "prompts", "_roll_out": "rollout"}
"""Functions of a rollout, each with what it does."""
SIZES = ((2, 2), (3, 2), (2, 3))
"""Layers and blocks of small models, from whose counts those of 36 and 32 follow."""
LENGTHS = (4, 5)
"""A step is what the longer completion has more."""
FAMILY, *OTHERS = CONFIGS
"""Qwen2.5-VL, then the engine's other families."""
KEPT: dict[str, int] = {}
"""Function and its sizes -> kernels."""


class Counted(Exception):
    """Stops the compiler."""


class Launches(TorchDispatchMode):
    """Inside, operations that compute are counted by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.muted = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operation."""
        schema = func._schema  # noqa: SLF001
        effects = [arg.alias_info for arg in schema.arguments if arg.alias_info is not None]
        views = bool(effects) and not any(one.is_write for one in effects)
        if not (self.muted or views or "empty" in schema.name or schema.name in FREE):
            self.counts[schema.name] += 1
        return func(*args, **(kwargs or {}))

    def fuse(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted as what the compiler would make of it."""

        def run(*given: Any) -> Any:
            with _disable_current_modes():
                kernels = scheduled(function, given)
                out = function(*given)
            self.counts[f"fused {function.__name__}"] += kernels
            return out

        return run


def scheduled(function: Callable[..., Any], given: Sequence[Any]) -> int:
    """How many kernels inductor schedules for `function(*given)`, which is not run."""
    forms = [_form(one) for one in tree_leaves(given)]
    key = f"{function.__qualname__} {forms}"
    if key not in KEPT:
        KEPT[key] = _schedule(function, given)
    return KEPT[key]


def _form(given: Any) -> Any:
    """What the compiler sees of an argument: sizes, and whether a family norms its heads."""
    if isinstance(given, Tensor):
        return tuple(given.shape), given.dtype
    return given.query_norm_d is not None if isinstance(given, Heads) else type(given)


def _schedule(function: Callable[..., Any], given: Sequence[Any]) -> int:
    from torch._inductor import config, exc  # noqa: PLC0415 (a second, for this alone)

    found: list[int] = []

    def note(nodes: list[Any]) -> list[Any]:
        found.append(sum(not type(node).__name__.startswith("Nop") for node in nodes))
        raise Counted

    torch._dynamo.reset()  # noqa: SLF001
    triton = {"cpu_backend": "triton", "fx_graph_cache": False, "_post_fusion_custom_pass": note}
    with config.patch(triton), suppress(exc.InductorError):
        torch.compile(function, fullgraph=True, dynamic=False)(*given)
    torch._dynamo.reset()  # noqa: SLF001
    (kernels,) = found
    return kernels


@contextmanager
def fused_by(fuse: Fuse) -> Iterator[None]:
    """Inside, rollouts fuse their functions so."""
    with mock.patch.object(shared_prefix, "fuse_on", return_value=fuse):
        yield


def count(layers: int, family: str, *, lora: bool, fused: bool) -> Counter[str]:
    """Kernels of one step of a small model with fixed shapes."""
    policy, prompts = _small(_config(layers, 2, family), lora=lora)
    shared_prefix.generate(policy, prompts, Sampling(GENERATIONS, 1), [0, 1])  # videos are seen
    taken = []
    for length in LENGTHS:
        with Launches() as launches, fused_by(launches.fuse if fused else as_it_is):
            shared_prefix.generate(
                policy, prompts, Sampling(GENERATIONS, length), [0, 1], static=True
            )
        taken.append(launches.counts)
    taken[1].subtract(taken[0])
    return +taken[1]


def _small(config: Any, *, lora: bool) -> tuple[Any, list[Any]]:
    """A model, its adapter merged in rollouts where it has one, and two prompts with videos."""
    policy = build(config, torch.device("cpu"), 0)
    if lora:
        add_adapter(policy, CdpoConfig(model="m", out=Path("o"), bias="b", lora_rank=8))
        policy.merges = True
    return policy, [synthetic_prompt(config, 2, seed) for seed in range(2)]


def _config(layers: int, depth: int, family: str = FAMILY) -> Any:
    config = tiny(family)
    config.text_config.num_hidden_layers = layers
    config.text_config.layer_types = ["full_attention"] * layers
    config.vision_config.depth = depth
    return config


def table(*, lora: bool, fused: bool, family: str = FAMILY) -> dict[str, Any]:
    """Kernels a layer and beside the layers, by name."""
    few, more = (count(layers, family, lora=lora, fused=fused) for layers in (2, 3))
    layer = more.copy()
    layer.subtract(few)
    beside = few.copy()
    beside.subtract({name: 2 * number for name, number in layer.items()})
    return {"layer": dict(+layer), "beside": dict(+beside)}


def beside_steps(*, lora: bool) -> dict[str, int]:
    """Operations that a rollout of two prompts launches one by one outside of its decoding steps.

    At 36 layers and 32 blocks, each block counted as one with windows. Recording a graph, and the
    steps before it, come on top.
    """
    few, layer, block = (parts(*sizes, lora=lora) for sizes in SIZES)
    whole = _at_size(few, layer, block)
    towers = 32 * (block["prompts"] - few["prompts"])
    return {
        "towers": towers,
        "prompts": whole["prompts"] - towers,
        "weights, pages, draws": whole["rollout"] - whole["prompts"],
    }


def _at_size(few: Counter[str], layer: Counter[str], block: Counter[str]) -> dict[str, int]:
    """Counts of 36 layers and 32 blocks from those of models of `SIZES`."""
    return {part: layer[part] * 34 + block[part] * 30 - few[part] * 63 for part in few}


def parts(layers: int, depth: int, family: str = FAMILY, *, lora: bool = False) -> Counter[str]:
    """Operations by part, of a small model that draws one token, which takes no step."""
    policy, prompts = _small(_config(layers, depth, family), lora=lora)
    install(policy.model, torch.device("cuda"))  # the tower attends as it does there
    found: Counter[str] = Counter()

    def counted(name: str) -> Any:
        function = getattr(shared_prefix, name)

        def run(*given: Any, **named: Any) -> Any:
            before = launches.counts.total()
            out = function(*given, **named)
            found[PARTS[name]] += launches.counts.total() - before
            return out

        return run

    wrapped = {name: counted(name) for name in PARTS}
    with mock.patch.multiple(shared_prefix, **wrapped), Launches() as launches:
        shared_prefix.generate(policy, prompts, Sampling(GENERATIONS, 1), [0, 1], static=True)
    return found


def training(*, lora: bool, keeps: bool = False) -> dict[str, dict[str, int]]:
    """Operations that the rest of a training step on two prompts launches one by one, by phase and
    name; at 36 layers and 32 blocks. Activations are made again in the backward unless it `keeps`.
    """
    few, layer, block = (_phases(*sizes, lora=lora, keeps=keeps) for sizes in SIZES)
    return {phase: _at_size(few[phase], layer[phase], block[phase]) for phase in few}


def _phases(layers: int, depth: int, *, lora: bool, keeps: bool) -> dict[str, Counter[str]]:
    """Operations of a small model's step, by phase and name."""
    config = _config(layers, depth)
    prompts = [synthetic_prompt(config, 2, seed) for seed in range(2)]
    setting = gpu_sides.Setting(Case(4, 2, lora=lora, keeps=keeps), config, torch.device("cpu"))
    for policy in (setting.policy, setting.bias.policy):
        install(policy.model, torch.device("cuda"))
    optimizer = setting.optimizer
    optimizer.adam = adamw(optimizer.masters.values(), lr=1e-6, weight_decay=0.0, fused=True)
    found: dict[str, Counter[str]] = {}

    class Counts(gpu_sides.Clock):
        """Launches by phase in the place of seconds."""

        def lap(self, phase: str) -> None:
            """What was launched since the last lap."""
            found.setdefault(phase, Counter()).update(launches.counts)
            launches.counts.clear()

    gpu_sides.shared_step(setting, prompts, 4, static=False)  # AdamW's first update makes moments
    with mock.patch.object(gpu_sides, "Clock", Counts), Launches() as launches:
        gpu_sides.shared_step(setting, prompts, 4, static=False)
    del found["rollout"]
    return found


def step_bytes(shape: Shape, prompt: int, prompts: int, length: int) -> dict[str, int]:
    """Bytes a step reads at half of its completions, and the least it could; bfloat16."""
    token = 2 * 2 * shape.layers * shape.kv_heads * shape.head_dim
    rows, pages = prompts * GENERATIONS, -(-prompt // PAGE)
    own = -(-length // PAGE)
    counts = parameters(shape)
    queries = 2 * 2 * shape.layers * shape.heads * shape.head_dim * rows * (pages + own)
    return {
        "weights": 2 * (sum(counts.values()) - counts["vision"]),
        "keys and values": token * PAGE * (prompts * pages + rows * own),
        "least keys and values": token * (prompts * prompt + rows * length // 2),
        "queries and means of every page": 2 * queries,  # written and read
    }


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(words)
    shape = read_shape(official().to_dict())
    result: dict[str, Any] = {
        "benchmark": "gpu_launches",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "kernels": {},
    }
    print("kernels          a layer  beside  a step of 36 layers")
    for kind, lora in (("full", False), ("LoRA", True)):
        was, beside = BEFORE[kind]
        print(f"{kind}, 8ac1dcd     {was:7d}  {beside:6d}  {was * shape.layers + beside:6d}")
        for name, fused in (("fused", True), ("not fused", False)):
            found = table(lora=lora, fused=fused)
            result["kernels"][f"{kind}, {name}"] = found
            one, other = (sum(part.values()) for part in found.values())
            print(f"{kind + ', ' + name:16} {one:7d}  {other:6d}  {one * shape.layers + other:6d}")
        result.setdefault("beside the steps", {})[kind] = beside_steps(lora=lora)
        told = ", ".join(f"{part} {n}" for part, n in result["beside the steps"][kind].items())
        print(f"{kind}, a rollout of two prompts beside its steps: {told}")
        for keeps, what in ((False, ""), (True, ", activations kept")):
            phases = training(lora=lora, keeps=keeps)
            result.setdefault("training", {})[f"{kind}{what}"] = phases
            told = ", ".join(f"{phase} {sum(names.values())}" for phase, names in phases.items())
            print(f"{kind}{what}, the rest of a step on two prompts: {told}")
    for family in OTHERS:
        kernels, small = table(lora=False, fused=True, family=family), dict(parts(2, 2, family))
        result.setdefault("other families", {})[family] = {**kernels, "two layers": small}
        one, other = (sum(part.values()) for part in kernels.values())
        print(f"{family}, fused: {one} a layer, {other} beside; two layers and blocks: {small}")
    for size in ((1148, 2, 256), (1148, 4, 256), (1148, 1, 768)):
        found = step_bytes(shape, *size)
        result.setdefault("bytes", []).append({"case": size, **found})
        told = ", ".join(f"{name} {value / 1e9:.2f}" for name, value in found.items())
        print(f"prompt {size[0]}, {size[1]} prompts, C {size[2]}: GB a step: {told}")
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
