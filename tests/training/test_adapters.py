"""LoRA: one copy of the base, the adapter alone on disk, and what is saved is what was trained."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.answering_toys import build_tiny
from tests.training.test_models import CPU, cdpo_config, one_group
from tests.training.toy_training import TINY, corpus, dying_at, quick_settings
from videothinker.algorithms.base import BiasSource, Objective
from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.models import adapters
from videothinker.models.adapters import BIAS_ADAPTER, POLICY_ADAPTER
from videothinker.models.catalog import load_model, load_policy
from videothinker.models.loaded import Policy
from videothinker.models.logprobs import group_logps
from videothinker.planning.live_bytes import LiveBytes
from videothinker.records import Step, read_jsonl
from videothinker.runs import digest_path
from videothinker.training import checkpoints
from videothinker.training.adapters import AdapterBias
from videothinker.training.models import load_bias, load_trainee, save_model
from videothinker.training.optimizer import MasterAdamW
from videothinker.training.stages import train
from videothinker.training.step import accumulate_gradients

ALONE = {"adapter_config.json", "adapter_model.safetensors", "base.json", "README.md"}
OPEN = {"guard": False}
Logps = Callable[[Policy], Tensor]


def adapted(base: Path) -> dict[str, Any]:
    return quick_settings(base) | {"lora_rank": 4, "learning_rate": 1e-2, "eval_steps": 0}


@pytest.fixture
def settings(base: Path) -> dict[str, Any]:
    return adapted(base)


@pytest.fixture(scope="module")
def lora(toy: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody changes."""
    root = tmp_path_factory.mktemp("lora")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(root / "cache"))
        return train(toy, BiasConfig(out=root / "bias", **adapted(base)))


@pytest.fixture(scope="module")
def logps(base: Path) -> Logps:
    """Log-probabilities of completions that the base drew."""
    group = one_group(load_policy(base))

    def of(policy: Policy) -> Tensor:
        with torch.no_grad():
            return group_logps(policy, group).logps_GC

    return of


def test_a_run_and_its_checkpoints_hold_the_adapter_alone(base: Path, lora: Path) -> None:
    last = lora / "checkpoints" / "step-4"
    assert {path.name for path in (lora / "model").iterdir()} == ALONE
    assert {path.name for path in last.iterdir()} == ALONE | {"optimizer.safetensors", "state.json"}
    assert not (lora / "adapter").exists()
    saved = (load_policy(lora).digest, load_policy(last).digest)
    assert saved[0] == saved[1]
    assert "not a complete model" in (last / "README.md").read_text()
    assert (lora / "model" / "base.json").read_text().count(str(base.resolve())) == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_loaded_is_what_the_optimizer_held(
    toy: Path, settings: dict[str, Any], tmp_path: Path, dtype: str
) -> None:
    """The last checkpoint's masters, rounded to what the forward pass saw; every verb loads so."""
    out = train(toy, GrpoConfig(out=tmp_path / "a", **(settings | {"dtype": dtype})))
    policy: Any = load_model(str(out), dtype=dtype)
    masters = load_file(out / "checkpoints/step-4/optimizer.safetensors")
    names = {name.removesuffix("/master") for name in masters if name.endswith("/master")}
    params = {name: p for name, p in policy.model.named_parameters() if ".lora_" in name}
    assert names == params.keys()
    for name, param in params.items():
        assert torch.equal(param, masters[f"{name}/master"].to(param.dtype)), name
        assert param.any()


def test_the_bias_adapter_on_the_policys_weights_is_the_run_itself(
    logps: Logps, base: Path, lora: Path
) -> None:
    policy = load_trainee(cdpo_config(base, lora_rank=4), CPU)
    bias = load_bias(BiasSource(str(lora)), policy, cdpo_config(base, lora_rank=4))
    assert isinstance(bias, AdapterBias)
    assert bias.policy is policy  # one copy of the base
    fresh, alone = logps(policy), load_policy(lora)
    assert torch.equal(fresh, logps(load_policy(base)))
    with bias.active():
        assert torch.equal(logps(policy), logps(alone))
        assert policy.digest == alone.digest  # measured successes can be reused
    assert (logps(alone) - fresh).abs().max() > 1e-4
    assert torch.equal(logps(policy), fresh)


def test_without_lora_the_bias_is_base_and_adapter_as_a_model_of_its_own(
    logps: Logps, base: Path, lora: Path
) -> None:
    policy = load_trainee(cdpo_config(base), CPU)
    bias = load_bias(BiasSource(str(lora)), policy, cdpo_config(base))
    assert bias.policy is not policy
    assert torch.equal(logps(bias.policy), logps(load_policy(lora)))
    assert not any(parameter.requires_grad for parameter in bias.policy.model.parameters())


