"""The script that tries the quick decoding on a GPU, run tiny on a CPU: it sees what is wrong."""

import json
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from videothinker.errors import Slower
from videothinker.generation import graphs, pages

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`benchmarks/gpu_smoke.py`, with few patches."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    shapes, sides = import_module("gpu_shapes"), import_module("gpu_sides")
    monkeypatch.setattr(sides, "gc", SimpleNamespace(collect=int))  # it looks through all tests
    monkeypatch.setattr(shapes, "HEIGHT", 4)
    monkeypatch.setattr(shapes, "WIDTH", 12)
    yield import_module("gpu_smoke")
    torch._logging.set_logs()


def result(script: ModuleType, out: Path, *words: str) -> dict[str, Any]:
    script.main(["--out", str(out), "--scale", "tiny", *words])
    return json.loads((out / "gpu_smoke.json").read_text())


def test_the_ways_agree_in_every_family(script: ModuleType, tmp_path: Path) -> None:
    found = result(script, tmp_path)
    assert "failed" not in str(found)
    assert set(found) >= {f"{family}, {kind}" for family in script.CONFIGS for kind in KINDS}
    for name, part in found.items():
        if name.startswith("qwen"):
            assert all(part[f"tokens of {way} and eager equal"] for way in ("graph", "fused"))
            assert part["log-probabilities, largest gap of fused and eager"] < 1e-4
    assert found["rows leave"]["tokens of fused and eager equal"] is True
    assert found["small, full"]["bound, milliseconds a step"] > 0
    assert found["machine"]["can_fuse"] is torch.cuda.is_available()


KINDS = ("full", "LoRA")


def test_a_step_that_is_wrong_shows(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge = pages._merge
    monkeypatch.setattr(pages, "_merge", lambda seen, mine, *rest: merge(mine, mine, *rest))
    part = result(script, tmp_path, "--only", "qwen2_vl, full")["qwen2_vl, full"]
    assert "failed" in part  # other shapes
    assert "_merge" in (tmp_path / "tracebacks.txt").read_text()

    def dim(seen: Any, mine: Any, *rest: Any) -> Tensor:
        return merge(seen, (mine[0] * 0.9, mine[1]), *rest)

    monkeypatch.setattr(pages, "_merge", dim)
    part = result(script, tmp_path, "--only", "qwen2_vl, full")["qwen2_vl, full"]
    assert part["tokens of graph and eager equal"] is False
    assert part["tokens of fused and eager equal"] is False


# the alarm may meet a callback of the collector, which swallows it; then it comes again
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_the_budget_does_not_reach_is_said(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = result(script, tmp_path, "--budget-seconds", "0.2")
    assert "is spent; the rest: not measured" in capsys.readouterr().out
    assert "qwen2_vl, LoRA" not in found


def test_what_could_not_be_compiled_is_said_with_its_cause(
    script: ModuleType, tmp_path: Path
) -> None:
    def part(*_: Any) -> None:
        warning = Slower(f"_merge {graphs.NOT_COMPILED}")
        warning.__cause__ = ValueError("no Python.h")
        warnings.warn(warning, stacklevel=1)

    smoke = script.Smoke(tmp_path, torch.device("cpu"), "tiny")
    smoke.part("one", part)
    assert smoke.result["one"]["slower"] == ["_merge could not be compiled"]
    assert "ValueError: no Python.h" in (tmp_path / "tracebacks.txt").read_text()


def test_a_compiler_that_fails_leaves_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so once, and goes on."""

    def fails(function: Any, **_: Any) -> Any:
        def run(*_: Any) -> Any:
            raise torch._dynamo.exc.BackendCompilerFailed(function, ValueError("no gcc"), None)

        return run

    monkeypatch.setattr(torch, "compile", fails)

    def twice(states: Tensor) -> Tensor:
        return 2 * states

    run = graphs.compiled(twice)
    with pytest.warns(UserWarning, match="twice could not be compiled and is slower"):
        assert run(torch.ones(1)) == 2
    assert run(torch.ones(1)) == 2
