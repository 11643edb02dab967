"""The library's own `generate` behind the contract."""

import numpy as np
import pytest
import torch

from tests.generation.test_shared_prefix import tokens
from videothinker.errors import UserError
from videothinker.generation import plain, shared_prefix
from videothinker.generation.base import Sampling
from videothinker.models.loaded import Policy

GREEDY = Sampling(num_generations=2, max_completion_length=9, temperature=0)


def test_both_generators_agree_greedily(policy: Policy, frames_THW3: np.ndarray) -> None:
    """Two programs with nothing in common but the weights and the positions."""
    video = policy.to_video(frames_THW3, 3.0)
    prompts = [policy.encode("Which one hits the cube?", video), policy.encode("Text alone.")]
    policy.model.generation_config.eos_token_id = list(range(0, len(policy.tokenizer), 6))
    ours = shared_prefix.generate(policy, prompts, GREEDY, [0, 0])
    theirs = plain.generate(policy, prompts, GREEDY, [0, 0])
    for one, other in zip(ours, theirs, strict=True):
        assert tokens(one) == tokens(other)
        for name in ("completion_ids_GC", "mask_GC", "truncated_G"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_completions_of_two_lengths_are_padded(policy: Policy) -> None:
    policy.model.generation_config.eos_token_id = list(range(0, len(policy.tokenizer), 4))
    sampling = Sampling(num_generations=8, max_completion_length=4, temperature=2.0)
    (group,) = plain.generate(policy, [policy.encode("Who?")], sampling, [5])
    seen = set()
    for ids_C, mask_C, cut in zip(
        group.completion_ids_GC, group.mask_GC, group.truncated_G, strict=True
    ):
        drawn = ids_C[mask_C].tolist()
        assert not any(token in policy.eos_ids for token in drawn[:-1])
        assert bool(cut) == (drawn[-1] not in policy.eos_ids)
        assert (ids_C[len(drawn) :] == policy.pad_id).all()
        seen.add(len(drawn))
    assert len(seen) > 1


def test_logits_that_are_no_numbers_are_told(policy: Policy) -> None:
    prompt = policy.encode("The red cube.")
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[prompt.input_ids_P[-1]] = float("nan")
    with pytest.raises(UserError, match="float32 at the end of the prompt"):
        plain.generate(policy, [prompt], GREEDY, [0])


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_what_a_folder_wants_of_sampling_is_left_alone(policy: Policy, temperature: float) -> None:
    """Completions are the policy's own draws, without its published penalties, which stay."""
    sampling = Sampling(num_generations=3, max_completion_length=8, temperature=temperature)
    prompts = [policy.encode("Which one hits the cube?")]
    (bare,) = plain.generate(policy, prompts, sampling, [3])
    wanted = {"repetition_penalty": 9.0, "top_k": 1, "min_p": 0.9, "no_repeat_ngram_size": 1}
    policy.model.generation_config.update(**wanted, do_sample=True, suppress_tokens=[5])
    (found,) = plain.generate(policy, prompts, sampling, [3])
    assert tokens(found) == tokens(bare)
    assert policy.model.generation_config.repetition_penalty == 9.0
