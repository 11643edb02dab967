"""Sharing the prompt changes nothing: values and gradients of the naive repeated forward."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models.conftest import ENGINE
from tests.models.naive_policy import load_naive, naive_logps
from videothinker.models import shared_prefix
from videothinker.models.base import Group
from videothinker.models.loaded import Policy
from videothinker.models.logprobs import group_logps

VALUE = 1e-5
GRADIENT = 1e-4


@pytest.fixture(params=ENGINE)
def tiny_folder(request: pytest.FixtureRequest, tiny_folders: dict[str, Path]) -> Path:
    """Each family of the engine in turn."""
    return tiny_folders[request.param]


def gradients(
    model: torch.nn.Module, run: Callable[[], tuple[Tensor, Tensor]]
) -> dict[str, Tensor]:
    """Of a random linear form of log-probabilities and entropies."""
    model.zero_grad()
    logps_GC, entropy_GC = run()
    stream = torch.Generator().manual_seed(1)
    weights = torch.randn(2, *logps_GC.shape, generator=stream)
    ((logps_GC * weights[0]) + (entropy_GC * weights[1])).sum().backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def worst(ours: dict[str, Tensor], naive: dict[str, Tensor]) -> float:
    assert ours.keys() == naive.keys()
    return float(torch.stack([(ours[n] - naive[n]).norm() / naive[n].norm() for n in naive]).max())


def far(left: Tensor, right: Tensor) -> float:
    return float((left - right).abs().max().detach())


def shared(policy: Policy, group: Group) -> tuple[Tensor, Tensor]:
    result = group_logps(policy, group, temperature=0.7, chunk=6)
    return result.logps_GC, result.entropy_GC


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable:FutureWarning")
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("vision", ["trained", "frozen"])
def test_equals_the_naive_forward(
    policy: Policy, group: Group, tiny_folder: Path, vision: str, checkpointing: bool
) -> None:
    naive = load_naive(tiny_folder)
    for model in (policy.model, naive):
        model.model.visual.requires_grad_(requires_grad=vision == "trained")
        model.train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
    policy.recomputes = checkpointing
    ours, theirs = shared(policy, group), naive_logps(naive, group, 0.7)
    assert far(ours[0], theirs[0]) < VALUE
    assert far(ours[1], theirs[1]) < VALUE
    grads = gradients(policy.model, lambda: shared(policy, group))
    assert any("visual" in name for name in grads) == (vision == "trained")
    assert worst(grads, gradients(naive, lambda: naive_logps(naive, group, 0.7))) < GRADIENT


def test_the_tower_receives_pixels_and_gradients(policy: Policy, group: Group) -> None:
    grads = gradients(policy.model, lambda: shared(policy, group))
    silent = [
        name
        for name, _ in policy.model.named_parameters()
        if "visual" in name and not grads[name].abs().max() > 0
    ]
    assert silent == []


def test_text_alone(policy: Policy, group: Group, tiny_folder: Path) -> None:
    group.prompt = policy.encode("What happens first?")
    naive = load_naive(tiny_folder)
    assert far(shared(policy, group)[0], naive_logps(naive, group, 0.7)[0]) < VALUE


def test_a_control_token_in_a_completion_is_only_a_token(policy: Policy, group: Group) -> None:
    """A drawn <|video_pad|> must not take a video embedding."""
    before = shared(policy, group)[0]
    group.completion_ids_GC[0, -1] = policy.model.config.video_token_id
    after = shared(policy, group)[0]
    assert torch.equal(before[1:], after[1:])
    assert torch.allclose(before[0, :-1], after[0, :-1])


# Negative controls: each fault is one that shared prompts could hide, and each must show, in the
# values and in the gradients. What is drawn is in tests/generation/test_shared_prefix.py.


def told(policy: Policy, group: Group) -> tuple[Tensor, dict[str, Tensor]]:
    """Log-probabilities, and the gradient of every tensor."""
    grads = gradients(policy.model, lambda: shared(policy, group))
    return shared(policy, group)[0], {name: grad.clone() for name, grad in grads.items()}


def shows(policy: Policy, group: Group, right: tuple[Tensor, dict[str, Tensor]]) -> bool:
    values, grads = told(policy, group)
    return far(values, right[0]) > 100 * VALUE and worst(grads, right[1]) > 100 * GRADIENT


def other_video(policy: Policy, group: Group, frames: np.ndarray) -> None:
    group.prompt = policy.encode(
        "Which one hits the cube?", policy.to_video(frames[::-1].copy(), 3.0)
    )


def blank_video(policy: Policy, group: Group, frames: np.ndarray) -> None:
    group.prompt = policy.encode("Which one hits the cube?", policy.to_video(frames * 0, 3.0))


def other_times(policy: Policy, group: Group, frames: np.ndarray) -> None:
    group.prompt = policy.encode("Which one hits the cube?", policy.to_video(frames, 9.0))


@pytest.mark.parametrize("fault", [other_video, blank_video, other_times])
def test_a_wrong_prompt_shows(
    policy: Policy, group: Group, frames_THW3: np.ndarray, fault: Callable[..., None]
) -> None:
    right = told(policy, group)
    fault(policy, group, frames_THW3)
    if fault is other_times and policy.model.config.model_type == "qwen2_vl":  # it is not told
        assert torch.equal(shared(policy, group)[0], right[0])
    else:
        assert shows(policy, group, right)


def test_shifted_positions_show(
    policy: Policy, group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = told(policy, group)
    places_3P = policy.positions(group.prompt).clone()
    places_3P[:, -1] += 1
    monkeypatch.setattr(policy, "positions", lambda _: places_3P)
    assert shows(policy, group, right)


def test_a_leaking_mask_shows(
    policy: Policy, group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = told(policy, group)
    leaking = property(
        lambda plan: torch.ones(plan.segment, plan.prefix + plan.segment, dtype=torch.bool)
    )
    monkeypatch.setattr(shared_prefix.SharedPrefix, "sees", leaking)
    assert shows(policy, group, right)


def test_completions_do_not_see_each_other(policy: Policy, group: Group) -> None:
    before = shared(policy, group)[0]
    group.completion_ids_GC[2] = group.completion_ids_GC[3]
    after = shared(policy, group)[0]
    others = [0, 1, 3]
    assert far(before[others], after[others]) < VALUE
    assert far(before[2], after[2]) > 100 * VALUE


def test_mixed_precision_stays_near(policy: Policy, group: Group) -> None:
    """float32 weights under bfloat16 autocast: what training on a GPU does."""
    exact, _ = shared(policy, group)
    whole = gradients(policy.model, lambda: shared(policy, group))
    whole = {name: grad.clone() for name, grad in whole.items()}

    def mixed() -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            return shared(policy, group)

    near, _ = mixed()
    assert near.dtype == torch.float32
    assert 0 < far(exact, near) < 0.1
    assert worst(gradients(policy.model, mixed), whole) < 0.1