def silent(adapter: Path, to: Path) -> str:
    """A copy whose factors multiply to nothing: its base again."""
    shutil.copytree(adapter, to)
    weights = load_file(to / adapters.WEIGHTS)
    zeros = {name: 0 * w if ".lora_B." in name else w for name, w in weights.items()}
    adapters.write_tensors(to / adapters.WEIGHTS, zeros)
    return str(to)


def test_the_policy_itself_is_refused_as_a_bias_in_each_of_its_shapes(
    base: Path, lora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = silent(lora / "model", tmp_path / "nothing")
    copy = str(shutil.copytree(base, tmp_path / "copy"))
    twin = str(shutil.copytree(lora / "model", tmp_path / "twin"))
    pairs = [  # model, rank, bias
        (str(base), 4, nothing),  # an adapter that adds nothing is the start of a fresh one
        (str(base), 4, copy),  # the base, from another folder
        (str(base), 0, nothing),
        (str(lora), 4, str(lora)),
        (str(lora), 4, twin),
    ]
    for model, rank, bias in pairs:
        config = cdpo_config(base, model=model, lora_rank=rank)
        with pytest.raises(UserError, match="is the policy itself.*train bias"):
            load_bias(BiasSource(bias), load_trainee(config, CPU), config)
        load_bias(BiasSource(bias, may_be_policy=True), load_trainee(config, CPU), config)
        assert "the ablation that collapses" in capsys.readouterr().err
    config = cdpo_config(base, model=str(lora), lora_rank=4)
    load_bias(BiasSource(nothing), load_trainee(config, CPU), config)  # here the base is other


def test_an_adapter_of_another_base_is_refused(
    base: Path, other: Path, lora: Path, tmp_path: Path
) -> None:
    config = cdpo_config(other, lora_rank=4)
    with pytest.raises(UserError, match="trained on another base"):
        load_bias(BiasSource(str(lora)), load_trainee(config, CPU), config)
    near = Path(shutil.copytree(base, tmp_path / "near"))
    weights = load_file(near / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][-1, -1] += 1e-6  # not at the beginning
    adapters.write_tensors(near / "model.safetensors", weights)
    near_config = cdpo_config(near, lora_rank=4)
    with pytest.raises(UserError, match="trained on another base"):
        load_bias(BiasSource(str(lora)), load_trainee(near_config, CPU), near_config)
    config = cdpo_config(base, lora_rank=4, dtype="bfloat16")  # another precision is no other base
    load_bias(BiasSource(str(lora)), load_trainee(config, CPU), config)


def test_an_adapter_that_does_not_fit_is_refused(lora: Path, tmp_path: Path) -> None:
    """A record of the base that was copied from elsewhere: the shapes still tell."""
    wider = build_tiny(tmp_path / "w", corpus(), **(TINY | {"intermediate": 96}))
    config = cdpo_config(wider, lora_rank=4)
    policy = load_trainee(config, CPU)
    assert policy.base is not None
    adapter = Path(shutil.copytree(lora / "model", tmp_path / "adapter"))
    told = f'{{"model": "{wider}", "digest": "{policy.base.digest}"}}'
    (adapter / "base.json").write_text(told)
    with pytest.raises(UserError, match="does not fit the model in .* tensors"):
        load_bias(BiasSource(str(adapter)), policy, config)


def test_only_the_policys_adapter_trains(base: Path, lora: Path) -> None:
    config = cdpo_config(base, lora_rank=4, gradient_checkpointing=True)
    policy = load_trainee(config, CPU)
    bias = load_bias(BiasSource(str(lora)), policy, config)
    objective = Objective(divergence="exact", repulsion=1.0)
    advantages = [torch.tensor([1.0, -1.0, 0.5, -0.5])]
    accumulate_gradients(
        policy, bias, [one_group(policy)], advantages, objective, completions=4, tokens=24
    )
    named = dict(policy.model.named_parameters())
    touched = {name for name, parameter in named.items() if parameter.grad is not None}
    trained = {name for name, parameter in named.items() if parameter.requires_grad}
    assert touched == trained == {n for n in named if f".{POLICY_ADAPTER}." in n}
    assert any(f".{BIAS_ADAPTER}." in name for name in named)


def test_cdpo_under_lora_repels_a_bias_adapter(
    toy: Path, lora: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    given = settings | OPEN | {"bias": str(lora)}
    whole = train(toy, CdpoConfig(out=tmp_path / "whole", **given))
    steps = read_jsonl(whole / "metrics.jsonl", Step)
    assert all(step.divergence is not None and step.repulsion != 0 for step in steps)
    saved = set(load_file(whole / "checkpoints/step-4/optimizer.safetensors"))
    assert all(f".{POLICY_ADAPTER}." in name for name in saved)
    assert {path.name for path in (whole / "model").iterdir()} == ALONE
    stored = load_file(whole / "model" / adapters.WEIGHTS)
    ours = adapters.factors(load_policy(whole).model, POLICY_ADAPTER)
    assert {name.removeprefix(adapters.PREFIX) for name in stored} == ours.keys()


def test_killed_under_lora_it_resumes_to_the_same_bytes(
    toy: Path, lora: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    given = settings | OPEN | {"bias": str(lora)}
    whole = train(toy, CdpoConfig(out=tmp_path / "whole", **given))
    for dies_at in (1, 3):
        out = tmp_path / f"killed-{dies_at}"
        with dying_at(dies_at), pytest.raises(KeyboardInterrupt):
            train(toy, CdpoConfig(out=out, **given))
        assert digest_path(train(toy, CdpoConfig(out=out, **given))) == digest_path(whole)


def test_an_adapter_is_trained_further_beside_the_same_base(
    logps: Logps, toy: Path, base: Path, lora: Path, settings: dict[str, Any], *, tmp_path: Path
) -> None:
    start = logps(load_policy(lora))
    trainee = load_trainee(cdpo_config(base, model=str(lora), lora_rank=4), CPU)
    assert torch.equal(logps(trainee), start)
    further = train(toy, GrpoConfig(out=tmp_path / "g", **(settings | {"model": str(lora)})))
    assert not torch.equal(logps(load_policy(further)), start)
    told = [(run / "model" / "base.json").read_text() for run in (lora, further)]
    assert told[0] == told[1]
    for wrong, message in (
        ({"lora_rank": 0}, "of which all weights cannot be trained.*export --merge"),
        ({"lora_rank": 8}, "of rank 4 and alpha 32, and lora_rank 8"),
        ({"lora_alpha": 64}, "lora_alpha 64 came"),
    ):
        config = cdpo_config(base, **({"model": str(lora), "lora_rank": 4} | wrong))
        with pytest.raises(UserError, match=message):
            load_trainee(config, CPU)


def test_an_old_run_with_merged_weights_serves_as_a_bias_model(
    logps: Logps, base: Path, other: Path, lora: Path, tmp_path: Path
) -> None:
    """Complete in `model/`, an adapter without its base's name beside it."""
    old = tmp_path / "old"
    shutil.copytree(other, old / "model")
    shutil.copytree(lora / "model", old / "adapter")
    (old / "adapter" / "base.json").write_text('{"fingerprint": "0"}')
    config = cdpo_config(base, lora_rank=4)
    bias = load_bias(BiasSource(str(old)), load_trainee(config, CPU), config)
    assert torch.equal(logps(bias.policy), logps(load_policy(other)))
    with pytest.raises(UserError, match="trained on; .*`train`"):
        load_bias(BiasSource(str(old / "adapter")), load_trainee(config, CPU), config)


@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_saving_stays_under_the_steps_peak(
    base: Path, tmp_path: Path, rank: int, dtype: str
) -> None:
    """Bytes alive at a checkpoint and at the final save are those that were alive before."""
    config = cdpo_config(base, lora_rank=rank, dtype=dtype)
    policy = load_trainee(config, CPU)
    named = ((n, p) for n, p in policy.model.named_parameters() if p.requires_grad)
    optimizer = MasterAdamW(named, lr=1e-3, weight_decay=0.0)
    group, advantages = one_group(policy), torch.tensor([1.0, -1.0, 0.5, -0.5])

    def step() -> None:
        accumulate_gradients(
            policy, None, [group], [advantages], Objective(), completions=4, tokens=24
        )
        optimizer.gradients()
        optimizer.step(1e-3)
        optimizer.zero()

    step()
    with LiveBytes([*policy.model.parameters(), *optimizer.state().values()]) as live:
        step()
        peak, resting = live.peak, live.now
        live.peak = live.now
        checkpoints.save_checkpoint(
            tmp_path / "c", policy, optimizer, checkpoints.Progress(step=1), keep=1
        )
        save_model(policy, tmp_path / "model")
    assert live.peak - resting < 0.02 * resting  # counters of steps, and nothing of a weight's size
    assert live.peak < peak
