"""At learning rate 1e-6 a bfloat16 weight never moves; ours do, as float32 weights would."""

import gc
import weakref
from typing import Literal

import pytest
import torch
from torch import nn

from videothinker.training.optimizer import MasterAdamW


def layer(dtype: torch.dtype) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(64, 64).to(torch.bfloat16).to(dtype)  # the same weights in both precisions


def run(model: nn.Linear, optimizer: MasterAdamW, steps: int = 20) -> None:
    rng = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for _group in range(2):
            x = torch.randn(32, 64, generator=rng).to(model.weight.dtype)
            model(x).float().square().mean().backward()
        optimizer.gradients()
        optimizer.clip(20.0)
        optimizer.step(1e-6)
        optimizer.zero()


def test_master_weights_move_within_five_per_cent_of_float32() -> None:
    moved = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = layer(dtype)
        start = model.weight.detach().float().clone()
        optimizer = MasterAdamW(model.named_parameters(), lr=1e-6, weight_decay=0.0)
        run(model, optimizer)
        moved[dtype] = optimizer.masters["weight"].detach() - start
    full, ours = moved[torch.float32], moved[torch.bfloat16]
    assert full.abs().mean() > 1e-6
    assert (ours - full).norm() < 0.05 * full.norm()


def test_a_plain_bfloat16_weight_would_not_move() -> None:
    model = layer(torch.bfloat16)
    start = model.weight.detach().clone()
    plain = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.0)
    for _ in range(20):
        model(torch.randn(32, 64, dtype=torch.bfloat16)).float().square().mean().backward()
        plain.step()
        plain.zero_grad()
    large = start.abs() > 1e-3
    assert torch.equal(model.weight[large], start[large])


def test_the_model_computes_with_its_rounded_masters() -> None:
    model = layer(torch.bfloat16)
    optimizer = MasterAdamW(model.named_parameters(), lr=1e-6, weight_decay=0.0)
    with torch.no_grad():
        optimizer.masters["bias"] += 1.0
    run(model, optimizer, steps=1)
    assert torch.equal(model.bias, optimizer.masters["bias"].to(torch.bfloat16))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_state_and_load_continue_to_the_same_bits() -> None:
    def fresh() -> tuple[nn.Linear, MasterAdamW]:
        model = layer(torch.bfloat16)
        return model, MasterAdamW(model.named_parameters(), lr=1e-6, weight_decay=0.0)

    model, optimizer = fresh()
    run(model, optimizer, steps=3)
    kept = {name: tensor.clone() for name, tensor in optimizer.state().items()}
    run(model, optimizer, steps=2)
    again, resumed = fresh()
    resumed.load(kept)
    run(again, resumed, steps=2)
    for name, tensor in optimizer.state().items():
        assert torch.equal(resumed.state()[name], tensor), name
    assert torch.equal(again.weight, model.weight)


@pytest.mark.parametrize("device", ["model", "cpu"])
def test_model_and_optimizer_go_when_nobody_holds_them(device: Literal["model", "cpu"]) -> None:
    """A hook that led back to the weights would hold all of it to the process's end."""
    model = layer(torch.bfloat16)
    optimizer = MasterAdamW(model.named_parameters(), lr=1e-6, weight_decay=0.0, device=device)
    run(model, optimizer, steps=1)
    master = optimizer.masters["weight"]
    moment = optimizer.adam.state[master]["exp_avg"]
    held = [weakref.ref(one) for one in (model.weight, optimizer, master, moment)]
    del model, optimizer, master, moment
    gc.collect()
    assert [one() for one in held] == [None] * 4


def test_a_tensor_without_gradient_counts_as_zero() -> None:
    model = layer(torch.float32)
    optimizer = MasterAdamW(model.named_parameters(), lr=1e-6, weight_decay=0.0)
    assert [float(gradient.abs().sum()) for gradient in optimizer.gradients()] == [0, 0]
