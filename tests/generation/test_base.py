"""Settings, and the one call that every part of the product generates by."""

import pytest

from videothinker.errors import UserError
from videothinker.generation.base import Sampling, generate
from videothinker.models.loaded import Policy


def test_bad_settings() -> None:
    with pytest.raises(UserError, match="top_p"):
        Sampling(top_p=0)
    with pytest.raises(UserError, match="num_generations"):
        Sampling(num_generations=0)


def test_seeds_must_match(policy: Policy) -> None:
    with pytest.raises(ValueError, match="1 prompts came with 2 seeds"):
        generate(policy, [policy.encode("Who?")], Sampling(), [1, 2])


def test_no_prompts_give_no_groups(policy: Policy) -> None:
    assert generate(policy, [], Sampling(), []) == []


def test_prompts_a_few_at_a_time_draw_the_same(policy: Policy) -> None:
    prompts = [policy.encode(f"Which of {n} cubes moves?") for n in range(5)]
    sampling, seeds = Sampling(num_generations=2, max_completion_length=5), [7, 8, 9, 10, 11]
    together = generate(policy, prompts, sampling, seeds)
    few = generate(policy, prompts, sampling, seeds, at_once=2)
    assert [group.prompt for group in few] == prompts
    for one, other in zip(few, together, strict=True):
        assert one.completion_ids_GC.tolist() == other.completion_ids_GC.tolist()
