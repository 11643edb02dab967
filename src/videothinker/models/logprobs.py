"""Per-token log-probabilities of a group, and maps over the vocabulary, never G x C x V at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from videothinker.models.base import Group
from videothinker.models.loaded import Policy

CHUNK = 256
"""Tokens whose logits are in memory together: 256 x 151,936 float32 are 156 MB."""


@dataclass(eq=False)
class LogProbs:
    """Of every sampled token: its log-probability and the entropy it was drawn from, in nats.

    Both float32 and 0 on padding.
    """

    logps_GC: Tensor
    entropy_GC: Tensor


def group_logps(
    policy: Policy,
    group: Group,
    *,
    temperature: float = 1.0,
    chunk: int = CHUNK,
) -> LogProbs:
    """Log-probabilities of the group's tokens at `temperature`, differentiable in every weight."""
    mask_GC = group.mask_GC.to(policy.device)
    hidden_ND = policy.hidden(group)[mask_GC]
    targets_N = group.completion_ids_GC.to(policy.device)[mask_GC]
    logps_N, entropy_N = token_logps(
        hidden_ND, policy.head_VD, targets_N, temperature=temperature, chunk=chunk
    )
    empty_GC = torch.zeros(mask_GC.shape, dtype=logps_N.dtype, device=policy.device)
    return LogProbs(
        logps_GC=empty_GC.masked_scatter(mask_GC, logps_N),
        entropy_GC=empty_GC.masked_scatter(mask_GC, entropy_N),
    )


def token_logps(
    hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor, *, temperature: float, chunk: int = CHUNK
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target and entropy of its distribution, both float32 `[N]`."""
    return TokenLogps.apply(hidden_ND, head_VD, targets_N, temperature, chunk)


class TokenLogps(torch.autograd.Function):
    """Softmax over the vocabulary a chunk of tokens at a time; the backward rebuilds each chunk.

    With p = softmax(z / T), logp_y and entropy H: d logp_y / dz = (1_y - p) / T and
    d H / dz = -p (log p + H) / T.
    """

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any,
        hidden_ND: Tensor,
        head_VD: Tensor,
        targets_N: Tensor,
        temperature: float,
        chunk: int,
    ) -> tuple[Tensor, Tensor]:
        """Logits of one chunk at a time; keeps the normaliser of every token."""
        kind = hidden_ND.device.type
        autocast = torch.is_autocast_enabled(kind)
        ctx.compute_dtype = torch.get_autocast_dtype(kind) if autocast else hidden_ND.dtype
        ctx.temperature, ctx.chunk = temperature, chunk
        logps, entropies, normalisers = [], [], []
        head = head_VD.to(ctx.compute_dtype)
        for h, y in zip(hidden_ND.split(chunk), targets_N.split(chunk), strict=True):
            logits = _logits(h, head, temperature)
            lse = logits.logsumexp(dim=-1)
            logps.append(logits.gather(1, y[:, None]).squeeze(1) - lse)
            p = (logits - lse[:, None]).exp_()
            entropies.append(lse - (p * logits).sum(dim=-1))
            normalisers.append(lse)
        entropy_N = torch.cat(entropies)
        ctx.save_for_backward(hidden_ND, head_VD, targets_N, torch.cat(normalisers), entropy_N)
        ctx.set_materialize_grads(False)
        return torch.cat(logps), entropy_N

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """The chain rule by chunks: gradients of the hidden states and of the head."""
        hidden_ND, head_VD, targets_N, lse_N, entropy_N = ctx.saved_tensors
        head = head_VD.to(ctx.compute_dtype)
        grad_hidden_ND = torch.empty_like(hidden_ND) if ctx.needs_input_grad[0] else None
        wide = torch.promote_types(head_VD.dtype, torch.float32)
        grad_head_VD = torch.zeros_like(head_VD, dtype=wide) if ctx.needs_input_grad[1] else None
        for start in range(0, len(hidden_ND), ctx.chunk):
            part = slice(start, start + ctx.chunk)
            logp_nV = _logits(hidden_ND[part], head, ctx.temperature).sub_(lse_N[part, None])
            grad_logps_n, grad_entropy_n = (None if grad is None else grad[part] for grad in grads)
            grad_nV = torch.zeros_like(logp_nV)
            p_nV = logp_nV.exp()
            if grad_entropy_n is not None:
                grad_nV = logp_nV.add_(entropy_N[part, None]).mul_(p_nV)
                grad_nV.mul_(-grad_entropy_n[:, None])
            if grad_logps_n is not None:
                grad_nV.addcmul_(p_nV, grad_logps_n[:, None], value=-1)
                grad_nV.scatter_add_(1, targets_N[part, None], grad_logps_n[:, None])
            grad_nV = grad_nV.div_(ctx.temperature).to(ctx.compute_dtype)
            if grad_hidden_ND is not None:
                grad_hidden_ND[part] = (grad_nV @ head).to(hidden_ND.dtype)
            if grad_head_VD is not None:
                grad_head_VD += grad_nV.T @ hidden_ND[part].to(ctx.compute_dtype)
        if grad_head_VD is not None:
            grad_head_VD = grad_head_VD.to(head_VD.dtype)
        return grad_hidden_ND, grad_head_VD, None, None, None


def _logits(hidden_nD: Tensor, head_VD: Tensor, temperature: float) -> Tensor:
    """Tempered logits in at least float32."""
    logits = hidden_nD.to(head_VD.dtype) @ head_VD.T
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).div_(temperature)


def chunked_vocabulary(
    fn: Callable[..., Tensor],
    hidden_ND: Tensor,
    head_VD: Tensor,
    bias_hidden_ND: Tensor,
    bias_head_VD: Tensor,
    *,
    temperature: float = 1.0,
    chunk: int = CHUNK,
) -> Tensor:
    """`fn(logps_nV, bias_logps_nV) -> values_n` by chunks of tokens: values `[N]`.

    Log-probabilities are float32, at `temperature`. Each chunk is recomputed in the backward, so
    neither pass holds N x V.
    """

    def one(h: Tensor, w: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
        logps_nV = ((h @ w.T).float() / temperature).log_softmax(-1)
        return fn(logps_nV, ((bias_h @ bias_w.T).float() / temperature).log_softmax(-1))

    return torch.cat(
        [
            checkpoint(
                one,
                h,
                head_VD,
                bias_h,
                bias_head_VD,
                use_reentrant=False,
                preserve_rng_state=False,
            )
            for h, bias_h in zip(hidden_ND.split(chunk), bias_hidden_ND.split(chunk), strict=True)
        ]
    )
