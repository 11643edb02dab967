"""One attention function, registered with transformers, that carries out a *plan* if given one.

A plan says which tokens see which: the packed training forward (`shared_prefix`) and the cached
decoding (`generation.cache`) are two. Without a plan the call is transformers' own sdpa, so a model
that uses this function behaves like any other in plain `model(...)` and `generate`.
"""

from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "videothinker"
"""What `set_attn_implementation` is given."""


class AttentionPlan(Protocol):
    """Which query sees which key, in every layer of one forward pass."""

    def attend(
        self, layer: int, query_BHLd: Tensor, key_BKLd: Tensor, value_BKLd: Tensor, scaling: float
    ) -> Tensor:
        """The attention's output `[B, L, H, d]`; H query heads share K key heads."""
        ...


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    plan: AttentionPlan | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Follow `plan`, or do what sdpa does; the signature is `AttentionInterface`'s."""
    if plan is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
    return plan.attend(module.layer_idx, query, key, value, scaling), None


def leave_cudnn_out(device: torch.device) -> None:
    """Keep a GPU to the flash and memory-efficient kernels of sdpa.

    torch 2.11 tries cuDNN's first on Hopper. It plans anew for every shape it meets, and here every
    prompt and completion brings one: 0.44 s forward and 0.55 s backward each were reported on a
    B200 (github.com/modelscope/FunASR/issues/3704); not measured here.
    """
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(enabled=False)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
