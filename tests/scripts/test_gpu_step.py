"""The benchmark for a GPU, run tiny on a CPU: it measures what it says and claims no more."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from videothinker.models.catalog import FAMILIES, find_shape
from videothinker.models.shapes import Grid, parameters

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import gpu_shapes
        import gpu_sides
        import gpu_step

        patch.setattr(gpu_sides, "gc", SimpleNamespace(collect=int))  # it looks through all tests
        for module in (gpu_shapes, gpu_step):  # few patches are quick
            patch.setattr(module, "HEIGHT", 4)
            patch.setattr(module, "WIDTH", 12)
        yield gpu_step


@pytest.fixture(scope="module")
def result(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("bench")
    script.main(["--out", str(out), "--scale", "tiny"])
    return json.loads((out / "gpu_step.json").read_text())


def test_every_side_is_measured_by_phase(result: dict[str, Any]) -> None:
    full, lora, *families = result["rows"]
    assert result["left_out"] == []
    assert (full["case"]["prompts"], full["case"]["lora"], lora["case"]["lora"]) == (2, False, True)
    assert {row["case"]["model"].rpartition("-VL")[0] for row in result["rows"]} == {
        *("Qwen/Qwen2.5", "Qwen/Qwen2", "Qwen/Qwen3")
    }
    for row in result["rows"]:
        assert set(row["seconds"]) == set(row["case"]["sides"])
        for laps in row["seconds"].values():
            phases = {"rollout", "forward", "bias", "backward", "update"}
            assert all(set(one) == phases and min(one.values()) >= 0 for one in laps)
        assert ("whole_ratio" in row) == ("naive" in row["case"]["sides"])
        if row not in families:
            assert row["whole_ratio"] > 0
            product = row["gain_of_sharing"] * row["gain_of_decoding"]
            assert row["whole_ratio"] == pytest.approx(product)
        assert sum(row["phase_share"].values()) == pytest.approx(1, abs=0.2)
        assert row["share_of_bound"] > 0
        rollouts = sorted(laps["rollout"] for laps in row["seconds"]["ours"])
        drawn = 1000 * sum(rollouts) / len(rollouts) / row["case"]["length"]
        assert row["milliseconds_a_token"] == pytest.approx(drawn)  # one or two repeats
        assert row["bound_milliseconds_a_token"] > 0
        assert row["predicted_peak_bytes"] > 0
        assert row["step_milliseconds"] == [] or torch.cuda.is_available()
        assert row["failed"] == row["not_measured"] == {}
        assert row["slower"] == []
    kept = {row["case"]["keeps"]: row["predicted_peak_bytes"] for row in [lora, families[-1]]}
    assert set(kept) == {False, True}


def test_nothing_about_a_gpu_is_claimed_here(result: dict[str, Any]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert "not measured" in result["device"]
    assert all(row["peak_bytes"] == {} for row in result["rows"])


def test_shared_and_naive_log_probabilities_agree(result: dict[str, Any]) -> None:
    gaps = result["agreement"]
    assert gaps["shared and naive, float32"]["max"] < 1e-4
    # sharing adds no more error than bfloat16 itself
    ours, theirs = gaps["shared bfloat16 and float32"], gaps["naive bfloat16 and float32"]
    assert ours["mean"] < 1.5 * theirs["mean"]


def test_rows_beyond_the_budget_are_named(script: ModuleType, tmp_path: Path) -> None:
    script.main(["--out", str(tmp_path), "--scale", "tiny", "--budget-seconds", "-1"])
    result = json.loads((tmp_path / "gpu_step.json").read_text())
    assert result["rows"] == []
    assert result["agreement"] == "not measured"
    assert len(result["left_out"]) == len(script.goals("tiny")) + len(script.further("tiny"))
    assert all("of the budget are left" in row["why"] for row in result["left_out"])


def test_a_side_that_runs_out_of_memory_is_recorded_and_the_rest_goes_on(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the second row, the file holds all that was taken before."""
    begun: list[str] = []
    naive, eager = script.SIDES["naive"], script.SIDES["eager"]

    def too_big(setting: Any, prompts: list[Any], length: int) -> Any:
        begun.append("naive")
        if length == 6:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.\nmore")
        return naive(setting, prompts, length)

    def killed(setting: Any, prompts: list[Any], length: int) -> Any:
        if begun and len(prompts) == 1 and length == 4 and "eager" in setting.warm:
            raise KeyboardInterrupt
        return eager(setting, prompts, length)

    monkeypatch.setitem(script.SIDES, "naive", too_big)
    monkeypatch.setitem(script.SIDES, "eager", killed)
    monkeypatch.setattr(script, "agree", lambda *_: "left out here")
    with pytest.raises(KeyboardInterrupt):
        script.main(["--out", str(tmp_path), "--scale", "tiny"])
    result = json.loads((tmp_path / "gpu_step.json").read_text())
    full, lora = result["rows"][:2]
    assert "9.00 GiB" in full["failed"]["naive"]
    assert "more" not in full["failed"]["naive"]
    assert begun.count("naive") == 2  # to warm up, then once: it is not tried again
    assert {side: len(taken) for side, taken in full["seconds"].items()} == {"ours": 2, "eager": 2}
    assert "whole_ratio" not in full
    assert full["gain_of_decoding"] > 0
    assert set(lora["seconds"]) == {"ours"}


