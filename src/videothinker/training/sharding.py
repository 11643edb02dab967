"""A policy whose masters, moments and gradients lie in pieces on several processes: torch's FSDP2.

FSDP acts where a module's forward is called, and the engine calls parts of a model, never its
forward. So the forward of a group becomes that of a small module around the model (`Pass`): it is
FSDP's root, and the model's layers are its units. Each process passes its own groups; gradients are
summed over processes a unit at a time while the backward goes on. That is why all processes make
as many backwards: who has fewer groups adds passes of weight zero (`idle_group`).

`states` keeps every process's weights whole, in the precision of the forward; `layers` cuts them as
well, and a pass gathers a layer as it comes to it. What a process does alone (draw completions,
save) it does inside `whole`, so processes need not agree on lengths.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
)
from torch.distributed.tensor import DTensor

from videothinker.algorithms.base import Shard, TrainConfig
from videothinker.models.base import Group
from videothinker.models.loaded import Policy
from videothinker.processes import Processes
from videothinker.training.optimizer import Optimizer, adamw, clipped
from videothinker.training.step import Bias


class Pass(nn.Module):
    """The forward of a group, as a module's own."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.model, self.of_group = policy.model, policy.hidden

    def forward(self, group: Group) -> Tensor:
        """See `loaded.Policy.hidden`; no view, on which FSDP's hook could be lost."""
        return self.of_group(group).clone()


@dataclass(eq=False)
class Shards:
    """A policy in pieces."""

    root: Any
    """The `Pass`, which keeps the weights outside of all units whole between passes."""
    units: Sequence[Any]
    """Layers of the decoder and blocks of the tower."""
    by_layer: bool
    pieces: dict[str, Any] = field(default_factory=dict)
    """Name -> this process's piece of every float32 master, a DTensor."""

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, this process has all weights, whatever the others do; all must come here."""
        if not self.by_layer:
            yield
            return
        for unit in self.units:
            unit.set_reshard_after_forward(False, recurse=False)
            unit.unshard()
        try:
            yield
        finally:
            for unit in self.units:
                unit.reshard()
                unit.set_reshard_after_forward(True, recurse=False)

    @property
    def held(self) -> list[Any]:
        """What is whole between passes."""
        return [self.root] if self.by_layer else [self.root, *self.units]

    def renew(self) -> None:
        """Give the forward's weights the values of the masters."""
        for module in self.held:
            module.reshard()
        for module in self.held:
            module.unshard()


def share(
    policy: Policy, bias: Bias | None, processes: Processes, config: TrainConfig, *, video: bool
) -> Shards:
    """Cut the policy into pieces as a run asks for, and of a bias model of its own the layers.

    Args:
        policy: the same in all processes.
        bias: an adapter lies in the policy's layers; one that is offloaded stays whole.
        processes: they share both.
        config: the run's settings.
        video: are the questions about videos?
    """
    on_cpu = config.optimizer_device == "cpu"
    shards = shard(policy, processes, config.shard, video=video, on_cpu=on_cpu)
    if config.shard == "layers" and type(bias) is Bias:
        shard(bias.policy, processes, "layers", video=video)
    return shards


def shard(
    policy: Policy, processes: Processes, how: Shard, *, video: bool, on_cpu: bool = False
) -> Shards:
    """Cut a policy into pieces; from here on `policy.hidden` gathers what it needs.

    A tower that does not train stays whole: each process looks at its own videos, once.

    Args:
        policy: the same in all processes; of what trains the masters become float32.
        processes: they share it.
        how: what is cut, beside masters, gradients and moments.
        video: are the questions about videos?
        on_cpu: masters, summed gradients and moments lie in main memory.
    """
    model, mesh = policy.model, init_device_mesh(processes.device.type, (processes.size,))
    units = _units(policy, by_layer=how == "layers")
    cut = {p for p in model.parameters() if p.requires_grad}
    if how == "layers":
        cut |= {p for unit in units for p in unit.parameters()}
    kept = tuple(model.state_dict())
    rules = _rules(policy, mesh, on_cpu=on_cpu)
    root: Any = Pass(policy)
    rules["ignored_params"] = set(model.parameters()) - cut
    for module in (*units, root):
        for param in module.parameters():
            if param.requires_grad and not isinstance(param, DTensor):
                param.data = param.data.float()
        fully_shard(module, reshard_after_forward=how == "layers" and module is not root, **rules)
    shards = Shards(root, units, how == "layers")
    shards.pieces = {n: p for n, p in model.named_parameters() if p.requires_grad}
    for module in (root, *units):
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(enable=True)
        module.set_reshard_after_backward(shards.by_layer and module is not root, recurse=False)
    # else torch fetches what came before in any forward, and processes differ in their rollouts
    for before, unit in zip([root, *units], units, strict=False):
        unit.set_modules_to_backward_prefetch([before])

    def state_dict() -> dict[str, Tensor]:
        """Of FSDP's modules torch gives pieces."""
        held = dict(model.named_parameters(remove_duplicate=False)) | dict(
            model.named_buffers(remove_duplicate=False)
        )
        return {name: held[name].detach() for name in kept}

    model.state_dict = state_dict
    policy.hidden = root  # pyright: ignore[reportAttributeAccessIssue] (a forward that gathers)
    with torch.no_grad():  # the first forward must be the root's
        policy.hidden(idle_group(policy, 1, video=video))
    shards.renew()
    return shards


