"""The three stages, whole and small: records, resuming, refusing."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen2_5_VLForConditionalGeneration

from videothinker.algorithms.base import TrainConfig
from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.choices import Scale
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.cli import main
from videothinker.errors import UserError
from videothinker.models.catalog import load_policy
from videothinker.records import Sample, Step, read_jsonl
from videothinker.runs import digest_path
from videothinker.training import loop
from videothinker.training.data import load_training_set
from videothinker.training.sampling import uniform_stream
from videothinker.training.stages import train

OPEN = {"guard": False}
"""An untrained model has no valid format and high entropy; let it be pushed all the same."""


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
    # an untrained model keeps to no format: that it earns by length is no success
    assert facts["weights_changed"]
    assert len(facts["warnings"]) == 1
    assert "no answer could be read" in said
    assert "next:" not in said


@dataclass(frozen=True, kw_only=True)
class Sequences(TrainConfig):
    """An algorithm of one's own: no division by the group's deviation, and one refill."""

    stage: ClassVar[str] = "sequences"
    scale_rewards: Scale = "none"

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


@pytest.fixture
def cdpo_settings(other: Path, quick: dict[str, Any]) -> dict[str, Any]:
    """Everything at once: repulsion, controller, bias-failure sampling."""
    sampling = {"sampling": "bias-failure", "sampling_rollouts": 2}
    return quick | OPEN | sampling | {"bias": str(other)}


@pytest.mark.parametrize("dies_at", [1, 2, 3, 4])
def test_killed_at_any_step_it_resumes_to_the_same_bytes(
    cdpo_settings: dict[str, Any], toy: Path, tmp_path: Path, dies_at: int
) -> None:
    def config(name: str) -> CdpoConfig:
        return CdpoConfig(out=tmp_path / name, **cdpo_settings)

    whole = train(toy, config("whole"))
    update = loop.update

    def die(loop: Any, batch: Any, objective: Any, progress: Any) -> Any:
        if progress.step + 1 == dies_at:
            raise KeyboardInterrupt
        return update(loop, batch, objective, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "update", die)
        with pytest.raises(KeyboardInterrupt):
            train(toy, config("killed"))
    killed = train(toy, config("killed"))
    assert digest_path(killed) == digest_path(whole)
    checkpoint = "checkpoints/step-4/optimizer.safetensors"
    assert (killed / checkpoint).read_bytes() == (whole / checkpoint).read_bytes()


CHILD = """
import sys, pathlib, torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.training.data import load_training_set
from videothinker.training.sampling import uniform_stream
from videothinker.training.stages import train
if __name__ == "__main__":
    train(pathlib.Path({toy!r}), GrpoConfig(out=pathlib.Path({out!r}), **{settings!r}))
