"""AdamW on float32 master weights, whatever the precision of the forward pass.

At learning rate 1e-6 an update is far below a bfloat16 weight's last bit, so a weight kept in
bfloat16 alone never moves. Gradients of all groups are summed in float32 too.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

STATE = ("exp_avg", "exp_avg_sq", "step")


class MasterAdamW:
    """AdamW whose weights are the model's own where they are float32, and float32 copies else.

    Args:
        named: name and parameter of every tensor to train.
        lr: learning rate.
        weight_decay: decoupled decay.
    """

    def __init__(
        self, named: Iterable[tuple[str, nn.Parameter]], *, lr: float, weight_decay: float
    ) -> None:
        self.params = dict(named)
        self.masters = {name: _master(param) for name, param in self.params.items()}
        self.adam = torch.optim.AdamW(self.masters.values(), lr=lr, weight_decay=weight_decay)
        for name, param in self.params.items():
            if self.masters[name] is not param:
                param.register_post_accumulate_grad_hook(_move_gradient_to(self.masters[name]))

    def gradients(self) -> list[Tensor]:
        """The float32 gradient of every tensor, zeros where nothing arrived."""
        for master in self.masters.values():
            if master.grad is None:
                master.grad = torch.zeros_like(master)
        return [master.grad for master in self.masters.values() if master.grad is not None]

    def zero(self) -> None:
        """Forget the gradients."""
        self.adam.zero_grad()

    def clip(self, max_norm: float) -> float:
        """Scale the gradients down to `max_norm` where they exceed it; their norm before that."""
        return float(nn.utils.clip_grad_norm_(list(self.masters.values()), max_norm))

    def step(self, lr: float) -> None:
        """One update of the masters, then of the model's weights."""
        for group in self.adam.param_groups:
            group["lr"] = lr
        self.adam.step()
        self._publish()

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs, flat: masters and both moments of every tensor."""
        flat = {f"{name}/master": master.detach() for name, master in self.masters.items()}
        for name, master in self.masters.items():
            moments = self.adam.state.get(master, {})
            flat |= {f"{name}/{key}": moments[key] for key in STATE if key in moments}
        return flat

    def load(self, flat: dict[str, Tensor]) -> None:
        """Take up a `state()`."""
        for name, master in self.masters.items():
            with torch.no_grad():
                master.copy_(flat[f"{name}/master"])
            found = {key: flat[f"{name}/{key}"] for key in STATE if f"{name}/{key}" in flat}
            if found:
                self.adam.state[master] = {
                    key: value if key == "step" else value.to(master.device)
                    for key, value in found.items()
                }
        self._publish()

    @torch.no_grad()
    def _publish(self) -> None:
        for name, param in self.params.items():
            if self.masters[name] is not param:
                param.copy_(self.masters[name])


def _master(param: nn.Parameter) -> Tensor:
    if param.dtype == torch.float32:
        return param
    return param.detach().float().clone().requires_grad_()


def _move_gradient_to(master: Tensor):
    def move(param: Tensor) -> None:
        assert param.grad is not None
        gradient = param.grad.float()
        master.grad = gradient if master.grad is None else master.grad.add_(gradient)
        param.grad = None

    return move
