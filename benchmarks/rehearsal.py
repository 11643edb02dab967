"""A CDPO step rehearsed without its numbers: the peak of its memory and its operations, no GPU.

    python benchmarks/rehearsal.py --out OUT [--layers 2] [--measured gpu_step.json]

The code that trains runs as it is, at the published 3B shape and full depth. Tensors of floating
point have a shape, a type and a size, but no content (torch's FakeTensor); whole numbers and masks,
which decide where the code goes, are real. Held against the hand count of `planning.memory` and,
where `gpu_step.py` has left its file, against what a GPU needed. `--layers` cuts decoder and tower:
peaks grow linearly in it.

What differs from a GPU: sdpa is the CPU's flash kernel, which keeps what the GPU's keeps (output
and normaliser); there is no CUDA graph, and every decoding step half of the rows end.
"""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from gpu_counts import workload
from gpu_naive import GENERATIONS
from gpu_shapes import HEIGHT, THREE, WIDTH, Case, official, synthetic_prompt
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils.flop_counter import flop_registry

from videothinker.algorithms.base import Objective
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.generation.base import Sampling
from videothinker.generation.shared_prefix import generate
from videothinker.models.base import Group
from videothinker.models.catalog import read_shape
from videothinker.models.qwen2_5_vl.model import Qwen25VL
from videothinker.models.qwen_vl.policy import install
from videothinker.models.qwen_vl.videos import VisionSettings
from videothinker.models.shapes import Grid, step_flops
from videothinker.planning.live_bytes import LiveBytes
from videothinker.planning.memory import moments
from videothinker.training.adapters import add_adapter
from videothinker.training.optimizer import MasterAdamW
from videothinker.training.step import Bias, accumulate_gradients

CPU, END = torch.device("cpu"), 1
ITEM = torch.ops.aten._local_scalar_dense.default  # noqa: SLF001

aten = torch.ops.aten
GPU_KERNELS = {
    aten._scaled_dot_product_flash_attention_for_cpu: aten._scaled_dot_product_flash_attention,  # noqa: SLF001
    aten._scaled_dot_product_flash_attention_for_cpu_backward: (  # noqa: SLF001
        aten._scaled_dot_product_flash_attention_backward  # noqa: SLF001
    ),
}
"""torch counts operations under these names alone."""


class Rehearsal(LiveBytes):
    """Inside, floats are weightless and the rest is real; see the module."""

    operations = 0
    """torch's count of products and attentions, twice the multiply-adds; causal ones whole."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operation."""
        if func is ITEM and is_fake(args[0]):
            return 1.0
        if func is torch.ops.aten.index.Tensor and is_fake(args[0]):
            args = (args[0], [place for one in args[1] for place in places(one)])
        out = func(*args, **(kwargs or {}))
        kind = func.overloadpacket
        if count := flop_registry.get(GPU_KERNELS.get(kind, kind)):
            self.operations += count(*args, **(kwargs or {}), out_val=out)
        several = isinstance(out, (list, tuple))
        made = [decided(one) for one in out] if several else decided(out)
        for one in made if several else [made]:
            if isinstance(one, Tensor):
                self._see(one)
        return type(out)(made) if several else made

    def lap(self) -> int:
        """The peak since the last lap."""
        peak, self.peak = self.peak, self.now
        return peak


def is_fake(value: Any) -> bool:
    return isinstance(value, FakeTensor)


def places(index: Tensor | None) -> tuple[Tensor | None, ...]:
    """A mask as the places where it is true: how many there are is known here."""
    masks = index is not None and index.dtype == torch.bool
    return index.nonzero(as_tuple=True) if masks and index is not None else (index,)


def decided(value: Any) -> Any:
    """Whole numbers that follow from weightless ones: every other drawn token ends its row."""
    if not is_fake(value) or value.dtype.is_floating_point:
        return value
    if value.dtype == torch.bool:
        return torch.ones(value.shape, dtype=torch.bool)
    drawn = torch.arange(1, value.numel() + 1) % 2 * END
    return drawn.view(value.shape).to(value.dtype)


