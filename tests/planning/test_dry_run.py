"""`--dry-run` from the command line: it prints a plan and writes nothing."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from tests.planning.paper import paper
from videothinker import cli
from videothinker.models.catalog import find_shape
from videothinker.models.shapes import Grid, step_flops
from videothinker.planning.dry_run import FULL, LORA, Pace, expected_seconds, in_words
from videothinker.planning.plan import make_plan

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
MEASURED = RECIPES.parent / "benchmarks" / "results" / "gpu_step_h200.json"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("clevrer-*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_has_a_plan(
    path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = path.stem.rsplit("-", 1)[-1]
    verb = kind if kind in ("bias", "grpo") else "cdpo"
    assert cli.main(["train", verb, "--config", str(path), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "936 video tokens" in text
    assert all(f"{card}: " in text for card in ("24GB", "48GB", "80GB", "141GB"))
    assert list(tmp_path.iterdir()) == []  # a dry run writes nothing
    words = ["train", verb, "--config", str(path), "--dry-run", "--gpu-memory", "6GB", "--json"]
    assert cli.main(words) == cli.USER_ERROR
    told = capsys.readouterr()
    assert json.loads(told.out)["fits"] == {"6GB": False}
    assert "GiB and the GPU has 6.0" in told.err.replace("GiB)", "GiB")


def test_a_recipe_for_another_architecture_is_refused(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((base / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    words = ["train", "grpo", "--data", "absent", "--out", "o", "--model", str(tmp_path)]
    assert cli.main([*words, "--dry-run"]) == cli.USER_ERROR
    assert "is of type 'llama'; only 'qwen2_5_vl'" in capsys.readouterr().err
    assert cli.main([*words, "--gpu-memory", "24GB"]) == cli.USER_ERROR
    assert "add --dry-run" in capsys.readouterr().err


def test_a_plan_for_several_gpus_is_refused_what_their_run_would_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = str(RECIPES / "clevrer-3b-cdpo.yaml")
    words = ["train", "cdpo", "--config", recipe, "--dry-run", "--moments", "8bit"]
    assert cli.main([*words, "--gpus", "2"]) == cli.USER_ERROR
    assert "8bit' came with 2 processes" in capsys.readouterr().err
    assert cli.main(words) == 0


def measured(*, lora: bool) -> dict[str, Any]:
    rows = json.loads(MEASURED.read_text())["rows"]
    wanted = {"length": 256, "prompts": 2, "lora": lora, "optimizer_on_cpu": False}
    wanted["model"] = "Qwen/Qwen2.5-VL-3B-Instruct"
    (row,) = [row for row in rows if wanted.items() <= row["case"].items()]
    return row


@pytest.mark.parametrize(("lora", "pace"), [(False, FULL), (True, LORA)])
def test_the_pace_is_the_measured_files(lora: bool, pace: Pace) -> None:
    row = measured(lora=lora)
    laps = row["seconds"]["ours"]
    rollout = statistics.median(one["rollout"] for one in laps)
    rest = statistics.median(sum(one.values()) - one["rollout"] for one in laps)
    shape = find_shape("Qwen/Qwen2.5-VL-3B-Instruct")
    size = (shape, Grid(8, 18, 26), row["prompt_tokens"], 8, 256)
    flops = step_flops(*size, shared=True, freeze_vision=lora, adapters=lora)
    assert pace.token == pytest.approx(rollout / 256, rel=0.005)
    operations = 2 * (sum(flops.values()) - flops["rollout"])
    assert pace.operations == pytest.approx(operations / rest, rel=0.005)


def test_a_measured_step_is_expected_to_take_what_it_took() -> None:
    plan = make_plan(paper(max_completion_length=256, prompts_per_step=2))
    took = statistics.median(sum(one.values()) for one in measured(lora=False)["seconds"]["ours"])
    assert expected_seconds(plan) == pytest.approx(took, rel=0.02)
    hours = took * plan.config.max_steps / 3600
    assert f"about {hours:.1f} hours on one H200, by steps measured at 20b3a42" in in_words(plan)


def test_what_was_not_measured_is_not_told() -> None:
    for change in ({"dtype": "float32"}, {"optimizer_device": "cpu"}):
        assert expected_seconds(make_plan(paper(**change))) is None
    seven = make_plan(paper(model="Qwen/Qwen2.5-VL-7B-Instruct"))
    assert in_words(seven) == "seconds: not measured"


def test_a_dry_run_says_what_comes_before_step_1(capsys: pytest.CaptureFixture[str]) -> None:
    model = "Qwen/Qwen2.5-VL-3B-Instruct"
    words = ["train", "cdpo", "--data", "absent", "--out", "o", "--model", model, "--bias", model]
    assert cli.main([*words, "--dry-run"]) == 0
    told = capsys.readouterr().out
    asked = "the bias model answers 1000 questions 8 times, which is 8000 completions more"
    assert f"before step 1, once: {asked} (--sampling bias-failure; --success reuses them)" in told
    plan = make_plan(paper(sampling="bias-failure"))
    seconds, step = 500 * 768 * FULL.token, expected_seconds(plan)  # two prompts at a time
    assert step is not None
    hours = (500 * step + seconds) / 3600
    assert f"about {hours:.1f} hours on one H200" in told
    assert f"; {seconds / 3600:.1f} of them before step 1" in told
    assert cli.main([*words, "--dry-run", "--sampling", "uniform"]) == 0
    assert "before step 1" not in capsys.readouterr().out
    assert expected_seconds(make_plan(paper(), ranks=2)) is None
