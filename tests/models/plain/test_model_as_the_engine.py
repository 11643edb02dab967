"""One Qwen2.5-VL loaded both ways, with the same positions: both paths compute the same."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from videothinker.generation import plain, shared_prefix
from videothinker.generation.base import Sampling
from videothinker.models import base
from videothinker.models.base import Group
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import Policy
from videothinker.models.logprobs import group_logps

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
try:  # the benchmark of the step asks the plain path so as well
    step_plain: Any = import_module("step_plain")
finally:
    sys.path.remove(str(BENCHMARKS))
Borrowed, load_plain = step_plain.Borrowed, step_plain.load_plain
WEIGHTS_GC = (
    torch.tensor([[1.0, -2.0, 0.5, 1.5, -1.0, 2.0, -0.5]] * 4) * torch.arange(1, 5)[:, None]
)


class Uncounted(Borrowed):
    """Leaves the positions to the library."""

    def positions(self, prompt: base.Prompt) -> None:
        return None


def both(policy: Policy, video: np.ndarray | None, words: str) -> Any:
    shown = None if video is None else policy.to_video(video, 30.0)
    return policy.encode(words, shown)


def with_prompt(group: Group, prompt: Any) -> Group:
    return Group(prompt, group.completion_ids_GC, group.mask_GC, group.truncated_G)


def gradients(policy: Policy, group: Group) -> tuple[Tensor, dict[str, Tensor]]:
    policy.model.train()
    policy.model.zero_grad()
    logps_GC = group_logps(policy, group, temperature=0.8).logps_GC
    (logps_GC * WEIGHTS_GC).sum().backward()
    found = {n: p.grad for n, p in policy.model.named_parameters() if p.grad is not None}
    return logps_GC.detach(), found


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("seen", [True, False])
def test_gradients_equal_the_engines(
    tiny_folder: Path, frames_THW3: np.ndarray, group: Group, seen: bool, checkpointing: bool
) -> None:
    engine = load_policy(tiny_folder)
    other = load_plain(tiny_folder, engine)
    video = frames_THW3 if seen else None
    ours, theirs = (
        with_prompt(group, both(one, video, "Which one hits the cube?")) for one in (engine, other)
    )
    assert torch.equal(ours.prompt.input_ids_P, theirs.prompt.input_ids_P)
    if checkpointing:
        for one in (engine, other):
            one.enable_gradient_checkpointing()
    logps_GC, grads = gradients(engine, ours)
    plain_GC, plain_grads = gradients(other, theirs)
    torch.testing.assert_close(plain_GC, logps_GC, atol=1e-5, rtol=0)
    assert grads.keys() == plain_grads.keys()
    assert any("visual" in name for name in grads) == seen
    for name, grad in grads.items():
        gap = (plain_grads[name] - grad).norm() / grad.norm().clamp(min=1e-6)
        assert gap < 1e-4, name


def test_other_positions_would_show(
    tiny_folder: Path, frames_THW3: np.ndarray, group: Group
) -> None:
    engine = load_policy(tiny_folder)
    found = []
    for frames in (Borrowed, Uncounted):
        other = load_plain(tiny_folder, engine, frames)
        prompt: Any = both(other, frames_THW3, "Which one?")
        if frames is Uncounted:
            prompt.kinds["mm_token_type_ids"] = 2 * prompt.video_P.long()
        with torch.no_grad():
            found.append(group_logps(other, with_prompt(group, prompt)).logps_GC)
    assert (found[0] - found[1]).abs().max() > 1e-3


def test_greedy_tokens_equal_the_engines(tiny_folder: Path, frames_THW3: np.ndarray) -> None:
    engine = load_policy(tiny_folder)
    other = load_plain(tiny_folder, engine)
    sampling = Sampling(num_generations=1, max_completion_length=9, temperature=0)
    for words in ("Which one hits the cube?", "Why?"):
        (ours,) = shared_prefix.generate(engine, [both(engine, frames_THW3, words)], sampling, [0])
        (theirs,) = plain.generate(other, [both(other, frames_THW3, words)], sampling, [0])
        assert torch.equal(ours.completion_ids_GC, theirs.completion_ids_GC)


def test_lora_changes_the_same_maps(tiny_folder: Path) -> None:
    import re

    engine = load_policy(tiny_folder)
    other = load_plain(tiny_folder, engine)
    names = [name for name, _ in engine.model.named_modules()]
    chosen = [
        {name for name in names if re.fullmatch(one.lora_targets, name)} for one in (engine, other)
    ]
    assert chosen[0] == chosen[1] != set()
    other.freeze_vision()
    engine.freeze_vision()
    trained = [
        {name for name, weight in one.model.named_parameters() if weight.requires_grad}
        for one in (engine, other)
    ]
    assert trained[0] == trained[1]
