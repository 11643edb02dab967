"""Two processes, in both ways of sharding, against one on the same global batch."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from safetensors.torch import load_file, save_file

from tests.models.plain.tiny import FAMILIES
from tests.planning.test_memory import SHAPES
from tests.training.sharded_runs import run
from tests.training.toy_training import make_question
from tests.warm import Warm
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.errors import UserError
from videothinker.models.qwen2_5_vl.small import build_small
from videothinker.records import Step, read_jsonl
from videothinker.runs import digest_path
from videothinker.training.stages import _are_of_videos

CHECKED: list[dict[str, Any]] = [
    {"shard": "states", "groups": 5},  # the processes get 3 and 2
    {"shard": "layers", "groups": 3, "checkpointing": True, "divergence": "js"},
    {"shard": "layers", "groups": 1, "divergence": "k2"},
    {"shard": "states", "groups": 1, "divergence": None, "video": False},
    # steps that add up to more than bfloat16 tells apart
    {"shard": "layers", "groups": 3, "lora": 4, "dtype": "bfloat16", "steps": 5, "lr": 5e-4}
    | {"video": False},
    {"plain": "smolvlm", "shard": "states", "groups": 3, "divergence": "rho_k3"},
    {"plain": "llava_onevision", "shard": "layers", "groups": 3, "checkpointing": True},
    {"plain": "qwen3_5", "shard": "layers", "groups": 3, "lora": 4, "divergence": "k3"},
]
WEIGHED: list[dict[str, Any]] = [
    {"folder": "wide", "shard": "states", "completion": 60},
    {"folder": "deep", "shard": "layers", "completion": 110, "dtype": "bfloat16"},
    {"folder": "sees", "shard": "layers", "completion": 12, "dtype": "bfloat16"},
    {"folder": "wide", "shard": "layers", "completion": 60, "dtype": "bfloat16", "lora": 8},
]


def grown(folder: Path) -> Path:
    """The model with every weight a tenth larger: stands for a bias model."""
    copy = Path(shutil.copytree(folder, folder.with_name(f"{folder.name}-other")))
    weights = load_file(copy / "model.safetensors")
    larger = {name: 1.1 * tensor for name, tensor in weights.items()}
    save_file(larger, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


@pytest.mark.slow
def test_numbers_and_memory_are_those_of_one_process_and_of_the_plan(
    warm: Warm, base: Path, other: Path, tmp_path: Path
) -> None:
    words = [f"What will happen if red cube {n} is gone? blue metal sphere {n}" for n in range(300)]
    folders = {
        name: build_small(tmp_path / name, SHAPES[name], words) for name in ("wide", "deep", "sees")
    }
    plain = {kind: build(tmp_path / kind) for kind, build in FAMILIES.items()}
    others = {kind: grown(folder) for kind, folder in plain.items()}
    checked = [
        case | {"models": [str(plain[case["plain"]]), str(others[case["plain"]])]}
        if "plain" in case
        else case
        for case in CHECKED
    ]
    weighed = [case | {"folder": str(folders[case["folder"]])} for case in WEIGHED]
    plan, out = tmp_path / "plan.json", tmp_path / "found.json"
    plan.write_text(json.dumps({"checked": checked, "weighed": weighed}))
    done = warm.ranks("tests.training.sharded_child", *map(str, (plan, base, other, out)))
    assert done.codes == [0, 0], done.said[-9000:]
    found = json.loads(out.read_text())
    for case, numbers in zip(CHECKED, found["checked"], strict=True):
        assert numbers["gradients"] < 1e-6, case
        assert numbers["moves"] < 1e-3, case
        assert numbers["published"], case
        assert numbers["held"] == pytest.approx(0.5, abs=0.01), case
    for case, bytes_ in zip(WEIGHED, found["weighed"], strict=True):
        told = max(size for name, size in bytes_["told"].items() if name != "rollout")
        assert told == pytest.approx(bytes_["measured"], rel=0.1), (case, bytes_)


def test_processes_that_train_a_tower_need_questions_of_one_kind(tmp_path: Path) -> None:
    told = make_question(0)
    shown = msgspec.structs.replace(make_question(1), context=None, video="a.mp4")
    both: Any = SimpleNamespace(train=(shown, told), source=Path("q.jsonl"))
    config = CdpoConfig(model="m", bias="b", out=tmp_path)
    with pytest.raises(UserError, match=r"q\.jsonl holds .* add --freeze-vision"):
        _are_of_videos(both, config)
    assert _are_of_videos(both, replace(config, freeze_vision=True))
    assert _are_of_videos(both, replace(config, lora_rank=8))
    alone: Any = SimpleNamespace(train=(told,))
    assert not _are_of_videos(alone, config)


def weights(run: Path) -> dict[str, Any]:
    return load_file(run / "model" / "model.safetensors")


def assert_near(run: Path, one: Path, start: Path, lr: float) -> None:
    """Weights after a few steps, of which some moved.

    Adam turns a rounding difference near zero into a step of the learning rate: compare the bulk of
    each tensor to a hundredth of that.
    """
    found, begun = weights(run), load_file(start / "model.safetensors")
    for name, tensor in weights(one).items():
        far = (tensor - found[name]).abs() > 0.01 * lr
        assert far.float().mean() < 0.02, (run.name, name)
    assert any((tensor != begun[name]).any() for name, tensor in found.items())


@pytest.mark.slow
def test_runs_are_those_of_one_process(
    warm: Warm, toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    """Sharded either way; killed and resumed; and gone on with by another number of processes."""
    settings = quick | {
        "prompts_per_step": 3,  # odd: the processes get 2 and 1 groups
        "max_steps": 3,
        "save_steps": 2,
        "learning_rate": 1e-4,
    }
    drawn = {"sampling": "bias-failure", "sampling_rollouts": 2}
    cdpo = settings | drawn | {"bias": str(other), "guard_valid": 0.0, "guard_entropy": 9.0}
    layers = {"shard": "layers", "gradient_checkpointing": True}
    reward = cdpo | {"divergence_in": "reward", "sampling": "uniform", "max_steps": 1}
    grpo = settings | {"max_steps": 1}
    plan = [
        ("states", "cdpo", cdpo, None),
        ("layers", "cdpo", cdpo | layers, None),
        ("killed", "cdpo", cdpo, 3),
        ("killed", "cdpo", cdpo, None),
        ("half", "bias", settings | {"shard": "layers"}, 3),
        ("reward", "cdpo", reward | layers, None),
        ("grpo", "grpo", grpo | layers, None),
    ]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    words = map(str, (toy, tmp_path, tmp_path / "plan.json"))
    done = warm.ranks("tests.training.sharded_runs", *words)
    assert done.codes == [0, 0], done.said[-9000:]

    def alone(name: str, algorithm: str, settings: dict[str, Any]) -> Path:
        return run(toy, tmp_path / name, algorithm, settings)

    one = alone("one", "cdpo", cdpo)
    facts = json.loads((tmp_path / "states" / "run.json").read_text())["facts"]
    assert facts["processes"] == 2
    start = Path(str(quick["model"]))
    for name in ("states", "layers"):
        assert_same_records(tmp_path / name, one)
        assert_near(tmp_path / name, one, start, settings["learning_rate"])
        assert (tmp_path / name / "success.jsonl").read_bytes() == (
            one / "success.jsonl"
        ).read_bytes()
    assert digest_path(tmp_path / "killed") == digest_path(tmp_path / "states")
    assert not (tmp_path / "half" / "model").exists()
    half = alone("half", "bias", settings)  # one process goes on where two stopped
    for name, whole in (
        ("reward", alone("one-reward", "cdpo", reward)),
        ("grpo", alone("one-grpo", "grpo", grpo)),
        ("half", alone("one-bias", "bias", settings)),
    ):
        assert_same_records(tmp_path / name, whole)
    assert_near(half, tmp_path / "one-bias", start, settings["learning_rate"])


def assert_same_records(run: Path, other: Path) -> None:
    ours, theirs = (read_jsonl(folder / "metrics.jsonl", Step) for folder in (run, other))
    for a, b in zip(ours, theirs, strict=True):
        assert a.loss == pytest.approx(b.loss, abs=1e-6)
        assert (a.divergence or 0.0) == pytest.approx(b.divergence or 0.0, rel=1e-5)
        assert a.entropy == pytest.approx(b.entropy, rel=1e-5)
        assert a.metrics["grad_norm"] == pytest.approx(b.metrics["grad_norm"], rel=1e-4)
        assert (a.reward, a.valid, a.dropped_groups) == (b.reward, b.valid, b.dropped_groups)