"""


@pytest.mark.slow
def test_kill_minus_nine(toy: Path, quick: dict[str, Any], tmp_path: Path) -> None:
    settings = quick | {"max_steps": 9, "save_steps": 2, "eval_steps": 0}
    whole = train(toy, GrpoConfig(out=tmp_path / "whole", **settings))
    out = tmp_path / "killed"
    code = CHILD.format(
        tests=str(Path(__file__).parents[2]), toy=str(toy), out=str(out), settings=settings
    )
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    child = subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL)
    metrics = out / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and child.poll() is None:
        if metrics.exists() and metrics.read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    train(toy, GrpoConfig(out=out, **settings))
    assert digest_path(out) == digest_path(whole)


def test_another_setting_in_the_same_folder_is_refused(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    train(toy, GrpoConfig(out=tmp_path / "a", **quick))
    with pytest.raises(UserError, match="learning_rate"):
        train(toy, GrpoConfig(out=tmp_path / "a", **(quick | {"learning_rate": 0.5})))


def test_dynamic_sampling_drops_groups_without_signal_and_refills(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    """Counted along the stream, which goes on after the dropped: odd questions have a signal."""
    rewards = {"reward_funcs": ("tests.training.toy_training:odd_only",)}
    config = BiasConfig(out=tmp_path / "bias", **(quick | rewards))
    draw, place = uniform_stream(load_training_set(toy, config).train, config.seed), 0
    expected: list[tuple[int, int]] = []
    for _ in range(config.max_steps):
        first, kept = place, 0
        while kept < 3:
            missing = range(place, place + 3 - kept)
            kept += sum(int(draw(number).id[-1]) % 2 for number in missing)
            place = missing.stop
        expected.append((place - first, place - first - 3))
    steps = read_jsonl(train(toy, config) / "metrics.jsonl", Step)
    assert [(step.metrics["drawn"], step.dropped_groups) for step in steps] == expected
    assert sum(dropped for _, dropped in expected) > 0
    assert all(step.metrics["groups"] == 3 for step in steps)
    kept_all = train(toy, GrpoConfig(out=tmp_path / "grpo", **(quick | rewards)))
    for step in read_jsonl(kept_all / "metrics.jsonl", Step):
        assert step.metrics["drawn"] == step.metrics["groups"] == 3


def test_a_step_without_any_signal_changes_nothing(
    toy: Path, base: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    rewards = {"reward_funcs": ("format",), "max_refills": 1, "max_steps": 2, "eval_steps": 0}
    out = train(toy, BiasConfig(out=tmp_path / "bias", **(quick | rewards)))
    assert load_policy(out / "model").digest == load_policy(base).digest
    step = read_jsonl(out / "metrics.jsonl", Step)[0]
    assert (step.loss, step.dropped_groups, step.metrics["groups"]) == (0, 6, 0)
    assert step.entropy is None


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


def test_a_loss_that_is_not_a_number_is_skipped_counted_and_stops_the_run(
    toy: Path,
    quick: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    accumulate, calls = loop.accumulate_gradients, []

    def spoil(*args: Any, **kwargs: Any) -> Any:
        sums = accumulate(*args, **kwargs)
        calls.append(sums)
        if len(calls) in spoiled:
            sums.loss = float("nan")
        return sums

    monkeypatch.setattr(loop, "accumulate_gradients", spoil)
    spoiled = {1, 2}
    out = train(toy, GrpoConfig(out=tmp_path / "a", **quick))
    steps = read_jsonl(out / "metrics.jsonl", Step)
    assert [step.metrics["skipped"] for step in steps] == [1, 1, 0, 0]
    assert [step.entropy is None for step in steps] == [True, True, False, False]
    assert "step 1: loss or gradient is not a number; skipped" in capsys.readouterr().err.replace(
        "\n", " "
    )
    assert load_policy(out / "checkpoints/step-2").digest == load_policy(quick["model"]).digest
    calls.clear()
    spoiled = {1, 2, 3}
    with pytest.raises(UserError, match="3 steps in a row"):
        train(toy, GrpoConfig(out=tmp_path / "b", **quick))


def test_the_guard_stops_the_push_and_the_record_says_so(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    out = train(toy, CdpoConfig(out=tmp_path / "a", bias=str(other), **quick))
    for step in read_jsonl(out / "metrics.jsonl", Step):
        assert step.repulsion == 0
        assert step.guard is not None
        assert "valid format 0.00 < 0.50" in step.guard


@pytest.mark.parametrize("divergence", ["exact", "js", "k2"])
def test_the_controller_follows_the_kl_of_the_step_before(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path, divergence: str
) -> None:
    """Each step's weight from the record of the one before; the divergence trained is another."""
    held = {"repulsion": 0.3, "divergence_target": 0.05, "divergence": divergence}
    settings = quick | OPEN | held | {"max_steps": 6, "learning_rate": 3e-3, "eval_steps": 0}
    out = train(toy, CdpoConfig(out=tmp_path / "a", bias=str(other), **settings))
    steps = read_jsonl(out / "metrics.jsonl", Step)
    for before, after in pairwise(steps):
        wanted = 0.3 * min(1.0, max(-1.0, 1 - before.metrics["kl"] / 0.05))
        assert after.repulsion == pytest.approx(wanted, rel=1e-9)
    assert steps[0].repulsion == pytest.approx(steps[1].repulsion)  # it measured its own batch
    assert len({step.repulsion for step in steps[1:]}) == len(steps[1:])
    assert all(step.divergence is not None for step in steps)
    same = [step.divergence == pytest.approx(step.metrics["kl"]) for step in steps]
    assert all(same) if divergence == "exact" else not any(same)


