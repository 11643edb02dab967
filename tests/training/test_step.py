"""One optimisation step against the definition: every completion forwarded by itself."""

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.toy_training import make_question
from videothinker import prompts
from videothinker.algorithms.base import Objective
from videothinker.generation.base import Sampling, generate
from videothinker.models.base import Group
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import Policy
from videothinker.training.step import Begun, Bias, accumulate_gradients, log_ratios, measure

ADVANTAGES = [torch.tensor([1.0, -0.5, 0.2, -0.7]), torch.tensor([-1.0, 0.3, 0.9, 0.0])]


def roll(policy: Policy, count: int = 2) -> list[Group]:
    questions = [make_question(number) for number in range(count)]
    encoded = [
        policy.encode(prompts.render(q.question, q.choices, context=q.context)) for q in questions
    ]
    sampling = Sampling(num_generations=4, max_completion_length=7)
    return generate(policy, encoded, sampling, list(range(count)))


def naive_logps(policy: Policy, group: Group, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Log-probabilities of sampled tokens [G, C] and of the whole vocabulary [G, C, V]."""
    count, length = group.completion_ids_GC.shape
    ids = torch.cat([group.prompt.input_ids_P.expand(count, -1), group.completion_ids_GC], dim=1)
    logits = policy.model(input_ids=ids, use_cache=False).logits / temperature
    whole = logits[:, -length - 1 : -1].log_softmax(-1)
    return whole.gather(2, group.completion_ids_GC[..., None])[..., 0], whole


@dataclass
class Naive:
    """The paper's formula written out completion by completion, token by token."""

    losses: dict[str, Tensor]
    """By how tokens are weighed (`loss_type`)."""
    divergence: float = 0.0
    kl: float = 0.0


def naive(
    policy: Policy,
    bias: Policy,
    groups: list[Group],
    olds: list[Tensor] | None,
    objective: Objective,
) -> Naive:
    """`olds` are the log-probabilities of the policy that drew; null on policy."""
    divergence, temperature = objective.divergence, objective.temperature
    tokens = sum(int(group.mask_GC.sum()) for group in groups)
    completions = sum(len(group.mask_GC) for group in groups)
    found = Naive({"grpo": torch.zeros(()), "dapo": torch.zeros(())})
    for number, (group, advantages) in enumerate(zip(groups, ADVANTAGES, strict=True)):
        logps, whole = naive_logps(policy, group, temperature)
        old = logps.detach() if olds is None else olds[number]
        with torch.no_grad():
            bias_logps, bias_whole = naive_logps(bias, group, temperature)
        for g, mask in enumerate(group.mask_GC):
            length = int(mask.sum())
            for t in range(length):
                ratio = (logps[g, t] - old[g, t]).exp()
                d = bias_logps[g, t] - logps[g, t]
                sampled = {"k3": d.exp() - d - 1, "k2": d**2 / 2}
                sampled["rho_k3"] = ratio * sampled["k3"]
                if divergence in sampled:
                    value, kl = sampled[divergence], -ratio * d
                else:
                    p, q = whole[g, t].exp(), bias_whole[g, t].exp()
                    m = (p + q) / 2
                    kl = (p * (p / q).log()).sum()
                    to_middle = ((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2
                    value = {"exact": kl, "js": to_middle}[divergence]
                bounded = ratio.clamp(1 - objective.epsilon, 1 + objective.epsilon_high)
                surrogate = torch.minimum(ratio * advantages[g], bounded * advantages[g])
                for loss_type, share in (("grpo", completions * length), ("dapo", tokens)):
                    loss = (surrogate + objective.repulsion * value) / share
                    found.losses[loss_type] = found.losses[loss_type] - loss
                found.divergence += value.item()
                found.kl += kl.item()
    return found


@pytest.fixture
def passes(pair: tuple[Policy, Policy], monkeypatch: pytest.MonkeyPatch) -> list[Policy]:
    """Who computed a group's hidden states, in order."""
    calls: list[Policy] = []
    kind = type(pair[0])
    true = kind.hidden

    def watched(self: Policy, group: Group) -> Tensor:
        calls.append(self)
        return true(self, group)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(kind, "hidden", watched)
    return calls


def gradients(policy: Policy) -> dict[str, Tensor]:
    found = {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}
    policy.model.zero_grad()
    return found


def test_the_log_ratio_of_a_completion_is_the_sum_over_its_own_tokens(
    pair: tuple[Policy, Policy],
) -> None:
    policy, bias = pair
    for group in roll(policy):
        logps, _ = naive_logps(policy, group, 0.7)
        others, _ = naive_logps(bias, group, 0.7)
        wanted = ((logps - others) * group.mask_GC).sum(dim=1)
        found = log_ratios(policy, Bias(bias), group, 0.7)
        torch.testing.assert_close(found, wanted.detach(), rtol=1e-4, atol=1e-4)
        assert found.abs().max() > 0.05


@pytest.fixture(scope="module")
def sharpened(base: Path, other: Path) -> tuple[Policy, Policy]:
    """They differ by some tenths of a nat a token."""
    policies = load_policy(base), load_policy(other)
    with torch.no_grad():
        for policy in policies:
            policy.model.model.language_model.norm.weight.mul_(10)
    return policies


@pytest.fixture
def pair(sharpened: tuple[Policy, Policy]) -> tuple[Policy, Policy]:
    """To be changed."""
    return deepcopy(sharpened)


@pytest.mark.parametrize("update", ["first", "second"])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("divergence", ["k3", "rho_k3", "k2", "exact", "js"])
def test_the_step_follows_the_written_out_formula(
    pair: tuple[Policy, Policy], divergence: Any, temperature: float, update: str
) -> None:
    """At the rollout's temperature, and at a second update, whose ratio is not one."""
    policy, bias = pair
    groups = roll(policy)
    objective = Objective(temperature=temperature, repulsion=0.3, divergence=divergence)
    olds = None if update == "first" else earlier(policy, groups, temperature)
    wanted = naive(policy, bias, groups, olds, objective)
    for loss_type, loss in wanted.losses.items():
        loss.backward(retain_graph=True)
        expected = gradients(policy)
        sums = accumulate_gradients(
            policy,
            Bias(bias),
            groups,
            ADVANTAGES,
            replace(objective, loss_type=loss_type),  # pyright: ignore[reportArgumentType]
            completions=8,
            tokens=sum(int(group.mask_GC.sum()) for group in groups),
            old_logps=None if olds is None else dict(enumerate(olds)),
        )
        got = gradients(policy)
        assert sums.loss == pytest.approx(loss.item(), rel=1e-4, abs=1e-6)
        assert sums.divergence == pytest.approx(wanted.divergence, rel=1e-4)
        assert sums.kl == pytest.approx(wanted.kl, rel=1e-4)
        assert sums.divergence > 0.1 * sums.tokens or divergence == "js"
        assert got.keys() == {name for name in expected if expected[name].abs().max() > 0}
        for name, gradient in got.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6)
    assert not policy.model.training


def earlier(policy: Policy, groups: list[Group], temperature: float) -> list[Tensor]:
    """Log-probabilities that another policy could have drawn with, some beyond the clip."""
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        now = [naive_logps(policy, group, temperature)[0] for group in groups]
    return [
        (logps + 0.4 * torch.randn(logps.shape, generator=stream)) * group.mask_GC
        for logps, group in zip(now, groups, strict=True)
    ]


def test_groups_in_two_calls_add_up_to_one(pair: tuple[Policy, Policy]) -> None:
    policy, bias = pair
    groups = roll(policy)
    size = {"completions": 8, "tokens": sum(int(g.mask_GC.sum()) for g in groups)}
    objective = Objective(divergence="k2", repulsion=0.1)
    together = accumulate_gradients(policy, Bias(bias), groups, ADVANTAGES, objective, **size)
    whole = gradients(policy)
    apart = accumulate_gradients(policy, Bias(bias), groups[:1], ADVANTAGES[:1], objective, **size)
    apart.add(
        accumulate_gradients(policy, Bias(bias), groups[1:], ADVANTAGES[1:], objective, **size)
    )
    assert apart.loss == pytest.approx(together.loss, abs=1e-9)
    assert apart.tokens == together.tokens == size["tokens"]
    for name, gradient in gradients(policy).items():
        torch.testing.assert_close(gradient, whole[name])


def test_the_second_update_of_a_rollout_remembers_the_first(pair: tuple[Policy, Policy]) -> None:
    policy, _ = pair
    groups, old = roll(policy, 1), {}
    size = {"completions": 4, "tokens": int(groups[0].mask_GC.sum())}
    advantages = [torch.tensor([3.0, -1.0, -1.0, -1.0])]
    first = accumulate_gradients(
        policy, None, groups, advantages, Objective(), **size, old_logps=old
    )
    assert first.clipped == 0  # the ratio is one
    torch.optim.SGD(policy.model.parameters(), lr=0.02).step()
    second = accumulate_gradients(
        policy, None, groups, advantages, Objective(), **size, old_logps=old
    )
    assert second.clipped > 0
    assert second.loss < first.loss
    forgotten = accumulate_gradients(policy, None, groups, advantages, Objective(), **size)
    assert forgotten.clipped == 0


def test_a_group_without_advantage_or_push_leaves_no_gradient(pair: tuple[Policy, Policy]) -> None:
    policy, bias = pair
    groups = roll(policy, 1)
    size = {"completions": 4, "tokens": int(groups[0].mask_GC.sum())}
    sums = accumulate_gradients(
        policy, Bias(bias), groups, [torch.zeros(4)], Objective(divergence="exact"), **size
    )
    assert not gradients(policy)
    assert sums.entropy > 0
    assert sums.divergence > 0


@pytest.mark.parametrize("divergence", ["js", "k2"])
def test_measure_sees_what_the_step_sees(pair: tuple[Policy, Policy], divergence: Any) -> None:
    policy, bias = pair
    groups = roll(policy)
    objective = Objective(divergence=divergence, repulsion=0.3, temperature=0.8)
    stepped = accumulate_gradients(
        policy, Bias(bias), groups, ADVANTAGES, objective, completions=8, tokens=56
    )
    measured = measure(policy, Bias(bias), groups, objective)
    assert measured.divergence == pytest.approx(stepped.divergence, rel=1e-5)
    assert measured.kl == pytest.approx(stepped.kl, rel=1e-5)
    assert abs(measured.kl - measured.divergence) > 0.1 * measured.divergence
    assert measured.entropy == pytest.approx(stepped.entropy, rel=1e-5)
    assert measured.tokens == stepped.tokens


@pytest.mark.parametrize(
    ("count", "divergence", "bias_passes"), [(1, "exact", 1), (2, "exact", 3), (2, "k3", 2)]
)
def test_what_was_measured_is_not_passed_again_in_the_update(
    pair: tuple[Policy, Policy],
    passes: list[Policy],
    count: int,
    divergence: Any,
    bias_passes: int,
) -> None:
    """The first step of a controller: the same numbers to the bit, for half on one prompt.

    Of several prompts the bias model passes each once, where it is asked for drawn tokens alone.
    """
    policy, bias = pair
    policy.enable_gradient_checkpointing()
    groups, objective = roll(policy, count), Objective(divergence=divergence, repulsion=0.3)
    size = {"completions": 4 * count, "tokens": 28 * count}
    found = []
    for begun in (None, Begun()):
        policy.model.zero_grad()
        passes.clear()
        measured = measure(policy, Bias(bias), groups, objective, begun)
        stepped = accumulate_gradients(
            policy, Bias(bias), groups, ADVANTAGES[:count], objective, **size, begun=begun
        )
        assert passes.count(policy) == (2 * count if begun is None else 2 * count - 1)
        assert passes.count(bias) == (2 * count if begun is None else bias_passes)
        assert begun is None or not begun.seen
        found.append((gradients(policy), stepped, measured))
    (twice, *sums), (once, *same) = found
    assert sums == same
    assert twice.keys() == once.keys()
    assert twice
    assert all(torch.equal(twice[name], once[name]) for name in twice)


def test_of_several_groups_one_alone_is_in_memory(pair: tuple[Policy, Policy]) -> None:
    policy, bias = pair
    begun, groups = Begun(), roll(policy)
    measure(policy, Bias(bias), groups, Objective(divergence="k3"), begun)
    assert set(begun.seen) == {groups[0]}
    assert begun.seen[groups[0]].logps_GC.requires_grad
    assert begun.go_on(groups[1]) is None  # another comes first: its graph is let go
    assert not begun.seen


@pytest.mark.parametrize(("divergence", "bias_passes"), [("k3", 1), ("rho_k3", 1), ("exact", 3)])
def test_the_bias_model_passes_once_a_rollout(
    pair: tuple[Policy, Policy], passes: list[Policy], divergence: Any, bias_passes: int
) -> None:
    """For the divergence in the reward, and for every update; the same gradients to the bit.

    Not where a divergence asks for its whole vocabulary.
    """
    policy, bias = pair
    (group,), objective = roll(policy, 1), Objective(divergence=divergence, repulsion=0.3)
    size = {"completions": 4, "tokens": 28}
    found = []
    for begun in (None, Begun()):
        policy.model.zero_grad()
        passes.clear()
        log_ratios(policy, Bias(bias), group, 1.0, begun)
        for _ in range(2):
            accumulate_gradients(
                policy, Bias(bias), [group], ADVANTAGES[:1], objective, **size, begun=begun
            )
        assert passes.count(bias) == (3 if begun is None else bias_passes)
        found.append(gradients(policy))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_the_step_clips_below_and_above_as_written_out(pair: tuple[Policy, Policy]) -> None:
    """Off policy, with bounds far apart, so that swapping them cannot go unseen."""
    policy, _ = pair
    (group,) = roll(policy, 1)
    with torch.no_grad():
        logps, _ = naive_logps(policy, group)
    noise = torch.randn(logps.shape, generator=torch.Generator().manual_seed(0))
    old = logps + 0.5 * noise * group.mask_GC
    sums = accumulate_gradients(
        policy,
        None,
        [group],
        ADVANTAGES[:1],
        Objective(epsilon=0.1, epsilon_high=0.6),
        completions=4,
        tokens=int(group.mask_GC.sum()),
        old_logps={0: old},
    )
    wanted, clipped = 0.0, 0
    for g, mask in enumerate(group.mask_GC):
        length, advantage = int(mask.sum()), ADVANTAGES[0][g].item()
        for t in range(length):
            ratio = (logps[g, t] - old[g, t]).exp().item()
            bounded = min(max(ratio, 0.9), 1.6)
            wanted -= min(ratio * advantage, bounded * advantage) / length / 4
            clipped += bounded * advantage < ratio * advantage
    assert sums.loss == pytest.approx(wanted, abs=1e-5)
    assert sums.clipped == clipped > 0
