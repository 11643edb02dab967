"""What an adapter adds to a linear map, in as few kernels as it takes.

peft adds `B(A(x)) * scale` in four operations, two of them over the whole output, and passes all of
them backward. Here they are two, and the scale goes into a product, forward and backward.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn


class Added(torch.autograd.Function):
    """`made + scale x A^T B^T`, written over `made`, which must be nobody else's."""

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any, made: Tensor, x: Tensor, a_rD: Tensor, b_Er: Tensor, scale: float
    ) -> Tensor:
        """`made` is `[..., E]`, x `[..., D]`."""
        inner = x.flatten(0, -2) @ a_rD.T
        # what made it keeps no output; told of a change, autograd would copy gradients of a view
        out = made.data
        out.flatten(0, -2).addmm_(inner, b_Er.T, alpha=scale)
        ctx.save_for_backward(x, inner, a_rD, b_Er)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """By the chain rule; what needs no gradient is not computed."""
        grad = grads[0].contiguous()  # copied once where it is not, for what made it too
        x, inner_Nr, a_rD, b_Er = ctx.saved_tensors
        _, of_x, of_a, of_b, _ = ctx.needs_input_grad
        grad_NE, x_ND = grad.flatten(0, -2), x.flatten(0, -2)
        grad_Nr = _scaled(grad_NE, b_Er, ctx.scale) if of_x or of_a else None
        return (
            grad,
            (grad_Nr @ a_rD).view_as(x) if of_x and grad_Nr is not None else None,
            grad_Nr.T @ x_ND if of_a and grad_Nr is not None else None,
            _scaled(grad_NE.T, inner_Nr, ctx.scale) if of_b else None,
            None,
        )


def _scaled(one: Tensor, other: Tensor, scale: float) -> Tensor:
    """`scale` times a product, in one kernel."""
    out = one.new_empty(one.shape[0], other.shape[1])
    return torch.addmm(out, one, other, beta=0, alpha=scale)


class Quick:
    """What peft asks for a layer's sum: one of its variants of LoRA, with the usual sum."""

    @staticmethod
    def forward(layer: Any, *, active_adapter: str, x: Tensor, result: Tensor, **_: Any) -> Tensor:
        """The layer's output; `result` is its base's."""
        a, b = layer.lora_A[active_adapter].weight, layer.lora_B[active_adapter].weight
        scale = layer.scaling[active_adapter]
        if not x.dtype == result.dtype == a.dtype == b.dtype:
            return result + (x @ a.T @ b.T) * scale
        return Added.apply(result, x, a, b, scale)


def quicken(layer: Any, name: str) -> None:
    """Let a layer with the adapter `name` add it so, where it is plain LoRA on a linear map."""
    from peft.tuners.lora import Linear  # noqa: PLC0415 (only where there is an adapter)

    if not isinstance(layer, Linear) or name not in layer.lora_A or name in layer.lora_variant:
        return
    if isinstance(layer.lora_dropout[name], nn.Identity) and layer.lora_B[name].bias is None:
        layer.lora_variant[name] = cast("Any", Quick)
