"""Settings, and the one call that every part of the product generates by."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.generation.test_shared_prefix import tokens
from videothinker.errors import UserError
from videothinker.generation import plain
from videothinker.generation.base import GENERATORS, Sampling, generate
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


@pytest.fixture
def toy(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> Policy:
    """A model that names a new generator, after its one line was added."""
    monkeypatch.setitem(GENERATORS, "toy", "tests.generation.toy_generator:generate")
    policy.generator = "toy"
    policy.model.generation_config.eos_token_id = list(range(0, len(policy.tokenizer), 6))
    return policy


def test_a_new_generator_draws_what_the_plain_one_draws(
    toy: Policy, frames_THW3: np.ndarray
) -> None:
    video = toy.to_video(frames_THW3, 3.0)
    prompts = [toy.encode("Which one hits the cube?", video), toy.encode("Text alone.")]
    greedy = Sampling(num_generations=2, max_completion_length=9, temperature=0)
    theirs = plain.generate(toy, prompts, greedy, [0, 0])
    for one, other in zip(generate(toy, prompts, greedy, [0, 0]), theirs, strict=True):
        for name in ("completion_ids_GC", "mask_GC", "truncated_G"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name
    drawn = Sampling(num_generations=4, max_completion_length=5, temperature=2.0)
    (both, fewer) = generate(toy, prompts, drawn, [3, 4]), replace(drawn, num_generations=3)
    (alone,) = generate(toy, prompts[1:], fewer, [4])
    assert tokens(alone) == tokens(both[1])[:3]
    assert len({tuple(row) for row in tokens(both[1])}) > 1


def test_a_new_generator_tells_of_logits_that_are_no_numbers(toy: Policy) -> None:
    prompt = toy.encode("The red cube.")
    with torch.no_grad():
        toy.model.get_input_embeddings().weight[prompt.input_ids_P[-1]] = float("nan")
    with pytest.raises(UserError, match="at the end of the prompt"):
        generate(toy, [prompt], Sampling(num_generations=1), [0])
