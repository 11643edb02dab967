"""Expected hours follow from the steps measured, and only where something like it was."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from tests.planning.paper import paper
from videothinker.models.catalog import find_shape
from videothinker.models.shapes import Grid, step_flops
from videothinker.planning.pace import FULL, LORA, Pace, expected_seconds, in_words
from videothinker.planning.plan import make_plan

MEASURED = Path(__file__).parents[2] / "benchmarks" / "results" / "gpu_step_h200.json"


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
    assert expected_seconds(make_plan(paper(), ranks=2)) is None
