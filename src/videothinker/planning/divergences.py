"""Bytes a divergence over the whole vocabulary takes, measured from the code that will run."""

from functools import cache

import torch

from videothinker.algorithms.choices import DIVERGENCES
from videothinker.models.logprobs import chunked_vocabulary
from videothinker.planning.live_bytes import LiveBytes

TOKENS, VOCABULARY = 64, 2048
"""Large enough that all but the logits is under a hundredth."""


@cache
def logit_bytes(divergence: str) -> int:
    """Of each logit of both models, at the peak of computing and differentiating the divergence.

    0 for one of the sampled tokens alone. Measured on one small chunk, about ten milliseconds, so a
    new divergence is planned as what it is.
    """
    chosen = DIVERGENCES[divergence]
    if not chosen.whole_vocabulary:
        return 0
    hidden_ND = torch.zeros(TOKENS, 1, requires_grad=True)
    head_VD = torch.zeros(VOCABULARY, 1, requires_grad=True)

    def of_logits(logits_NV: torch.Tensor, other_NV: torch.Tensor) -> torch.Tensor:
        return chosen.function(logits_NV.log_softmax(-1), other_NV.log_softmax(-1))

    frozen = (torch.zeros(TOKENS, 1), torch.zeros(VOCABULARY, 1))
    with LiveBytes([hidden_ND, head_VD, *frozen]) as live:
        chunked_vocabulary(of_logits, hidden_ND, head_VD, *frozen, chunk=TOKENS).sum().backward()
    return round(live.peak / (TOKENS * VOCABULARY))
