"""What makes a run fit a smaller GPU: exact options change no parameter, others say so."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.toy_training import make_question
from videothinker import prompts
from videothinker.algorithms.base import BiasSource, Objective, TrainConfig
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.errors import UserError
from videothinker.generation.base import Sampling, generate
from videothinker.models.catalog import load_policy
from videothinker.training.models import OffloadedBias, load_bias, load_trainee
from videothinker.training.optimizer import MasterAdamW
from videothinker.training.step import accumulate_gradients

CPU = torch.device("cpu")
ADVANTAGES = torch.tensor([1.0, -0.5, 0.2, -0.7])


def after_two_steps(base: Path, other: Path, **changes: Any) -> dict[str, Tensor]:
    """The model's weights after two updates on two groups each."""
    config = CdpoConfig(
        **({"model": str(base), "out": Path("o"), "bias": str(other), "dtype": "float32"} | changes)
    )
    policy = load_trainee(config, CPU)
    bias = load_bias(BiasSource(config.bias, config.offload_bias), policy, config)
    assert isinstance(bias, OffloadedBias) == config.offload_bias
    optimizer = MasterAdamW(
        ((n, p) for n, p in policy.model.named_parameters() if p.requires_grad),
        lr=1e-3,
        weight_decay=0.01,
        device=config.optimizer_device,
    )
    questions = [make_question(number) for number in range(2)]
    words = [prompts.render(q.question, q.choices, context=q.context) for q in questions]
    for step in range(2):
        groups = generate(policy, [policy.encode(w) for w in words], Sampling(4, 7), [step, step])
        optimizer.zero()
        accumulate_gradients(
            policy,
            bias,
            groups,
            [ADVANTAGES, -ADVANTAGES],
            Objective(divergence=config.divergence, repulsion=0.1),
            completions=8,
            tokens=sum(int(group.mask_GC.sum()) for group in groups),
        )
        optimizer.gradients()
        optimizer.clip(0.5)
        optimizer.step(1e-3)
    return {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "option",
    [
        {"optimizer_device": "cpu"},
        {"offload_bias": True},
        {"offload_bias": True, "divergence": "k3"},
        {"gradient_checkpointing": False},
    ],
    ids=str,
)
def test_an_exact_option_gives_the_same_parameters(
    base: Path, other: Path, option: dict[str, Any], dtype: str
) -> None:
    same = {"divergence": option.get("divergence", "exact"), "dtype": dtype}
    plain, changed = (after_two_steps(base, other, **(same | one)) for one in ({}, option))
    start = load_policy(base, dtype=dtype).model.state_dict()
    assert any(not torch.equal(plain[name], start[name]) for name in plain)
    for name, tensor in plain.items():
        assert torch.equal(changed[name], tensor), name


def test_gradients_and_masters_of_an_offloaded_optimizer_are_its_own() -> None:
    model = torch.nn.Linear(8, 8)
    optimizer = MasterAdamW(model.named_parameters(), lr=1e-2, weight_decay=0.0, device="cpu")
    model(torch.ones(3, 8)).sum().backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert optimizer.masters["weight"].data_ptr() != model.weight.data_ptr()
    optimizer.step(1e-2)
    assert torch.equal(model.weight, optimizer.masters["weight"])


def test_the_bias_model_goes_home_also_after_an_error(base: Path, other: Path) -> None:
    config = CdpoConfig(model=str(base), out=Path("o"), bias=str(other), offload_bias=True)
    bias = load_bias(BiasSource(str(other), offload=True), load_trainee(config, CPU), config)
    assert isinstance(bias, OffloadedBias)
    home = [tensor.data_ptr() for tensor in bias.home]

    def use() -> None:
        with bias.active():
            assert not {p.data_ptr() for p in bias.params} & set(home)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert [p.data_ptr() for p in bias.params] == home


def test_eight_bit_moments_without_bitsandbytes_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(UserError, match="needs bitsandbytes.*pip install bitsandbytes"):
        MasterAdamW(
            [("w", torch.nn.Parameter(torch.ones(2)))], lr=1.0, weight_decay=0, moments="8bit"
        )


def test_eight_bit_moments_lie_on_the_gpu() -> None:
    given: Callable[..., TrainConfig] = TrainConfig
    with pytest.raises(UserError, match="float32 where optimizer_device is 'cpu'"):
        given(model="m", out=Path("o"), moments="8bit", optimizer_device="cpu")


def test_eight_bit_moments_are_kept_and_taken_up() -> None:
    """Runs where bitsandbytes is installed; its 8-bit update works on the CPU too."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")

    def fresh() -> tuple[torch.nn.Linear, MasterAdamW]:
        torch.manual_seed(0)
        model = torch.nn.Linear(128, 64).bfloat16()
        named = model.named_parameters()
        return model, MasterAdamW(named, lr=1e-2, weight_decay=0.0, moments="8bit")

    def run(model: torch.nn.Linear, optimizer: MasterAdamW, steps: int) -> None:
        for step in range(steps):
            torch.manual_seed(step)
            model(torch.randn(4, 128).bfloat16()).float().square().mean().backward()
            optimizer.step(1e-2)
            optimizer.zero()

    model, optimizer = fresh()
    run(model, optimizer, 2)
    kept = {name: tensor.clone() for name, tensor in optimizer.state().items()}
    assert kept["weight/state1"].dtype == torch.uint8
    run(model, optimizer, 1)
    again, resumed = fresh()
    resumed.load(kept)
    run(again, resumed, 1)
    # the third step's data is the first's again for both
    assert torch.equal(resumed.masters["weight"], optimizer.masters["weight"])
