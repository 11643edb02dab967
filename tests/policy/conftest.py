"""One small real Qwen2.5-VL with its own tokenizer, and prompts about synthetic frames."""

from pathlib import Path

import numpy as np
import pytest
import torch

from videothinker.policy.model import Policy, load_policy
from videothinker.policy.small import SmallConfig, build_small

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
    # far from the uniform distribution, so that a wrong forward shows
    initializer_range=0.15,
    seed=3,
)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_small(tmp_path_factory.mktemp("tiny"), TINY, CORPUS)


@pytest.fixture
def policy(tiny_folder: Path) -> Policy:
    torch.manual_seed(0)
    return load_policy(tiny_folder)


def frames(seed: int = 0, count: int = 4, height: int = 56, width: int = 84) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