def test_a_side_is_not_begun_without_the_time_it_took_before(
    script: ModuleType, tmp_path: Path
) -> None:
    import time

    bench = script.Bench(tmp_path, "official", torch.device("cpu"), time.perf_counter() + 60, {})
    case = script.Case(256, 2)
    assert bench.too_late(case, "naive") == ""
    bench.pace["naive", False] = (50.0, case)
    assert "about 50 s are needed" in bench.too_late(case, "naive")
    assert bench.too_late(case, "ours") == ""
    assert bench.too_late(script.Case(128, 2), "naive") == ""  # 25 s
    assert "about 50 s" in bench.too_late(script.Case(256, 1), "naive")  # as many tokens in a row
    assert "about 50 s" in bench.too_late(script.Case(128, 4), "naive")
    seven = script.Case(256, 2, "Qwen/Qwen2.5-VL-7B-Instruct")
    assert "about 110 s" in bench.too_late(seven, "naive")  # 8.3 of 3.75 billion weights


def test_a_row_that_main_memory_does_not_hold_is_named(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    bench = script.Bench(tmp_path, "official", torch.device("cpu"), time.perf_counter() + 60, {})
    seven = script.Case(256, 2, "Qwen/Qwen2.5-VL-7B-Instruct", optimizer_on_cpu=True)
    monkeypatch.setattr(script, "free_memory", lambda: 120 * 2**30)
    assert script.unfit(bench, replace(seven, lora=True)) == ""
    weights = 8_292_166_656  # of the published 7B
    assert f"{16 * weights / 2**30:.0f} GiB of main memory, 120" in script.unfit(bench, seven)
    monkeypatch.setattr(script, "free_memory", lambda: 2**38)
    assert script.unfit(bench, seven) == ""


def test_the_true_shape_needs_a_gpu(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="nothing is measured"):
        script.main(["--out", str(tmp_path)])


def measured(name: str) -> dict[str, Any]:
    return json.loads((BENCHMARKS / "results" / f"{name}.json").read_text(encoding="utf-8"))


class Pretended:
    """A setting on the slower H200: its clock is moved by the seconds that were measured there."""

    now = 0.0
    run = measured("gpu_step_h200_83d2541")

    def __init__(self, case: Any, *_: Any) -> None:
        self.case, self.warm = case, set()

    def warm_up(self, side: str, prompts: list[Any], length: int) -> None:
        """What a row took beside its steps, its model too, in 168 s of which 14 were left."""
        if side == "ours" and (len(prompts), length) not in self.warm:
            self.warm.add((len(prompts), length))
            budget = float(self.run["command"].split()[4])
            left = float(self.run["rows"][-1]["not_measured"]["naive"].split()[2])
            steps = [laps for row in self.run["rows"] for laps in row["seconds"].values()]
            taken = sum(sum(lap.values()) for laps in steps for lap in laps)
            Pretended.now += (budget - left - taken) / len(self.run["rows"])

    def step(self, side: str, prompts: list[Any], length: int) -> Any:
        """As measured; else by weights from 3B, and by tokens from 256 of two prompts."""
        names = self.case.model, sys.modules["gpu_shapes"].THREE
        found = [row for row in self.run["rows"] if side in row["seconds"]]
        own = [row for row in found if row["case"]["model"] == names[0]]
        alike = [row for row in own or found if row["case"]["lora"] == self.case.lora]
        sizes = [sum(parameters(find_shape(name)).values()) for name in names]
        more = length / 256 * max(1, len(prompts) / 2) * (1 if own else sizes[0] / sizes[1])
        phases = {p: more * s for p, s in alike[0]["seconds"][side][-1].items()}
        Pretended.now += sum(phases.values())
        return SimpleNamespace(seconds=phases, step=None)


def test_what_300_seconds_reach(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The goals three times, 768 tokens, four prompts and two further families."""
    for name, value in {
        "Setting": Pretended,
        "SIDES": {
            side: (lambda one, *given, side=side: one.step(side, *given))
            for side in ("ours", "naive")
        },
        "time": SimpleNamespace(perf_counter=lambda: Pretended.now),
    }.items():
        monkeypatch.setattr(script, name, value)
    monkeypatch.setattr(Pretended, "now", 0.0)
    result = {"rates": Pretended.run["rates"], "rows": [], "left_out": []}
    bench = script.Bench(tmp_path, "official", torch.device("cpu"), 300.0, result)
    reached = {}
    for case in script.goals("official"):
        script.add_row(bench, case)
        row = result["rows"][-1]
        taken = {side: len(steps) for side, steps in row["seconds"].items()}
        if Pretended.now < 300:
            reached[script.named(case).removeprefix("Qwen2.5-VL-")] = taken
    assert result["left_out"] == []
    for kind in ("full", "LoRA"):
        assert reached[f"3B {kind}  C 256  2 prompts"] == {"ours": 3, "naive": 3}
        assert reached[f"3B {kind}  C 768  1 prompts"] == {"ours": 1}
        assert reached[f"3B {kind}  C 256  4 prompts"] == {"ours": 1}
    assert len(reached) >= 8
    assert "phase_share" in result["rows"][0]


def test_the_bound_by_hand(script: ModuleType) -> None:
    """With endless arithmetic, decoding still reads weights and cache once a token."""
    counts = sys.modules["gpu_counts"]
    shape, grid = find_shape("Qwen/Qwen2.5-VL-3B-Instruct"), Grid(8, 18, 26)
    case = script.Case(256, 2)
    counted = parameters(shape)
    weights = 2 * (counted["language"] + counted["embeddings"])  # the tower rests
    token = 36 * 2 * 2 * 128 * 2  # 36 layers, keys and values, 2 heads of 128, 2 bytes
    read = weights + token * (2 * 1148 + 16 * 128)
    rate = {"flops": 1e30, "bytes": 1e12}
    assert counts.bound(shape, grid, case, 1148, rate) == pytest.approx(256 * read / 1e12)
    rate = {"flops": 1e15, "bytes": 1e30}
    flops = counts.step_flops(shape, grid, 1148, 8, 256, shared=True)
    expected = 2 * sum(flops.values()) / 1e15
    assert counts.bound(shape, grid, case, 1148, rate) == pytest.approx(expected)


def test_the_rows_asked_for_are_all_there(script: ModuleType) -> None:
    first, others = script.goals("official"), script.further("official")
    three = [row for row in (*first, *others) if row.model == sys.modules["gpu_shapes"].THREE]
    rows = {(row.length, row.prompts, row.lora) for row in three}
    wanted = {(c, n, x) for c in (128, 256, 512, 768) for n in (1, 2, 4) for x in (False, True)}
    assert wanted == rows
    for lora in (False, True):  # the naive step at 768 tokens as well, once there is time
        naive = [row.length for row in three if row.lora == lora and "naive" in row.sides]
        assert {128, 256, 512, 768} == set(naive)
    kinds = [(row.model, row.lora, row.optimizer_on_cpu) for row in (*first, *others)]
    builds = sum(one != other for one, other in pairwise([None, *kinds]))
    assert builds == 12  # seconds each
    assert len(set(map(repr, (*first, *others)))) == len(first) + len(others)
    models = {script.configuration("official", row.model).model_type for row in first}
    assert models == {name for name, family in FAMILIES.items() if family.shapes}


@pytest.mark.parametrize("model", ["Qwen2.5-VL-3B", "Qwen2.5-VL-7B", "Qwen2-VL-2B", "Qwen3-VL-4B"])
def test_configurations_have_the_published_sizes(script: ModuleType, model: str) -> None:
    name = f"Qwen/{model}-Instruct"
    config = script.configuration("official", name)
    assert find_shape(name) == script.read_shape(config.to_dict())
    assert sum(config.text_config.rope_parameters["mrope_section"]) == 64
