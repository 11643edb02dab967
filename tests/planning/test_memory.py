"""Memory counted against a step that is measured, storage by storage, at shapes of its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from videothinker.algorithms.base import Objective
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.generation.base import Sampling
from videothinker.generation.shared_prefix import generate
from videothinker.models.adapters import find_base
from videothinker.models.base import Group
from videothinker.models.catalog import find_shape, load_policy
from videothinker.models.loaded import SHARD
from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small
from videothinker.models.shapes import Grid, parameters
from videothinker.planning import memory, workload
from videothinker.planning.live_bytes import LiveBytes, logit_bytes
from videothinker.planning.plan import GIB, make_plan
from videothinker.planning.workload import Workload
from videothinker.training.adapters import add_adapter
from videothinker.training.checkpoints import Progress, save_checkpoint
from videothinker.training.models import save_model
from videothinker.training.optimizer import MasterAdamW
from videothinker.training.step import Bias, accumulate_gradients

WIDE = SmallConfig(hidden=192, layers=3, heads=6, intermediate=1024, vocab_size=600)
DEEP = SmallConfig(
    hidden=64, layers=9, heads=4, kv_heads=1, intermediate=160, vocab_size=900, vision_layers=6
)
SEES = SmallConfig(
    hidden=64, layers=2, heads=4, vision_hidden=160, vision_layers=8, vision_intermediate=480
)
THREE = SmallConfig(
    family="qwen3_vl", hidden=128, layers=5, heads=4, vocab_size=700, patch_size=16, vision_layers=3
)
THREE_SEES = replace(SEES, family="qwen3_vl", patch_size=16, vision_deepstack=(1, 3))
TWO_SEES = replace(SEES, family="qwen2_vl")
SHAPES = {"wide": WIDE, "deep": DEEP, "sees": SEES}
SHAPES |= {"three": THREE, "three-sees": THREE_SEES, "two-sees": TWO_SEES}
CASES: list[dict[str, Any]] = [
    {"shape": "wide", "completion": 150, "dtype": "bfloat16"},
    {"shape": "wide", "completion": 20, "prompts": 2, "dtype": "bfloat16"},
    {"shape": "wide", "completion": 70, "checkpointing": False, "lora": 8, "divergence": "k3"},
    {"shape": "wide", "completion": 60, "frozen": True},
    {"shape": "deep", "completion": 110, "divergence": "exact"},
    {"shape": "deep", "completion": 110, "divergence": "js", "dtype": "bfloat16"},
    {"shape": "deep", "completion": 70, "checkpointing": False},
    {"shape": "deep", "completion": 100, "lora": 16, "divergence": "k3", "dtype": "bfloat16"},
    {"shape": "sees", "completion": 12, "generations": 2, "frames": 16},
    {"shape": "sees", "completion": 30, "checkpointing": False, "dtype": "bfloat16"},
    {"shape": "sees", "completion": 12, "prompts": 2, "divergence": "exact"},
    {"shape": "three", "completion": 110, "divergence": "exact"},
    {"shape": "three", "completion": 90, "checkpointing": False, "dtype": "bfloat16"},
    {"shape": "three", "completion": 90, "lora": 8, "divergence": "k3", "dtype": "bfloat16"},
    {"shape": "three-sees", "completion": 12, "generations": 2, "frames": 16},
    {"shape": "three-sees", "completion": 20, "checkpointing": False, "dtype": "bfloat16"},
    {"shape": "two-sees", "completion": 12, "generations": 2, "frames": 16},
    {"shape": "two-sees", "completion": 20, "checkpointing": False, "dtype": "bfloat16"},
]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("plans")
    words = [f"What will happen if red cube {n} is gone? blue metal sphere {n}" for n in range(300)]
    return {name: build_small(root / name, config, words) for name, config in SHAPES.items()}


class Setting:
    """A model, an optimizer that has made a step, and groups of full-length completions."""

    def __init__(self, folder: Path, case: dict[str, Any]) -> None:
        self.case, dtype = case, case.get("dtype", "float32")
        self.policy = load_policy(folder, dtype=dtype, freeze_vision=case.get("frozen", False))
        if rank := case.get("lora", 0):
            config = CdpoConfig(model="m", out=Path("o"), bias="b", lora_rank=rank)
            add_adapter(self.policy, config)
            self.policy.merges = True
        if case.get("checkpointing", True):
            self.policy.enable_gradient_checkpointing()
        self.bias = None
        if case.get("divergence"):
            frozen = load_policy(folder, dtype=dtype, freeze_vision=True)
            frozen.model.requires_grad_(requires_grad=False)
            self.bias = Bias(frozen)
        named = self.policy.model.named_parameters()
        self.optimizer = MasterAdamW(
            ((n, p) for n, p in named if p.requires_grad), lr=1e-6, weight_decay=0.0
        )
        self.optimizer.gradients()
        self.optimizer.step(1e-6)
        self.optimizer.zero()
        rng, frames = np.random.default_rng(0), case.get("frames", 8)
        pixels = rng.integers(0, 256, (frames, 112, 168, 3), np.uint8)
        self.prompt = self.policy.encode(
            "Which one happens? " * 9, self.policy.to_video(pixels, frames / 3)
        )
        size = (case.get("generations", 4), case["completion"])
        ids_GC = torch.from_numpy(rng.integers(20, len(self.policy.head_VD) - 20, size))
        full = torch.ones(size, dtype=torch.bool)
        truncated = torch.ones(len(ids_GC), dtype=torch.bool)
        self.groups = [Group(self.prompt, ids_GC, full, truncated)] * case.get("prompts", 1)

    def measure(self) -> int:
        """Peak bytes of forward, backward and update."""
        present = [*self.policy.model.parameters(), *self.optimizer.state().values()]
        if self.bias:
            present += self.bias.policy.model.parameters()
        count = sum(len(group.mask_GC) for group in self.groups)
        with LiveBytes(present) as live:
            accumulate_gradients(
                *(self.policy, self.bias, self.groups),
                [torch.linspace(-1, 1, len(g.mask_GC)) for g in self.groups],
                Objective(divergence=self.case.get("divergence"), repulsion=0.1),
                completions=count,
                tokens=count * self.case["completion"],
            )
            self.optimizer.gradients()
            self.optimizer.clip(20.0)
            self.optimizer.step(1e-6)
        return live.peak

    def workload(self, folder: Path) -> Workload:
        divergence, case = self.case.get("divergence"), self.case
        return Workload(
            shape=find_shape(str(folder)),
            grid=Grid(*(int(n) for n in self.prompt.video.grid_thw[0])),
            prompt=self.prompt.prompt_tokens,
            generations=len(self.groups[0].mask_GC),
            completion=case["completion"],
            prompts=len(self.groups),
            width=2 if case.get("dtype") == "bfloat16" else 4,
            lora_rank=case.get("lora", 0),
            freeze_vision=case.get("frozen", False),
            checkpointing=case.get("checkpointing", True),
            logit_bytes=logit_bytes(divergence) if divergence else 0,
            bias="model" if self.bias else "none",
            videos=1,
            fused_update=False,
        )


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c.values())))
def test_the_predicted_peak_is_within_ten_per_cent(
    folders: dict[str, Path], case: dict[str, Any]
) -> None:
    folder = folders[case["shape"]]
    setting = Setting(folder, case)
    predicted = {
        name: sum(parts.values())
        for name, parts in memory.moments(setting.workload(folder)).items()
        if name != "rollout"
    }
    assert max(predicted.values()) == pytest.approx(setting.measure(), rel=0.1), predicted


@pytest.mark.parametrize("lora", [0, 8])
def test_the_rollouts_peak_too(folders: dict[str, Path], lora: int) -> None:
    """With fixed shapes, as on a GPU."""
    case = {"shape": "deep", "completion": 30, "generations": 6, "lora": lora}
    setting = Setting(folders["deep"], case)
    setting.policy.model.generation_config.eos_token_id = [-1]
    work = setting.workload(folders["deep"])
    with LiveBytes([*setting.policy.model.parameters(), *setting.optimizer.state().values()]) as m:
        generate(setting.policy, [setting.prompt] * 2, Sampling(6, 30), [0, 1], static=True)
    predicted = sum(memory.moments(replace(work, prompts=2))["rollout"].values())
    assert predicted == pytest.approx(m.peak, rel=0.1)


def test_the_true_shapes_bytes_by_hand() -> None:
    """Of each weight 2 bytes in policy and bias, 4 of gradient and master, 8 of moments."""
    shape = find_shape("Qwen/Qwen2.5-VL-3B-Instruct")
    work = Workload(shape, Grid(8, 18, 26), 1148, 8, 256)
    count = sum(parameters(shape).values())
    assert memory.resident(work) == {
        "weights": 2 * count,
        "bias model": 2 * count,
        "float32 master": 4 * count,
        "moments": 8 * count,
    }
    assert memory.gradient_bytes(work) == 4 * count
    # 36 layers, 2 heads of 128 for keys and values, 2 bytes; the prompt in 9 pages of 128, 256 own
    # places of 8 rows in 2, one layer of them three times; cosine and sine of keys and of values
    token = 36 * 2 * 2 * 128 * 2
    pages = 128 * (9 + 8 * 2)
    cache = memory.rollout_bytes(work)["rollout cache"]
    assert cache == token * pages + 3 * token * pages // 36 + 4 * 2 * 8 * 256 * 128
    several = replace(work, prompts=4)
    assert memory.rollout_bytes(replace(several, at_once=1)) == memory.rollout_bytes(work)
    # the merged copy: two bytes of every linear map of the layers
    merged = memory.rollout_bytes(replace(work, lora_rank=64))["merged adapter"]
    assert merged == 2 * 36 * (2048 * (2048 + 2 * 256 + 2048) + 3 * 2048 * 11008)
    assert "merged adapter" not in memory.rollout_bytes(replace(work, lora_rank=64, merges=False))
    moved = memory.resident(replace(work, optimizer_on_cpu=True, bias="offloaded"))
    assert {name for name, size in moved.items() if size} == {"weights"}
    # rank 64 on q, k, v, o, gate, up, down
    sides = 4 * 2048 + 2 * (2048 + 256) + 3 * (2048 + 11008)
    assert workload.adapter_parameters(shape, 64) == 36 * 64 * sides


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rank", [0, 8])
def test_the_plan_counts_the_final_save(
    folders: dict[str, Path], tmp_path: Path, dtype: str, rank: int
) -> None:
    """Bytes on the device while a checkpoint and the model are written, and those on the disk."""
    case = {"shape": "wide", "completion": 20, "dtype": dtype, "lora": rank}
    setting = Setting(folders["wide"], case)
    if rank:
        setting.policy.base = find_base(str(folders["wide"]))
    present = [*setting.policy.model.parameters(), *setting.optimizer.state().values()]
    with LiveBytes(present) as live:
        save_checkpoint(tmp_path, setting.policy, setting.optimizer, Progress(step=1), keep=1)
        save_model(setting.policy, tmp_path / "model")
    work = setting.workload(folders["wide"])
    found = {name: sum(parts.values()) for name, parts in memory.moments(work).items()}
    assert found["save"] == pytest.approx(live.peak, rel=0.1)
    assert found["save"] < max(found.values())
    config = CdpoConfig(
        model=str(folders["wide"]),
        out=Path("o"),
        bias="b",
        dtype=dtype,
        lora_rank=rank,
        save_total_limit=1,
    )
    plan = make_plan(config)
    files = list((tmp_path / "step-1").rglob("*")) + list((tmp_path / "model").rglob("*"))
    weights = sum(path.stat().st_size for path in files if path.suffix == ".safetensors")
    extra = sum(path.stat().st_size for path in (tmp_path / "step-1").rglob("*.safetensors"))
    assert plan.disk == pytest.approx(weights + extra, rel=0.1)  # one checkpoint more than is kept


def test_main_memory_while_saving_by_hand() -> None:
    """Of 3B one file of weights, of an adapter its largest factor, of 7B the embedding's master."""
    shape = find_shape("Qwen/Qwen2.5-VL-3B-Instruct")
    work = Workload(shape, Grid(8, 18, 26), 1148, 8, 256)
    assert memory.saving_bytes(work) == 2 * GIB == SHARD
    assert memory.saving_bytes(replace(work, lora_rank=64)) == 4 * 64 * 11008
    seven = replace(work, shape=find_shape("Qwen/Qwen2.5-VL-7B-Instruct"))
    assert memory.saving_bytes(seven) == 4 * 152064 * 3584
