"""One command for what is not measured: rows in their order, each in a process, none twice."""

import json
import subprocess
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
DEVICE = {"device": "a card", "torch": "2", "cuda": "13", "transformers": "5", "fused": True}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`benchmarks/gpu_rows.py`."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("gpu_rows")


def test_every_row_wanted_is_one_of_the_steps(script: Any) -> None:
    found = [job.name for job in script.jobs("official")]
    assert len(found) == len(script.WANTED) + len(script.COMPARED)
    assert "activations kept" in found[0]
    assert found[3:5] == list(script.COMPARED)


def test_a_stopped_run_goes_on_and_a_failure_is_named(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def process(command: list[str], timeout: float, **_: Any) -> Any:
        """Leaves a row, but one fails and one hangs."""
        assert timeout <= script.MOST
        name, out = command[command.index("--only") + 1], Path(command[3])
        begun.append(name)
        if "optimizer" in name:
            return SimpleNamespace(returncode=1, stdout="", stderr="no memory\n")
        if "7B" in name:
            raise subprocess.TimeoutExpired(command, timeout)
        case = {"sides": ["ours"], "name": name}
        row = {"case": case, "seconds": {"ours": [1]}, "failed": {}, "not_measured": {}}
        out.mkdir()
        smoke = "smoke" in command[1]
        content = {name: "equal"} if smoke else {"rows": [row], "rates": 1, "commit": 1} | DEVICE
        file = "gpu_smoke.json" if smoke else "gpu_step.json"
        (out / file).write_text(json.dumps(content))
        return SimpleNamespace(returncode=0, stdout="", stderr="")

    monkeypatch.setattr(script.subprocess, "run", process)
    every = [job.name for job in script.jobs("official")]
    script.main(["--out", str(tmp_path), "--budget-seconds", "1"])
    assert begun == []
    for _ in range(2):
        script.main(["--out", str(tmp_path)])
        told = json.loads((tmp_path / "gpu_rows.json").read_text())
        assert len(told["rows"]) + len(told["compared"]) == len(every) - 2
        assert {why.split()[0] for why in told["missing"].values()} == {"exit", "stopped"}
    lost = [name for name in every if "optimizer" in name or "7B" in name]
    assert begun == [*every, *lost]
