"""An adapter's sum in few kernels is peft's own, forward and backward."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from videothinker.models import lora
from videothinker.models.adapters import inject, layers


class Two(nn.Module):
    """A map with a bias, whose output is turned around, and one without."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 4, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        return self.second(self.first(states).transpose(0, 1).tanh()).transpose(0, 1)


def pefts(model: nn.Module, lora: Any, name: str) -> None:
    """Put an adapter into the model as peft alone does."""
    inject_adapter_in_model(lora, model, adapter_name=name)


def adapted(put: Callable[..., Any] = inject, **settings: Any) -> nn.Module:
    torch.manual_seed(0)
    model = Two().requires_grad_(requires_grad=False)
    given = {"r": 3, "lora_alpha": 12, "target_modules": ["first", "second"]} | settings
    put(model, LoraConfig(**given), "policy")
    for name, param in model.named_parameters():
        if ".lora_" in name:
            param.data = torch.randn(
                param.shape, generator=torch.Generator().manual_seed(len(name))
            )
    return model


def results(model: nn.Module, *, of_input: bool = True) -> list[Tensor]:
    states = torch.linspace(-1, 1, 2 * 5 * 6).view(2, 5, 6).requires_grad_(requires_grad=of_input)
    made = model(states)
    made.pow(3).sum().backward()
    trained = [param.grad for name, param in model.named_parameters() if ".lora_" in name]
    return [made.detach(), *(grad for grad in [*trained, states.grad] if grad is not None)]


@pytest.mark.parametrize("of_input", [False, True])
def test_output_and_gradients_are_pefts(of_input: bool) -> None:
    quick, usual = (results(adapted(put), of_input=of_input) for put in (inject, pefts))
    assert len(quick) == len(usual) == 5 + of_input
    for mine, theirs in zip(quick, usual, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("broken", ["scale", "gradient"])
def test_a_wrong_sum_is_seen(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    usual = results(adapted(pefts))
    model = adapted()
    if broken == "scale":
        next(layer for _, layer in layers(model)).scaling["policy"] *= 1.001
    else:
        monkeypatch.setattr(lora, "_scaled", lambda one, other, _: one @ other)
    found = zip(results(model), usual, strict=True)
    assert not all(torch.allclose(mine, theirs, rtol=1e-5, atol=1e-5) for mine, theirs in found)


def test_gradients_are_differences() -> None:
    """In float64."""
    torch.manual_seed(1)
    parts = [torch.randn(shape, dtype=torch.float64) for shape in ((2, 3, 4), (2, 3, 5), (2, 5))]
    parts.append(torch.randn(4, 2, dtype=torch.float64))
    parts = [part.requires_grad_() for part in parts]

    def added(made: Tensor, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return lora.Added.apply(1 * made, x, a, b, 0.7)  # 1 *: it is written over

    assert torch.autograd.gradcheck(added, parts)


@pytest.mark.parametrize(
    "settings",
    [
        {"lora_dropout": 0.5},
        {"use_dora": True},
        {"lora_bias": True, "target_modules": ["first"]},
    ],
)
def test_what_is_no_plain_sum_is_left_to_peft(settings: dict[str, Any]) -> None:
    model = adapted(**settings)
    assert not any(layer.lora_variant.get("policy") is lora.Quick for _, layer in layers(model))


def test_an_adapter_of_another_precision_is_added_all_the_same() -> None:
    quick, usual = adapted(), adapted(pefts)
    states = torch.ones(1, 2, 6, dtype=torch.bfloat16)
    for model in (quick, usual):
        for _, layer in layers(model):
            layer.get_base_layer().to(torch.bfloat16)
    torch.testing.assert_close(quick(states), usual(states), rtol=0.02, atol=0.05)
