import numpy as np
import pytest
import torch

from tests.lab.pretraining.toy_pretraining import POOL, SHAPE
from videothinker.lab.pretraining.config import PretrainConfig
from videothinker.lab.pretraining.pool import facts
from videothinker.lab.pretraining.questions import TaughtQuestion
from videothinker.lab.pretraining.stage import _small
from videothinker.models.catalog import load_policy
from videothinker.models.qwen2_5_vl.small import build_small
from videothinker.world.scenes import scene_config
from videothinker.world.worlds import make_world


@pytest.fixture(scope="session")
def pretraining_scenes():
    """Six simulated scenes."""
    return [
        facts(make_world(0, 20000 + i, scene_config(POOL)), POOL.frames, seed=0) for i in range(6)
    ]


@pytest.fixture(scope="session")
def pretraining_policy(tmp_path_factory):
    """A tiny fresh model."""
    torch.set_num_threads(1)
    config = PretrainConfig(shape=SHAPE, pool=POOL)
    folder = tmp_path_factory.mktemp("tiny")
    text = TaughtQuestion(
        "What will happen?", ("The red object and the cyan object collide",), (), "x"
    )
    return load_policy(build_small(folder, _small(config), [text.words()] * 20))


@pytest.fixture
def rng():
    return np.random.default_rng(5)
