"""The three stages, whole and small: what a run writes, and what it refuses to count as success."""

import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from tests.training.toy_training import OPEN, dying_at
from videothinker.algorithms.base import READING, SAME_RESULT, TrainConfig
from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.choices import RewardScale
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.cli import main, parse
from videothinker.errors import UserError
from videothinker.models.catalog import load_policy
from videothinker.records import Step, read_jsonl
from videothinker.runs import digest_path
from videothinker.training.data import load_training_set
from videothinker.training.stages import _following, train


def test_bias_then_grpo_then_cdpo(
    toy: Path, quick: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bias = train(toy, BiasConfig(out=tmp_path / "bias", **quick))
    grpo = train(toy, GrpoConfig(out=tmp_path / "grpo", **quick))
    cdpo = train(toy, CdpoConfig(out=tmp_path / "cdpo", bias=str(bias), **OPEN, **quick))
    for out in (bias, grpo, cdpo):
        steps = read_jsonl(out / "metrics.jsonl", Step)
        assert [step.step for step in steps] == [1, 2, 3, 4]
        assert set(steps[0].reward) == {"tests.training.toy_training:length_reward", "format"}
        model, info = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            out / "checkpoints" / "step-4", output_loading_info=True
        )
        assert not any(info.values())
        assert load_policy(out / "model").digest == load_policy(out / "checkpoints/step-4").digest
        assert model.lm_head.weight.dtype == torch.float32
    pushed = read_jsonl(cdpo / "metrics.jsonl", Step)
    assert all(step.divergence is not None and step.repulsion > 0 for step in pushed)
    assert all(step.divergence is None for step in read_jsonl(grpo / "metrics.jsonl", Step))
    held = load_training_set(toy, GrpoConfig(out=tmp_path / "grpo", **quick))
    parts = [held.parts[q.id] for q in held.validation if q.id in held.parts]
    for step in read_jsonl(grpo / "metrics.jsonl", Step)[1::2]:
        told = [step.metrics[f"held_out/inferential, {part}"] for part in parts]
        assert step.metrics["held_out/inferential"] == pytest.approx(sum(told) / 2)
    facts = msgspec.json.decode((grpo / "run.json").read_bytes())["facts"]
    assert facts["labels"] == {"inferential": 13, "observational": 43}
    assert facts["held_out_labels"] == {"inferential": 2, "observational": 2}
    assert facts["tier"] == "transcript"
    assert facts["processes"] == 1
    said = capsys.readouterr().err.replace("\n", " ")
    assert "read 56 questions" in said
    assert "1 process, activations kept" in said
    # an untrained model keeps to no format: that it earns by length is no success
    assert facts["weights_changed"]
    assert len(facts["warnings"]) == 1
    assert "no answer could be read" in said
    assert "next:" not in said


@dataclass(frozen=True, kw_only=True)
class Sequences(TrainConfig):
    """An algorithm of one's own: no division by the group's deviation, and one refill."""

    stage: ClassVar[str] = "sequences"
    scale_rewards: RewardScale = "none"

    def refills(self) -> int:
        return 1


