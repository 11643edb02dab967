"""A killed run, and one in bfloat16, resumes to the same bytes."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.toy_training import OPEN, dying_at
from tests.warm import Warm
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.models.catalog import load_policy
from videothinker.runs import digest_path
from videothinker.training.stages import train


@pytest.fixture
def cdpo_settings(other: Path, quick: dict[str, Any]) -> dict[str, Any]:
    """Everything at once: repulsion, controller, bias-failure sampling."""
    sampling = {"sampling": "bias-failure", "sampling_rollouts": 2}
    steered = {"schedule": "controller", "divergence": "exact", "repulsion": 0.3}
    return quick | OPEN | sampling | steered | {"bias": str(other)}


def test_killed_at_any_step_it_resumes_to_the_same_bytes(
    cdpo_settings: dict[str, Any], toy: Path, tmp_path: Path
) -> None:
    def config(name: str) -> CdpoConfig:
        return CdpoConfig(out=tmp_path / name, **cdpo_settings)

    whole, checkpoint = train(toy, config("whole")), "checkpoints/step-4/optimizer.safetensors"
    for dies_at in (1, 2, 4):
        with dying_at(dies_at), pytest.raises(KeyboardInterrupt):
            train(toy, config(f"killed-{dies_at}"))
        killed = train(toy, config(f"killed-{dies_at}"))
        assert digest_path(killed) == digest_path(whole)
        assert (killed / checkpoint).read_bytes() == (whole / checkpoint).read_bytes()


CHILD = """
import pathlib
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.training.stages import train
train(pathlib.Path({toy!r}), GrpoConfig(out=pathlib.Path({out!r}), **{settings!r}))
"""


@pytest.mark.slow
def test_kill_minus_nine(warm: Warm, toy: Path, quick: dict[str, Any], tmp_path: Path) -> None:
    settings = quick | {"max_steps": 9, "save_steps": 2, "eval_steps": 0}
    whole = train(toy, GrpoConfig(out=tmp_path / "whole", **settings))
    out = tmp_path / "killed"
    child = warm.start("-c", CHILD.format(toy=str(toy), out=str(out), settings=settings))
    metrics = out / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if metrics.exists() and metrics.read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.01)
    assert child.kill() == -signal.SIGKILL
    train(toy, GrpoConfig(out=out, **settings))
    assert digest_path(out) == digest_path(whole)


def test_bfloat16_moves_its_masters_and_resumes_to_the_same_bytes(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    half = quick | {"dtype": "bfloat16", "learning_rate": 1e-6, "eval_steps": 0}
    whole = train(toy, GrpoConfig(out=tmp_path / "a", **half))
    masters = load_file(whole / "checkpoints/step-4/optimizer.safetensors")
    start = load_policy(quick["model"]).model.state_dict()
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    moved = (masters[f"{name}/master"] - start[name].to(torch.bfloat16).float()).abs()
    assert 0 < moved.max() < 1e-5
    with dying_at(3), pytest.raises(KeyboardInterrupt):
        train(toy, GrpoConfig(out=tmp_path / "b", **half))
    again = train(toy, GrpoConfig(out=tmp_path / "b", **half))
    assert digest_path(again) == digest_path(whole)
    kept = load_file(again / "checkpoints/step-4/optimizer.safetensors")
    assert all(torch.equal(kept[key], masters[key]) for key in masters)
