"""AdamW on float32 master weights, whatever the precision of the forward pass.

At learning rate 1e-6 an update is far below a bfloat16 weight's last bit, so a weight kept in
bfloat16 alone never moves. Gradients of all groups are summed in float32 too.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor, nn

from videothinker.errors import UserError
from videothinker.training.outbox import GradientSums, Outbox, Publisher

Moments = Literal["float32", "8bit"]


class Optimizer(ABC):
    """AdamW as the loop knows it, on one process or several (`sharding.ShardedAdamW`)."""

    masters: dict[str, Tensor]
    """Name -> float32 weights, all of them or this process's rows."""
    adam: Any

    @abstractmethod
    def zero(self) -> None:
        """Forget the gradients."""

    @abstractmethod
    def clip(self, max_norm: float) -> float:
        """Scale the gradients down to `max_norm` where they exceed it; their norm before that."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs, flat: masters and the moments of every tensor."""

    @abstractmethod
    def publish(self) -> None:
        """Give the model's weights the values of the masters."""

    @abstractmethod
    def placed(self, key: str, value: Tensor, master: Tensor) -> Any:
        """A value of a `state()` as AdamW keeps it beside `master`."""

    def own(self, value: Tensor) -> Tensor:
        """What a master holds of a whole tensor."""
        return value

    def step(self, lr: float) -> None:
        """One update of the masters, then of the model's weights."""
        for group in self.adam.param_groups:
            group["lr"] = lr
        self.adam.step()
        self.publish()

    def load(self, flat: dict[str, Tensor]) -> None:
        """Take up a `state()`, of any number of processes."""
        found: dict[str, dict[str, Tensor]] = {name: {} for name in self.masters}
        for place, value in flat.items():
            name, key = place.rsplit("/", 1)
            found[name][key] = value
        for name, master in self.masters.items():
            with torch.no_grad():
                master.copy_(self.own(found[name].pop("master")))
            if moments := found[name]:
                self.adam.state[master] = {
                    key: self.placed(key, value, master) for key, value in moments.items()
                }
        self.publish()


class MasterAdamW(Optimizer):
    """AdamW whose weights are the model's own where they are float32, and float32 copies else.

    On a GPU the update is one fused kernel: torch's default there makes temporaries of the size of
    all weights. With masters on the CPU gradients leave while the backward goes on (`outbox`).

    Args:
        named: name and parameter of every tensor to train.
        lr: learning rate.
        weight_decay: decoupled decay.
        device: `cpu` keeps masters, summed gradients and moments there; `model` beside the model.
        moments: `8bit` stores both moments in 8 bits (bitsandbytes), which is not exact.

    Raises:
        UserError: 8-bit moments without bitsandbytes.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, nn.Parameter]],
        *,
        lr: float,
        weight_decay: float,
        device: Literal["model", "cpu"] = "model",
        moments: Moments = "float32",
    ) -> None:
        self.params = dict(named)
        self.masters = {name: _master(param, device) for name, param in self.params.items()}
        self.moments, self.on_cpu = moments, device == "cpu"
        self.fused = any(param.is_cuda for param in self.params.values())
        tensors = self.masters.values()
        self.adam: Any = (
            _eight_bit_adam({"params": [*tensors], "lr": lr, "weight_decay": weight_decay})
            if moments == "8bit"
            else adamw(tensors, lr=lr, weight_decay=weight_decay, fused=self.fused)
        )
        self.sums, self.publisher = GradientSums(), Publisher()
        away = [p for n, p in self.params.items() if p.device != self.masters[n].device]
        self.outbox = Outbox(self.sums, away[0].device) if away else None
        for name, param in self.params.items():
            if self.masters[name] is not param:
                move = _gradient_to(self.masters[name], self._keeper())
                param.register_post_accumulate_grad_hook(move)

    def _keeper(self) -> Callable[[Tensor, Tensor], None]:
        """What adds a gradient to its master."""
        if self.outbox is not None:
            return self.outbox.send
        return self.sums.add if self.on_cpu else _add

    def gradients(self) -> list[Tensor]:
        """The float32 gradient of every tensor, zeros where nothing arrived."""
        self._arrive()
        for master in self.masters.values():
            if master.grad is None:
                master.grad = torch.zeros_like(master)
        return [master.grad for master in self.masters.values() if master.grad is not None]

    def zero(self) -> None:
        """Forget the gradients."""
        self._arrive()
        if self.on_cpu:
            self.sums.empty(list(self.masters.values()))
        self.adam.zero_grad()

    def _arrive(self) -> None:
        if self.outbox is not None:
            self.outbox.wait()

    def clip(self, max_norm: float) -> float:
        """Scale the gradients down to `max_norm` where they exceed it; their norm before that."""
        total = nn.utils.get_total_norm(self.gradients())
        return clipped(self.masters.values(), max_norm, total)

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs, flat: masters and the moments of every tensor."""
        flat = {f"{name}/master": master.detach() for name, master in self.masters.items()}
        for name, master in self.masters.items():
            for key, value in self.adam.state.get(master, {}).items():
                shared = self.moments == "8bit"  # its tables are one tensor for all
                tensor = torch.as_tensor(value)
                flat[f"{name}/{key}"] = tensor.clone() if shared else tensor
        return flat

    def placed(self, key: str, value: Tensor, master: Tensor) -> Any:
        """Beside its master; the count of steps is its own case."""
        if key != "step" or self.fused:
            return value.to(master.device)
        return int(value) if self.moments == "8bit" else value

    def publish(self) -> None:
        """Those that are float32 copies."""
        pairs = [(self.masters[name], param) for name, param in self.params.items()]
        self.publisher.publish([(m, param) for m, param in pairs if m is not param])


