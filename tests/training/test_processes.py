"""Two processes under torchrun against one, on the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.records import Step, read_jsonl
from videothinker.training.stages import train

CHILD = """
import json, pathlib, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.training.stages import train
if __name__ == "__main__":
    settings = json.loads(pathlib.Path(sys.argv[2]).read_text())
    settings["reward_funcs"] = tuple(settings["reward_funcs"])
    train(pathlib.Path({toy!r}), CdpoConfig(out=pathlib.Path(sys.argv[1]), **settings))
"""


@pytest.mark.slow
def test_two_processes_give_the_loss_and_parameters_of_one(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(tests=str(Path(__file__).parents[2]), toy=str(toy)))
    settings = quick | {
        "bias": str(other),
        "guard_valid": 0.0,
        "guard_entropy": 9.0,
        "prompts_per_step": 3,  # odd: the processes get 2 and 1 groups
        "sampling": "bias-failure",
        "sampling_rollouts": 2,
        "max_steps": 3,
        "learning_rate": 1e-4,
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    config = CdpoConfig(out=tmp_path / "1", **settings)  # pyright: ignore[reportArgumentType]
    train(toy, config)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"),
            *("--master_port", str(20000 + os.getpid() % 20000)),
            *(str(script), str(tmp_path / "2"), str(tmp_path / "settings.json")),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads((tmp_path / "2" / "run.json").read_text())["facts"]
    assert facts["processes"] == 2
    one, two = (read_jsonl(tmp_path / str(n) / "metrics.jsonl", Step) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert a.loss == pytest.approx(b.loss, abs=1e-6)
        assert a.divergence == pytest.approx(b.divergence, rel=1e-5)
        assert a.entropy == pytest.approx(b.entropy, rel=1e-5)
        assert (a.reward, a.valid, a.dropped_groups) == (b.reward, b.valid, b.dropped_groups)
    success = [(tmp_path / str(n) / "success.jsonl").read_bytes() for n in (1, 2)]
    assert success[0] == success[1]
    weights = [load_file(tmp_path / str(n) / "model" / "model.safetensors") for n in (1, 2)]
    moved = load_file(Path(str(quick["model"])) / "model.safetensors")
    for name, tensor in weights[0].items():
        # Adam turns a rounding difference near zero into a step of the learning rate: compare the
        # bulk of each tensor to a hundredth of what it moved
        far = (tensor - weights[1][name]).abs() > 0.01 * settings["learning_rate"]
        assert far.float().mean() < 0.02, name
    assert any((tensor != moved[name]).any() for name, tensor in weights[0].items())
