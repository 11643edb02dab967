"""`benchmarks/step.py` runs, and its sides do the same work."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from videothinker.models.catalog import read_shape
from videothinker.models.qwen_vl.small import build_small

FILE = Path(__file__).parents[2] / "benchmarks" / "step.py"


@pytest.fixture(scope="module")
def step() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_step", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(FILE.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FILE.parent))
    return module


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl", "qwen2_vl"])
def folders(
    request: pytest.FixtureRequest, step: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    assert request.param in step.FAMILIES
    root = tmp_path_factory.mktemp("benchmark")
    return [
        build_small(root / str(seed), step.config_of(request.param, "1m", seed), [step.QUESTION])
        for seed in (0, 1)
    ]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("frozen", [False, True])
def test_all_sides_run(step: ModuleType, folders: list[Path], frozen: bool) -> None:
    setting = step.Setting(*folders, "tiny", frozen=frozen)
    before = {n: w.detach().clone() for n, w in setting.policy.model.named_parameters()}
    for side, run in step.STEPS.items():
        seconds = run(setting, 3, 0)
        assert set(seconds) == {"rollout", "gradients", "update"}
        trained = (setting.plain if side == "plain" else setting).policy.model
        moved = {n for n, w in trained.named_parameters() if (w != before[n]).any()}
        assert any("visual" in name for name in moved) != frozen
        assert any("language_model" in name for name in moved)


def test_the_ceiling_of_the_published_shape(step: ModuleType, folders: list[Path]) -> None:
    """With nothing to share but a prompt as long as it is short, the ratio tends to G."""
    shape = read_shape(json.loads((folders[0] / "config.json").read_text(encoding="utf-8")))
    setting = step.Setting(*folders, "full", frozen=False)
    assert setting.prompt.prompt_tokens > 936
    assert (
        int((setting.prompt.input_ids_P == setting.policy.model.config.video_token_id).sum()) == 936
    )
    ceilings = [step.ceiling(shape, setting, length, frozen=False) for length in (1, 96, 256)]
    assert ceilings[0] == pytest.approx(step.GENERATIONS, rel=0.02)
    assert ceilings[0] > ceilings[1] > ceilings[2] > 1
