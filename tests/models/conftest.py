"""One small real Qwen2.5-VL with its own tokenizer, and a group of completions about one video."""

import shutil
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from videothinker.models.base import Group
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import Policy
from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small

CORPUS = [
    "Which of these will happen without the red cube? The blue sphere hits the metal cylinder.",
    "What happens first? A. one B. two C. three D. four <think>so</think><answer>A,B</answer>",
] * 20

TINY = SmallConfig(
    hidden=64,
    layers=3,
    heads=4,
    kv_heads=2,
    intermediate=96,
    vocab_size=420,
    vision_hidden=32,
    vision_layers=2,
    vision_heads=2,
    vision_intermediate=48,
    vision_full_attention=(1,),
    # far from a uniform distribution, so that a wrong forward shows
    initializer_range=0.15,
    seed=3,
)


ENGINE = {
    "qwen2_5_vl": TINY,
    "qwen2_vl": replace(TINY, family="qwen2_vl", vision_intermediate=64),
    "qwen3_vl": replace(TINY, family="qwen3_vl", patch_size=16, kv_heads=1, vision_layers=3),
}
"""Every family in the engine, tiny."""


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {name: build_small(root / name, config, CORPUS) for name, config in ENGINE.items()}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_small(tmp_path_factory.mktemp("tiny"), TINY, CORPUS)


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """The tiny folder, to be changed."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


@cache
def loaded(folder: Path) -> Policy:
    """Copying it takes a tenth of the time that loading it does."""
    return load_policy(folder)


@pytest.fixture
def policy(tiny_folder: Path) -> Policy:
    """To be changed."""
    return deepcopy(loaded(tiny_folder))


@pytest.fixture
def frames_THW3() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 56, 84, 3), dtype=np.uint8)


@pytest.fixture
def group(policy: Policy, frames_THW3: np.ndarray) -> Group:
    """Four completions of 7, 1, 5 and 7 tokens, padded."""
    prompt = policy.encode("Which one hits the cube?", policy.to_video(frames_THW3, 3.0))
    stream = torch.Generator().manual_seed(5)
    ids_GC = torch.randint(0, 300, (4, 7), generator=stream)
    mask_GC = torch.arange(7) < torch.tensor([7, 1, 5, 7])[:, None]
    return Group(
        prompt=prompt,
        completion_ids_GC=ids_GC.masked_fill(~mask_GC, policy.pad_id),
        mask_GC=mask_GC,
        truncated_G=torch.tensor([True, False, False, True]),
    )