def test_an_algorithm_of_ones_own_is_a_config_with_its_answers(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    """Without a signal in the reward each step draws its three groups twice."""
    rewards = {"reward_funcs": ("tests.training.toy_training:flat",), "max_steps": 1}
    out = train(toy, Sequences(out=tmp_path / "own", **(quick | rewards)))
    (step,) = read_jsonl(out / "metrics.jsonl", Step)
    assert (step.metrics["drawn"], step.dropped_groups, step.divergence) == (6, 6, None)
    assert msgspec.json.decode((out / "run.json").read_bytes())["stage"] == "train_sequences"


def test_the_same_command_writes_the_same_bytes_and_a_done_run_returns(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    first = train(toy, GrpoConfig(out=tmp_path / "a", **quick))
    second = train(toy, GrpoConfig(out=tmp_path / "b", **quick))
    assert digest_path(first) == digest_path(second)
    before = (first / "run.json").read_bytes()
    assert train(toy, GrpoConfig(out=tmp_path / "a", **quick)) == first
    assert (first / "run.json").read_bytes() == before


def test_another_setting_in_the_same_folder_is_refused(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    train(toy, GrpoConfig(out=tmp_path / "a", **quick))
    with pytest.raises(UserError, match="learning_rate"):
        train(toy, GrpoConfig(out=tmp_path / "a", **(quick | {"learning_rate": 0.5})))


def test_what_changes_no_number_may_differ_on_resume(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    changed: dict[str, Any] = {
        "deadline": 50.0, "decode_megabytes": 1000, "reward_timeout": 9.0, "max_bad_steps": 7,
        "gradient_checkpointing": True, "save_steps": 1, "save_total_limit": 1,
    }  # fmt: skip
    assert changed.keys() < {*SAME_RESULT, *READING}
    one = train(toy, GrpoConfig(out=tmp_path / "one", **quick))
    with dying_at(2), pytest.raises(KeyboardInterrupt):
        train(toy, GrpoConfig(out=tmp_path / "other", **quick))
    other = train(toy, GrpoConfig(out=tmp_path / "other", **(quick | changed)))
    assert digest_path(other) == digest_path(one)


def test_more_steps_go_on_with_a_done_run_and_end_in_the_same_bytes(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    short, long = quick | {"max_steps": 1}, quick | {"max_steps": 2}
    whole = train(toy, GrpoConfig(out=tmp_path / "whole", **long))
    grown = train(toy, GrpoConfig(out=tmp_path / "grown", **short))
    assert digest_path(grown) != digest_path(whole)
    train(toy, GrpoConfig(out=tmp_path / "grown", **long))
    assert digest_path(grown) == digest_path(whole)
    told = msgspec.json.decode((grown / "run.json").read_bytes())
    assert (told["config"]["max_steps"], told["status"], len(told["times"])) == (2, "done", 2)
    with pytest.raises(UserError, match="max_steps: 2 there, 1 here"):
        train(toy, GrpoConfig(out=tmp_path / "grown", **short))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (GrpoConfig, "evaluate --model runs/one --data 'my data' --out runs/evaluate-one"),
        (BiasConfig, "train cdpo --data 'my data' --model m --bias runs/one --out runs/cdpo"),
    ],
)
def test_the_next_command_has_this_runs_values_and_parses(
    kind: type[TrainConfig], told: str
) -> None:
    found = _following(Path("my data"), kind(model="m", out=Path("runs/one")))
    assert found == told
    name, _, _ = parse(shlex.split(found))
    assert found.startswith(name)


def test_a_learning_rate_that_falls_to_the_last_step_cannot_go_on(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    falling = quick | {"lr_scheduler_type": "linear"}
    train(toy, GrpoConfig(out=tmp_path / "a", **(falling | {"max_steps": 1})))
    with pytest.raises(UserError, match="max_steps: 1 there, 2 here"):
        train(toy, GrpoConfig(out=tmp_path / "a", **(falling | {"max_steps": 2})))


@pytest.mark.parametrize("stage", ["bias", "grpo"])
def test_a_run_whose_reward_is_always_one_says_so_and_is_no_success(
    toy: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    out, recipe = tmp_path / "flat", tmp_path / "flat.yaml"
    recipe.write_text(
        "dtype: float32\ngradient_checkpointing: false\nmax_completion_length: 6\n"
        "num_generations: 4\nmax_steps: 2\neval_steps: 0\n"
        "reward_funcs: [tests.training.toy_training:flat]\n"
    )
    words = ["train", stage, "--config", str(recipe), "--data", str(toy), "--model", str(base)]
    assert main([*words, "--out", str(out)]) == 1
    said = " ".join(capsys.readouterr().err.split())
    steps = read_jsonl(out / "metrics.jsonl", Step)
    assert [step.reward for step in steps] == [{"tests.training.toy_training:flat": 1.0}] * 2
    assert "tests.training.toy_training:flat 1.000 1.000" in said
    assert "warning: in flat no group had a signal" in said
    assert "trained to" not in said
    assert "next:" not in said
    assert load_policy(out / "model").digest == load_policy(base).digest
    assert main([*words, "--out", str(out)]) == 1
    again = " ".join(capsys.readouterr().err.split())
    assert "is done already" in again
    assert "no group had a signal" in again
    ours = ["train", "cdpo", *words[2:], "--bias", str(out), "--out", str(tmp_path / "cdpo")]
    assert main(ours) == 2
    assert "in flat no group had a signal" in capsys.readouterr().err


def test_a_reward_that_ends_the_process_is_no_success(
    toy: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, recipe = tmp_path / "left", tmp_path / "left.yaml"
    recipe.write_text(
        "dtype: float32\ngradient_checkpointing: false\nmax_completion_length: 6\n"
        "num_generations: 4\nmax_steps: 2\neval_steps: 0\n"
        "reward_funcs: [tests.training.toy_training:leaves]\n"
    )
    words = ["train", "grpo", "--config", str(recipe), "--data", str(toy), "--model", str(base)]
    assert main([*words, "--out", str(out)]) not in (0, 1)
    assert "leaves" in capsys.readouterr().err
    assert msgspec.json.decode((out / "run.json").read_bytes())["status"] == "failed"
    assert not (out / "model").exists()


def test_a_prompt_over_the_limit_is_an_error_that_names_the_question(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"toy/train/\d+.*at most 20 are allowed"):
        train(toy, GrpoConfig(out=tmp_path / "a", **(quick | {"max_prompt_length": 20})))


@pytest.mark.skipif(find_spec("tensorboard") is not None, reason="tensorboard is installed")
def test_a_tracker_that_is_not_installed_is_an_error(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"not installed; run `pip install"):
        train(toy, GrpoConfig(out=tmp_path / "a", log_with="tensorboard", **quick))
