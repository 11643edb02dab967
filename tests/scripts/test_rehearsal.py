"""A step without numbers needs the bytes of the same step with them."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from videothinker.models.base import Group
from videothinker.models.qwen_vl.policy import install
from videothinker.planning.live_bytes import LiveBytes
from videothinker.training.step import accumulate_gradients

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script() -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import rehearsal
    finally:
        sys.path.remove(str(BENCHMARKS))
    return rehearsal


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
@pytest.mark.parametrize("lora", [False, True])
def test_a_rehearsed_step_takes_the_real_ones_bytes(script: Any, lora: bool) -> None:
    sides, shapes = sys.modules["gpu_sides"], sys.modules["gpu_shapes"]
    config, case = shapes.tiny(), shapes.Case(16, 2, lora=lora, frames=2)
    peaks, operations = script.rehearse(case, config)
    assert operations > 0

    setting = sides.Setting(case, config, torch.device("cpu"))
    install(setting.policy.model, torch.device("cuda"))  # as in the rehearsal
    install(setting.bias.policy.model, torch.device("cuda"))
    setting.bias.clock = sides.Clock(torch.device("cpu"))
    setting.optimizer.gradients()
    setting.optimizer.step(1e-6)
    setting.optimizer.zero()
    prompts = [shapes.synthetic_prompt(config, case.frames, seed) for seed in range(2)]
    ids_GC = torch.zeros(sides.GENERATIONS, case.length, dtype=torch.long)
    mask_GC = torch.ones_like(ids_GC, dtype=torch.bool)
    with torch.no_grad():  # as the rollout before has, which keeps what a frozen tower says
        setting.policy.encode_videos(prompts)
    models = {id(one): one for one in (setting.policy, setting.bias.policy)}.values()
    present = [w for one in models for w in (*one.model.parameters(), *one.model.buffers())]
    with LiveBytes([*present, *setting.optimizer.state().values()]) as live:
        accumulate_gradients(
            setting.policy,
            setting.bias,
            [Group(prompt, ids_GC, mask_GC, mask_GC[:, 0]) for prompt in prompts],
            [torch.linspace(-1, 1, sides.GENERATIONS)] * 2,
            sides.OBJECTIVE,
            completions=2 * sides.GENERATIONS,
            tokens=2 * ids_GC.numel(),
        )
    assert peaks["gradients"] == pytest.approx(live.peak, rel=0.03)
