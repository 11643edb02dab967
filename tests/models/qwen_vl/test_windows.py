"""Windows in groups of one length against the library's loop over windows."""

import numpy as np
import pytest
import torch
from torch import Tensor

from videothinker.models.loaded import Policy
from videothinker.models.qwen_vl import windows


def seen(policy: Policy, name: str) -> tuple[Tensor, dict[str, Tensor]]:
    """The tower's output and the gradients of a sum of it."""
    policy.model.set_attn_implementation({"vision_config": name})
    frames = np.random.default_rng(1).integers(0, 256, (4, 140, 252, 3), dtype=np.uint8)
    prompt = policy.encode("What moves?", policy.to_video(frames, 2.0))
    assert prompt.video.grid_thw.tolist() == [[2, 10, 18]]  # windows of 64, 16 and 4 patches
    policy.model.zero_grad()
    video_ND = policy.encode_videos([prompt])
    assert video_ND is not None
    (video_ND * torch.linspace(-1, 1, video_ND.numel()).view_as(video_ND)).sum().backward()
    named = policy.model.model.visual.named_parameters()
    return video_ND.detach(), {n: p.grad.clone() for n, p in named if p.grad is not None}


@pytest.mark.parametrize("checkpointing", [False, True])
def test_groups_see_what_windows_see(policy: Policy, checkpointing: bool) -> None:
    if checkpointing:
        policy.enable_gradient_checkpointing()
        policy.model.train()
    expected, wanted = seen(policy, "sdpa")
    found, gradients = seen(policy, windows.NAME)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert wanted.keys() == gradients.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-4)


def test_a_length_is_attended_once(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []
    real = windows.scaled_dot_product_attention

    def counted(query: Tensor, *rest: Tensor, **how: float) -> Tensor:
        calls.append(tuple(query.shape))
        return real(query, *rest, **how)

    monkeypatch.setattr(windows, "scaled_dot_product_attention", counted)
    seen(policy, windows.NAME)
    windowed, whole = calls[:-1], calls[-1]
    assert whole == (2, 2, 180, 16)
    assert [shape[0] * shape[2] for shape in windowed] == [256, 96, 8]


def test_boundaries_are_read_once() -> None:
    boundaries = torch.tensor([0, 3, 4, 7])
    grouped = windows.windows_of(boundaries)
    assert grouped.counts == ((3, 2), (1, 1))
    assert grouped.order_N is not None
    assert grouped.back_N is not None
    assert grouped.order_N.tolist() == [0, 1, 2, 4, 5, 6, 3]
    assert grouped.order_N[grouped.back_N].tolist() == list(range(7))
    assert windows.windows_of(boundaries) is grouped
    assert windows.windows_of(torch.tensor([0, 2, 4])).order_N is None