def test_the_guard_looks_at_the_entropy_of_the_step_before(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    """Its limit stands between two steps of a run without a guard, whose entropy falls."""
    plain = {"schedule": "constant", "repulsion": 1e-6, "eval_steps": 0, "learning_rate": 3e-3}
    settings = quick | plain | {"guard_valid": 0.0, "bias": str(other), "max_steps": 6}
    free = train(toy, CdpoConfig(out=tmp_path / "a", guard=False, **settings))
    entropies = [step.entropy for step in read_jsonl(free / "metrics.jsonl", Step)]
    limit = (entropies[2] + entropies[3]) / 2
    assert min(entropies[:3]) > limit > max(entropies[3:])
    out = train(toy, CdpoConfig(out=tmp_path / "b", guard_entropy=limit, **settings))
    stopped = [step.guard is not None for step in read_jsonl(out / "metrics.jsonl", Step)]
    # the first step looks at its own batch, each later one at the step before
    assert stopped == [True, True, True, True, False, False]


def test_repelling_drives_away_and_attracting_towards_the_bias_model(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    """The sign through the whole line, with no reward to disturb it."""
    plain = {"schedule": "constant", "repulsion": 1.0, "reward_funcs": ("format",), "max_steps": 12}
    last = {}
    for direction in ("repel", "attract"):
        settings = quick | plain | OPEN | {"direction": direction, "learning_rate": 3e-3}
        out = train(toy, CdpoConfig(out=tmp_path / direction, bias=str(other), **settings))
        steps = read_jsonl(out / "metrics.jsonl", Step)
        first = steps[0].divergence
        last[direction] = steps[-1].divergence
        assert steps[-1].repulsion == (1 if direction == "repel" else -1)
    assert first is not None
    assert last["attract"] < 0.5 * first
    assert last["repel"] > 10 * first


def test_a_divergence_in_the_reward_drives_away_by_advantages_alone(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    plain = {"schedule": "constant", "repulsion": 1.0, "reward_funcs": ("format",), "max_steps": 12}
    settings = quick | plain | OPEN | {"divergence_in": "reward", "learning_rate": 3e-3}
    out = train(toy, CdpoConfig(out=tmp_path / "a", bias=str(other), **settings))
    steps = read_jsonl(out / "metrics.jsonl", Step)
    assert steps[-1].divergence > 2 * steps[0].divergence
    assert all(step.repulsion == 1 for step in steps)
    # on policy a centred surrogate is worth zero, whatever its gradient; a term in the loss is not
    assert all(abs(step.loss) < 1e-6 for step in steps)


def test_bias_failure_sampling_measures_once_and_records(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    alone = quick | {"sampling": "bias-failure", "sampling_rollouts": 2}
    out = train(toy, CdpoConfig(out=tmp_path / "a", bias=str(other), repulsion=0, **alone))
    samples = read_jsonl(out / "success.jsonl", Sample)
    facts = msgspec.json.decode((out / "run.json").read_bytes())["facts"]
    assert len(samples) == 2 * facts["train_questions"]
    assert {sample.model for sample in samples} == {load_policy(other).digest}
    assert facts["drawn_shares"].keys() == facts["labels"].keys()
    assert all(step.divergence is None for step in read_jsonl(out / "metrics.jsonl", Step))
    again = alone | {"success": out / "success.jsonl"}
    reused = train(toy, GrpoConfig(out=tmp_path / "b", bias=str(other), **again))
    assert not (reused / "success.jsonl").exists()
    with pytest.raises(UserError, match="samples of another model"):
        train(toy, GrpoConfig(out=tmp_path / "c", **(again | {"sampling": "base-failure"})))


def test_a_prompt_over_the_limit_is_an_error_that_names_the_question(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"toy/train/\d+.*at most 20 are allowed"):
        train(toy, GrpoConfig(out=tmp_path / "a", **(quick | {"max_prompt_length": 20})))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests.training.toy_training:returns_none", "returned None for question 'toy/train"),
        ("tests.training.toy_training:returns_nan", "returned nan for question 'toy/train"),
        ("tests.training.toy_training:returns_few", "returned 1 rewards for 4 completions"),
        ("tests.training.toy_training:nothing", "cannot be imported"),
        (
            "tests.training.toy_training:takes_too_little",
            "unexpected keyword argument 'prompts'.*by keyword",
        ),
        ("nowhere", "unknown; allowed are soft_accuracy, format, pair_consistency"),
    ],
)
def test_a_bad_reward_function_is_named(
    toy: Path, quick: dict[str, Any], tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(toy, GrpoConfig(out=tmp_path / "a", **(quick | {"reward_funcs": (name,)})))


def test_a_reward_function_may_ask_for_the_completions_tokens(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    """TRL passes them by the name `completion_ids`: as many as the step's completions are long."""
    asked = {
        "reward_funcs": ("tests.training.toy_training:token_reward",),
        "max_steps": 1,
        "eval_steps": 0,
    }
    out = train(toy, GrpoConfig(out=tmp_path / "a", **(quick | asked)))
    (step,) = read_jsonl(out / "metrics.jsonl", Step)
    mean = step.metrics["completion_length"] / 10
    assert step.reward["tests.training.toy_training:token_reward"] == pytest.approx(mean)


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "checkpoint", _after(1, loop.checkpoint))
        with pytest.raises(KeyboardInterrupt):
            train(toy, GrpoConfig(out=tmp_path / "b", **half))
    again = train(toy, GrpoConfig(out=tmp_path / "b", **half))
    assert digest_path(again) == digest_path(whole)
    kept = load_file(again / "checkpoints/step-4/optimizer.safetensors")
    assert all(torch.equal(kept[key], masters[key]) for key in masters)


def _after(count: int, function: Any) -> Any:
    """`function`, which dies once it has returned `count` times."""
    calls = []

    def dying(*args: Any) -> None:
        function(*args)
        calls.append(args)
        if len(calls) == count:
            raise KeyboardInterrupt

    return dying


@pytest.mark.skipif(find_spec("tensorboard") is not None, reason="tensorboard is installed")
def test_a_tracker_that_is_not_installed_is_an_error(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"not installed; install videothinker\[trackers\]"):
        train(toy, GrpoConfig(out=tmp_path / "a", log_with="tensorboard", **quick))
