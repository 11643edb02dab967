"""Which token comes next: a row's logits and its own uniform number to one id."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from videothinker.generation.base import Sampling
from videothinker.seeds import derive

BLOCK = 4096
"""Tokens that are summed one after the other. One running sum over a whole vocabulary of 150,000
is the work of one block of threads a row, a quarter of a millisecond on an H200."""


def uniform_draws(seeds: Sequence[int], generations: int, length: int) -> Tensor:
    """float64 `[prompts * generations, length]`: every completion's own stream of uniform numbers.

    Completion g of a prompt draws from `derive(seed, "rollout", g)`, so its tokens depend neither
    on the rest of the batch nor on the device.
    """
    rows = []
    for seed in seeds:
        for generation in range(generations):
            stream = torch.Generator().manual_seed(derive(seed, "rollout", generation))
            rows.append(torch.rand(length, generator=stream, dtype=torch.float64))
    return torch.stack(rows)


def draw(logits_RV: Tensor, uniform_R: Tensor, sampling: Sampling) -> Tensor:
    """One token a row by inverting the cumulative distribution at the row's uniform number.

    Nothing is read back by the host. Logits that are no numbers give a token without meaning.
    """
    if sampling.temperature == 0:
        return logits_RV.argmax(dim=-1)
    probabilities_RV = (logits_RV.float() / sampling.temperature).softmax(dim=-1)
    if sampling.top_p < 1:
        probabilities_RV = _nucleus(probabilities_RV, sampling.top_p)
    return invert(probabilities_RV, uniform_R)


def invert(weights_RV: Tensor, uniform_R: Tensor, block: int = BLOCK) -> Tensor:
    """The first token at which the running sum exceeds the row's share of the total.

    Sums are float64. Above `block` tokens the block is found by the blocks' sums, then the token in
    it: the same token but where a sum's rounding, 1e-16, decides.
    """
    rows, vocabulary = weights_RV.shape
    uniform_R = uniform_R.clamp(max=1 - 2**-52)  # so that its share is below the total, rounded
    if vocabulary <= block:
        sums_RV = weights_RV.double().cumsum(dim=-1)
        target_R1 = uniform_R[:, None] * sums_RV[:, -1:]
        return torch.searchsorted(sums_RV, target_R1, right=True).squeeze(-1)
    weights_RnT = pad(weights_RV, (0, -vocabulary % block)).view(rows, -1, block)
    sums_Rn = weights_RnT.sum(dim=-1, dtype=torch.float64).cumsum(dim=-1)
    target_R1 = uniform_R[:, None] * sums_Rn[:, -1:]
    at_R1 = (sums_Rn <= target_R1).sum(dim=-1, keepdim=True).clamp(max=sums_Rn.shape[1] - 1)
    before_R1 = torch.where(at_R1 > 0, sums_Rn.gather(1, (at_R1 - 1).clamp(min=0)), 0.0)
    weights_RT = weights_RnT.gather(1, at_R1[..., None].expand(-1, -1, block)).squeeze(1)
    within_RT = weights_RT.double().cumsum(dim=-1) + before_R1
    found_R = (within_RT <= target_R1).sum(dim=-1)
    places_T = torch.arange(block, device=weights_RV.device)
    last_R = torch.where(weights_RT > 0, places_T, 0).amax(dim=-1)  # where rounding passes the end
    return at_R1.squeeze(1) * block + torch.minimum(found_R, last_R)


def _nucleus(probabilities_RV: Tensor, top_p: float) -> Tensor:
    """Zero all but the smallest set of likeliest tokens whose probabilities reach `top_p`."""
    ordered_RV, order_RV = probabilities_RV.sort(dim=-1, descending=True, stable=True)
    before_RV = ordered_RV.cumsum(dim=-1) - ordered_RV
    kept_RV = torch.where(before_RV < top_p, ordered_RV, 0.0)
    return torch.zeros_like(probabilities_RV).scatter(-1, order_RV, kept_RV)
