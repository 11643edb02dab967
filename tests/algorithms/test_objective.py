"""Advantages, clip, aggregation, loss: by hand, by property, by definition."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videothinker.algorithms import objective
from videothinker.algorithms.choices import DIVERGENCES

F64 = torch.float64
CLIP = {"epsilon": 0.2, "epsilon_high": 0.28}


def test_advantages_by_hand() -> None:
    # mean 1, deviations (-1, 1), unbiased std sqrt(2)
    got = objective.group_advantages(torch.tensor([[0.0, 2.0]], dtype=F64))
    expected = 1 / (math.sqrt(2) + 1e-4)
    assert got.tolist() == [pytest.approx([-expected, expected], rel=1e-12)]


def test_plain_advantages_by_hand() -> None:
    got = objective.group_advantages(torch.tensor([[0.0, 2.0], [3.0, 3.0]]), scale="none")
    assert got.tolist() == [[-1.0, 1.0], [0.0, 0.0]]


def test_type_advantages_pool_the_deviation_of_a_type() -> None:
    rewards = torch.tensor([[0.0, 2.0], [1.0, 1.0], [0.0, 4.0]], dtype=F64)
    got = objective.group_advantages(rewards, scale="type", types=["a", "a", "b"])
    pooled_a = math.sqrt((2 + 0) / 2) + 1e-4
    alone_b = math.sqrt(8) + 1e-4
    assert got[0].tolist() == pytest.approx([-1 / pooled_a, 1 / pooled_a])
    assert got[1].tolist() == [0, 0]
    assert got[2].tolist() == pytest.approx([-2 / alone_b, 2 / alone_b])
    with pytest.raises(ValueError, match="one type a prompt"):
        objective.group_advantages(rewards, scale="type", types=["a"])


groups = st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=4).map(
    lambda rows: torch.tensor(rows, dtype=F64)
)


@settings(max_examples=60, deadline=None)
@given(groups, st.floats(-10, 10))
def test_shifting_a_groups_rewards_leaves_advantages(rewards: torch.Tensor, shift: float) -> None:
    for scale in ("group", "none"):
        torch.testing.assert_close(
            objective.group_advantages(rewards + shift, scale=scale),
            objective.group_advantages(rewards, scale=scale),
            atol=1e-8,
            rtol=1e-6,
        )


@settings(max_examples=60, deadline=None)
@given(groups, st.floats(1.5, 10))
def test_only_the_normalised_form_forgets_the_scale(rewards: torch.Tensor, factor: float) -> None:
    rewards[:, 0] += 20.0  # a deviation far above the 1e-4 beside it
    torch.testing.assert_close(
        objective.group_advantages(rewards * factor),
        objective.group_advantages(rewards),
        atol=0,
        rtol=1e-4,
    )
    plain = objective.group_advantages(rewards, scale="none")
    torch.testing.assert_close(
        objective.group_advantages(rewards * factor, scale="none"), plain * factor
    )


def test_equal_rewards_give_no_advantage() -> None:
    assert objective.group_advantages(torch.full((2, 4), 0.7)).abs().max() == 0


@pytest.mark.parametrize(
    ("ratio", "advantage", "surrogate", "clipped"),
    [
        (1.5, 1.0, 1.28, True),  # above the upper bound 1 + 0.28, good token
        (1.25, 1.0, 1.25, False),  # above 1 + 0.20, not above 1 + 0.28
        (0.5, 1.0, 0.5, False),  # a good token may always be pushed back up
        (0.5, -1.0, -0.8, True),  # below the lower bound 1 - 0.20, bad token
        (0.75, -1.0, -0.8, True),  # below 1 - 0.20, not below 1 - 0.28
        (1.5, -1.0, -1.5, False),
    ],
)
def test_clip_by_hand(ratio: float, advantage: float, surrogate: float, clipped: bool) -> None:
    ratio_GC, advantages_G = torch.tensor([[ratio]]), torch.tensor([advantage])
    got = objective.clipped_surrogate(ratio_GC, advantages_G, **CLIP)
    assert got.item() == pytest.approx(surrogate)
    assert bool(objective.is_clipped(ratio_GC, advantages_G, **CLIP)) is clipped


def test_the_ratio_is_one_with_a_gradient_on_policy() -> None:
    logps = torch.tensor([[-1.0, -2.0]], dtype=F64, requires_grad=True)
    ratio = objective.token_ratio(logps, logps)
    ratio.sum().backward()
    assert ratio.tolist() == [[1, 1]]
    assert logps.grad is not None
    assert logps.grad.tolist() == [[1, 1]]


def test_token_weights_by_hand() -> None:
    mask = torch.tensor([[True, False, False], [True, True, True]])
    grpo = objective.token_weights(mask, "grpo", completions=2, tokens=4)
    dapo = objective.token_weights(mask, "dapo", completions=2, tokens=4)
    torch.testing.assert_close(grpo, torch.tensor([[1 / 2, 0, 0], [1 / 6, 1 / 6, 1 / 6]]))
    torch.testing.assert_close(dapo, torch.tensor([[1 / 4, 0, 0], [1 / 4, 1 / 4, 1 / 4]]))


@pytest.mark.parametrize("loss_type", ["grpo", "dapo"])
def test_groups_add_up_to_the_batch(loss_type: str) -> None:
    mask = torch.rand(6, 5, generator=torch.Generator().manual_seed(0)) < 0.6
    mask[:, 0] = True
    size = {"completions": 6, "tokens": int(mask.sum())}
    whole = objective.token_weights(mask, loss_type, **size)  # pyright: ignore[reportArgumentType]
    parts = [objective.token_weights(m, loss_type, **size) for m in mask.split(2)]  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(torch.cat(parts), whole)
    assert whole.sum().item() == pytest.approx(1)


def test_the_loss_on_two_tokens_by_hand() -> None:
    # one completion (p = .5, .25; bias .25, .25), advantage 2, on policy, k2, repulsion .1
    logps = torch.tensor([[0.5, 0.25]], dtype=F64).log().requires_grad_()
    bias = torch.tensor([[0.25, 0.25]], dtype=F64).log()
    weights = objective.token_weights(torch.ones(1, 2).bool(), "grpo", completions=1, tokens=2)
    ratio = objective.token_ratio(logps, logps)
    surrogate = objective.clipped_surrogate(ratio, torch.tensor([2.0], dtype=F64), **CLIP)
    loss = objective.cdpo_loss(surrogate, objective.k2(logps, bias), weights, repulsion=0.1)
    loss.backward()
    d = math.log(2)  # log p - log bias of the first token; 0 of the second
    assert loss.item() == pytest.approx(-(2 + 2 + 0.1 * d * d / 2) / 2)
    # minus (advantage + repulsion (log p - log bias)) / 2: above 0 the push away from the bias
    # model raises a token that the bias model gives less than the policy
    assert logps.grad is not None
    assert logps.grad.tolist() == [pytest.approx([-(2 + 0.1 * d) / 2, -2 / 2])]


def test_repelling_raises_the_divergence_and_attracting_lowers_it() -> None:
    bias = torch.tensor([[2.0, 0.0, -1.0]], dtype=F64).log_softmax(-1)
    for sign in (1, -1):
        logits = torch.tensor([[1.0, 0.5, 0.0]], dtype=F64, requires_grad=True)
        divergence = objective.exact_kl(logits.log_softmax(-1), bias)
        objective.cdpo_loss(
            torch.zeros(1), divergence, torch.ones(1, dtype=F64), repulsion=0.5 * sign
        ).backward()
        assert logits.grad is not None
        moved = logits.detach() - 0.1 * logits.grad
        change = objective.exact_kl(moved.log_softmax(-1), bias) - divergence.detach()
        assert change.item() * sign > 0


def test_without_divergence_the_loss_is_the_surrogates() -> None:
    surrogate, weights = torch.tensor([[1.0, 3.0]]), torch.tensor([[0.5, 0.5]])
    assert objective.cdpo_loss(surrogate, None, weights, repulsion=9.0).item() == -2


@pytest.mark.parametrize("divergence", ["none", "k3", "rho_k3", "k2"])
def test_gradcheck_of_the_whole_loss(divergence: str) -> None:
    rng = torch.Generator().manual_seed(1)
    logps = -torch.rand(3, 4, dtype=F64, generator=rng) - 0.1
    old = logps + 0.1 * torch.randn(3, 4, dtype=F64, generator=rng)
    bias = -torch.rand(3, 4, dtype=F64, generator=rng) - 0.1
    advantages = objective.group_advantages(torch.rand(1, 3, dtype=F64, generator=rng))[0]
    weights = objective.token_weights(torch.ones(3, 4).bool(), "dapo", completions=3, tokens=12)

    def loss(logps: torch.Tensor) -> torch.Tensor:
        surrogate = objective.clipped_surrogate(
            objective.token_ratio(logps, old), advantages, **CLIP
        )
        value = None if divergence == "none" else DIVERGENCES[divergence].function(logps, bias, old)
        return objective.cdpo_loss(surrogate, value, weights.double(), repulsion=0.3)

    assert torch.autograd.gradcheck(loss, logps.requires_grad_())