@contextmanager
def weightless() -> Iterator[None]:
    """Inside, what is made is in bfloat16 and has no content."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            yield
    finally:
        torch.set_default_dtype(usual)


def build(config: Any) -> Qwen25VL:
    """A model without weights, attending as on a GPU."""
    with weightless():
        model: Any = transformers.Qwen2_5_VLForConditionalGeneration(deepcopy(config))
    model.eval().requires_grad_(requires_grad=False)
    install(model, torch.device("cuda"))
    model.generation_config.eos_token_id = [END]
    words = SimpleNamespace(pad_token_id=0, eos_token_id=END)
    vision = VisionSettings(14, 2, 2, (0.5,) * 3, (0.5,) * 3, 1, 1)
    return Qwen25VL(model=model, tokenizer=words, vision=vision)


def make_fake(model: nn.Module, mode: FakeTensorMode) -> None:
    """Give the parameters and buffers of a model on the meta device a place on the CPU."""
    for module in model.modules():
        for name, own in list(module.named_parameters(recurse=False)):
            if not is_fake(own):
                fake = FakeTensor(mode, own.data, CPU)
                setattr(module, name, nn.Parameter(fake, requires_grad=own.requires_grad))
        for name, kept in list(module.named_buffers(recurse=False)):
            setattr(module, name, kept if is_fake(kept) else FakeTensor(mode, kept, CPU))
    model.tie_weights()  # pyright: ignore[reportCallIssue]


def models(case: Case, config: Any, mode: FakeTensorMode) -> tuple[Qwen25VL, Qwen25VL]:
    """The policy and its bias model, as in `gpu_sides.Setting`."""
    policy = build(config)
    frozen = policy if case.lora else build(config)
    if case.lora:
        given = CdpoConfig(model="m", out=Path("o"), bias="b", lora_rank=64, lora_alpha=128)
        with weightless():
            add_adapter(policy, given)
        policy.merges = True
    else:
        policy.model.requires_grad_(requires_grad=True)
    make_fake(policy.model, mode)
    make_fake(frozen.model, mode)
    policy.enable_gradient_checkpointing()
    return policy, frozen


def optimizer_of(policy: Qwen25VL, case: Case) -> MasterAdamW | None:
    """With moments as after a first step, one kernel an update; null where it is on the CPU."""
    named = [(name, p) for name, p in policy.model.named_parameters() if p.requires_grad]
    if case.optimizer_on_cpu:
        for _, parameter in named:  # a gradient leaves as soon as it is there
            parameter.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None))
        return None
    optimizer = MasterAdamW(named, lr=1e-6, weight_decay=0.0)
    optimizer.adam = torch.optim.AdamW(list(optimizer.masters.values()), lr=1e-6, fused=True)
    optimizer.gradients()
    optimizer.step(1e-6)
    optimizer.zero()
    return optimizer


def rehearse(case: Case, config: Any) -> tuple[dict[str, int], float]:
    """Peak bytes by phase, and the operations of all but the rollout; completions are full."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    policy, frozen = models(case, config, mode)
    prompts = [synthetic_prompt(config, case.frames, seed) for seed in range(case.prompts)]
    present = [*policy.model.parameters(), *frozen.model.parameters(), *policy.model.buffers()]
    peaks: dict[str, int] = {}
    with Rehearsal(present) as live:
        optimizer = optimizer_of(policy, case)
        live.lap()
        sampling = Sampling(num_generations=GENERATIONS, max_completion_length=case.length)
        generate(policy, prompts, sampling, list(range(case.prompts)), static=True)
        peaks["rollout"] = live.lap()
        ids_GC = torch.zeros(GENERATIONS, case.length, dtype=torch.long)
        mask_GC = torch.ones_like(ids_GC, dtype=torch.bool)
        live.operations = 0
        accumulate_gradients(
            policy,
            Bias(frozen),
            [Group(prompt, ids_GC, mask_GC, mask_GC[:, 0]) for prompt in prompts],
            [torch.linspace(-1, 1, GENERATIONS)] * case.prompts,
            Objective(divergence="k3", repulsion=0.01),
            completions=GENERATIONS * case.prompts,
            tokens=ids_GC.numel() * case.prompts,
        )
        operations = live.operations
        peaks["gradients"] = live.lap()
        if optimizer is not None:
            optimizer.gradients()
            optimizer.clip(20.0)
            optimizer.step(1e-6)
        peaks["update"] = live.lap()
    return peaks, float(operations)


def compare(case: Case, config: Any, measured: int | None) -> dict[str, Any]:
    """One row."""
    started = time.process_time()
    peaks, operations = rehearse(case, config)
    shape, grid = read_shape(config.to_dict()), Grid(case.frames // 2, HEIGHT, WIDTH)
    prompt = synthetic_prompt(config, case.frames, 0).prompt_tokens
    counted = moments(workload(shape, grid, case, prompt))
    flops = step_flops(
        *(shape, grid, prompt, GENERATIONS, case.length),
        shared=True,
        freeze_vision=case.lora,
        adapters=case.lora,
    )
    return {
        "case": vars(case),
        "peaks": peaks,
        "rehearsed": max(peaks.values()),
        "counted": max(sum(parts.values()) for parts in counted.values()),
        "measured": measured,
        "operations": operations,
        "operations_counted": case.prompts * (sum(flops.values()) - flops["rollout"]),
        "cpu_seconds": time.process_time() - started,
    }


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--measured", type=Path)
    parser.add_argument("--rows", type=int, nargs="*", default=range(5), help="0 to 4")
    arguments = parser.parse_args(words)
    config = official()
    if arguments.layers:
        config.vision_config.depth = config.text_config.num_hidden_layers = arguments.layers
        config.text_config.layer_types = config.text_config.layer_types[: arguments.layers]
    kinds = [
        Case(256, 2),
        Case(256, 1),
        Case(256, 2, optimizer_on_cpu=True),
        Case(256, 2, lora=True),
        Case(512, 2, lora=True),
    ]
    found: dict[tuple[Any, ...], int] = {}
    if arguments.measured:
        for row in json.loads(arguments.measured.read_text())["rows"]:
            case = Case(**row["case"])
            if case.model == THREE and "ours" in row["peak_bytes"]:
                found[key(case)] = row["peak_bytes"]["ours"]
    rows: list[dict[str, Any]] = []
    for case in [kinds[number] for number in arguments.rows]:
        rows.append(compare(case, config, None if arguments.layers else found.get(key(case))))
        row = rows[-1]
        sizes = [row[name] for name in ("rehearsed", "counted", "measured")]
        told = ["-" if size is None else f"{size / 2**30:.2f}" for size in sizes]
        print(
            f"{key(case)}: rehearsed {told[0]}, counted {told[1]}, measured {told[2]} GiB; "
            f"operations {row['operations']:.3e}, counted {row['operations_counted']:.3e}; "
            f"{row['cpu_seconds']:.1f} CPU-seconds",
            flush=True,
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "rehearsal.json").write_text(json.dumps(rows, indent=1) + "\n")


def key(case: Case) -> tuple[Any, ...]:
    return (case.length, case.prompts, case.lora, case.optimizer_on_cpu)


if __name__ == "__main__":
    main()
