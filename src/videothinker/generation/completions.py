"""What the rows of a rollout have drawn so far; all of it lies where the logits are."""

import torch
from torch import Tensor

from videothinker.generation.base import Sampling
from videothinker.generation.drawing import draw
from videothinker.generation.graphs import Fuse
from videothinker.models.loaded import PrefixPolicy

NOTHING = -1
"""Stands where no token was drawn."""


class NotFinite(ArithmeticError):
    """Logits of `row` are not finite after `drawn` tokens."""

    def __init__(self, row: int, drawn: int) -> None:
        super().__init__(row, drawn)
        self.row, self.drawn = row, drawn


class Completions:
    """R completions, of which A rows still lie in the cache.

    Taking a token changes tensors in place and asks the host nothing, so that a graph can hold it.
    """

    def __init__(
        self, policy: PrefixPolicy, uniform_RC: Tensor, sampling: Sampling, fuse: Fuse
    ) -> None:
        device = uniform_RC.device
        self.uniform_RC, self.sampling = uniform_RC, sampling
        # sorting the vocabulary is a library's work, which no compiler takes over
        self.take_in = _take if sampling.top_p < 1 else fuse(_take)
        self.eos = torch.tensor(policy.eos_ids, device=device)
        self.ids_RC = torch.full(uniform_RC.shape, NOTHING, device=device)
        self.broken_R = torch.full_like(self.ids_RC[:, 0], NOTHING)
        """After how many tokens a row's logits were no numbers."""
        # of one element: an index without dimensions is one that the host reads
        self.drawn = torch.zeros(1, dtype=torch.long, device=device)
        self.row_A = torch.arange(len(uniform_RC), device=device)
        self.tokens_A = torch.zeros_like(self.row_A)
        """Drawn last; rows that have ended go on with any token."""
        self.open_A = torch.ones_like(self.row_A, dtype=torch.bool)

    def take(self, logits_AV: Tensor) -> None:
        """Draw every row's next token."""
        places = self.row_A, self.tokens_A, self.open_A
        whole = self.uniform_RC, self.ids_RC, self.broken_R, self.drawn
        self.take_in(logits_AV, places, whole, self.eos, self.sampling)

    def ask(self) -> int:
        """How many rows are open; the one wait for the device.

        Raises:
            NotFinite: an open row met logits that are no numbers.
        """
        running, odd = torch.stack([self.open_A.sum(), (self.broken_R >= 0).sum()]).tolist()
        if odd:
            rows = (self.broken_R >= 0).nonzero().squeeze(1)
            first = rows[self.broken_R[rows].argmin()]
            raise NotFinite(int(first), int(self.broken_R[first]))
        return running

    def keep(self, count: int) -> Tensor:
        """Let all but `count` rows go, those that have ended first; where the others were."""
        stay = (~self.open_A).to(torch.uint8).argsort(stable=True)[:count]
        self.row_A, self.tokens_A = self.row_A[stay], self.tokens_A[stay]
        self.open_A = self.open_A[stay]
        return stay


def _take(
    logits_AV: Tensor,
    places: tuple[Tensor, Tensor, Tensor],
    whole: tuple[Tensor, Tensor, Tensor, Tensor],
    eos: Tensor,
    sampling: Sampling,
) -> None:
    row_A, tokens_A, open_A = places
    uniform_RC, ids_RC, broken_R, drawn = whole
    # finite only where all terms are, and fifty times as fast as looking at each
    odd_A = open_A & ~logits_AV.sum(dim=-1, dtype=torch.float32).isfinite()
    broken_A = broken_R[row_A]
    broken_R[row_A] = torch.where(odd_A & (broken_A < 0), drawn, broken_A)
    token_A = draw(logits_AV, uniform_RC[row_A, drawn], sampling)
    token_A = torch.where(open_A, token_A, NOTHING)
    ids_RC[row_A, drawn] = token_A
    open_A.logical_and_((token_A[:, None] != eos).all(dim=1))
    tokens_A.copy_(token_A.clamp(0, logits_AV.shape[1] - 1))
    drawn.add_(1)
