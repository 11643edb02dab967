"""Bytes a logit, against a hand count of what lies in memory at the worst moment."""

import pytest

from videothinker.algorithms.choices import DIVERGENCES
from videothinker.planning.live_bytes import logit_bytes


@pytest.mark.parametrize(("name", "tensors"), [("exact", 5), ("js", 8)])
def test_float32_tensors_of_the_vocabulary_that_are_alive_together(name: str, tensors: int) -> None:
    assert logit_bytes(name) == 4 * tensors


def test_sampled_tokens_take_no_vocabulary_and_whole_ones_do() -> None:
    for name, divergence in DIVERGENCES.items():
        assert (logit_bytes(name) > 0) == divergence.whole_vocabulary