def _units(policy: Policy, *, by_layer: bool) -> list[Any]:
    """What is gathered and reduced together, in the order of the forward.

    transformers names the classes that must not be split. What has nothing to train is left out,
    unless it is of the decoder and layers are cut.
    """
    model = policy.model
    decoder = set(model.get_decoder().modules())
    return [
        module
        for module in model.modules()
        if type(module).__name__ in model._no_split_modules  # noqa: SLF001 (as accelerate does)
        and (any(p.requires_grad for p in module.parameters()) or (by_layer and module in decoder))
    ]


def _rules(policy: Policy, mesh: DeviceMesh, *, on_cpu: bool) -> dict[str, Any]:
    offload = on_cpu and policy.device.type != "cpu"
    return {
        "mesh": mesh,
        "mp_policy": MixedPrecisionPolicy(
            param_dtype=policy.head_VD.dtype,
            reduce_dtype=torch.float32,
            cast_forward_inputs=False,
        ),
        "offload_policy": CPUOffloadPolicy() if offload else OffloadPolicy(),
    }


def idle_group(policy: Policy, generations: int, *, video: bool) -> Group:
    """A group of nobody's, as short as can be, for a pass of weight zero."""
    frames = np.zeros((2, 28, 28, 3), dtype=np.uint8)
    shown = policy.to_video(frames, 1.0, min_pixels=1) if video else None
    ids_G1 = torch.full((generations, 1), policy.eos_ids[0])
    return Group(
        prompt=policy.encode("", shown),
        completion_ids_GC=ids_G1,
        mask_GC=torch.ones_like(ids_G1, dtype=torch.bool),
        truncated_G=torch.zeros(generations, dtype=torch.bool),
    )


class ShardedAdamW(Optimizer):
    """AdamW on this process's pieces of the float32 masters; see `optimizer.MasterAdamW`.

    Args:
        shards: the policy in pieces.
        processes: they share it.
        lr: learning rate.
        weight_decay: decoupled decay.
    """

    def __init__(
        self, shards: Shards, processes: Processes, *, lr: float, weight_decay: float
    ) -> None:
        self.shards, self.processes = shards, processes
        self.masters = {
            name: piece.to_local().detach().requires_grad_()
            for name, piece in shards.pieces.items()
        }
        on_gpu = processes.device.type == "cuda"
        self.adam = adamw(self.masters.values(), lr=lr, weight_decay=weight_decay, fused=on_gpu)

    def zero(self) -> None:
        """Forget the gradients."""
        self.adam.zero_grad()
        for piece in self.shards.pieces.values():
            piece.grad = None

    def clip(self, max_norm: float) -> float:
        """Scale the gradients down to `max_norm` where they exceed it; their norm before that."""
        for name, piece in self.shards.pieces.items():
            master = self.masters[name]
            master.grad = (
                torch.zeros_like(master) if piece.grad is None else piece.grad.to_local().detach()
            )
        masters = list(self.masters.values())
        own = nn.utils.get_total_norm([m.grad for m in masters if m.grad is not None])
        square = (own.double() ** 2).to(self.processes.device)
        self.processes.add(square)
        return clipped(masters, max_norm, square.sqrt().to(own))

    def publish(self) -> None:
        """See `Shards.renew`."""
        self.shards.renew()

    def state(self) -> dict[str, Tensor]:
        """As `MasterAdamW.state`, of tensors in pieces, which `full_tensor` puts together."""
        flat: dict[str, Tensor] = {}
        for name, piece in self.shards.pieces.items():
            flat[f"{name}/master"] = piece.detach()
            for key, value in self.adam.state.get(self.masters[name], {}).items():
                flat[f"{name}/{key}"] = value if key == "step" else _as_piece(value, piece)
        return flat

    def placed(self, key: str, value: Tensor, master: Tensor) -> Tensor:
        """A copy, of a moment this process's rows."""
        return (value if key == "step" else self.own(value)).to(master, copy=True)

    def own(self, value: Tensor) -> Tensor:
        """This process's rows."""
        parts = value.chunk(self.processes.size)
        rank = self.processes.rank
        return parts[rank] if rank < len(parts) else value[:0]


def _as_piece(value: Tensor, like: Any) -> Tensor:
    return DTensor.from_local(
        value,
        like.device_mesh,
        like.placements,
        run_check=False,
        shape=like.shape,
        stride=like.stride(),
    )