def _gradient_to(
    master: Tensor, keep: Callable[[Tensor, Tensor], None]
) -> Callable[[Tensor], None]:
    """A hook that moves a weight's gradient to its master.

    It must not lead back to a weight, as the optimizer does: torch hides a hook from the collector,
    and model, masters and moments would stay until the process ends.
    """

    def move(param: Tensor) -> None:
        assert param.grad is not None
        keep(master, param.grad)
        param.grad = None

    return move


def _add(master: Tensor, gradient: Tensor) -> None:
    """Beside the model: what is given back here is what the next layers need."""
    master.grad = gradient.float() if master.grad is None else master.grad.add_(gradient)


def _master(param: nn.Parameter, device: str) -> Tensor:
    place = torch.device("cpu") if device == "cpu" else param.device
    if param.dtype == torch.float32 and device == "model":
        return param
    return param.detach().to(place, torch.float32, copy=True).requires_grad_()


def clipped(masters: Iterable[nn.Parameter | Tensor], max_norm: float, total: Tensor) -> float:
    """Scale gradients whose norm is `total` down to `max_norm` where it exceeds it; the norm."""
    norm = float(total)
    if norm + 1e-6 > max_norm:  # as `clip_grad_norm_`, which also multiplies by one
        nn.utils.clip_grads_with_norm_(list(masters), max_norm, total)
    return norm


def adamw(
    masters: Iterable[Tensor], *, lr: float, weight_decay: float, fused: bool
) -> torch.optim.Optimizer:
    """Torch's own, as one kernel where that is asked for."""
    kernel = True if fused else None
    return torch.optim.AdamW(list(masters), lr=lr, weight_decay=weight_decay, fused=kernel)


def _eight_bit_adam(given: dict[str, Any]) -> Any:
    try:
        eight_bit = import_module("bitsandbytes.optim").AdamW8bit
    except ImportError as error:
        raise UserError(
            "moments '8bit' needs bitsandbytes, which is not installed; "
            "run `pip install bitsandbytes`, or keep moments 'float32'"
        ) from error
    return eight_bit(**given)
