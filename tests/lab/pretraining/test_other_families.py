"""The same command builds the base in another family: one setting."""

import dataclasses

import pytest

from tests.lab.pretraining import test_dense
from tests.lab.pretraining.test_stage import made, tiny  # noqa: F401 (a fixture of that file)
from tests.lab.pretraining.toy_pretraining import POOL, SHAPE
from videothinker.errors import UserError
from videothinker.lab.pretraining import stage
from videothinker.lab.pretraining.config import PretrainConfig
from videothinker.lab.pretraining.stage import _small
from videothinker.models.catalog import load_policy
from videothinker.models.qwen_vl.small import build_small


def of(family: str):
    return dataclasses.replace(SHAPE, family=family)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A tiny fresh Qwen2-VL."""
    config = PretrainConfig(shape=of("qwen2_vl"), pool=POOL)
    folder = tmp_path_factory.mktemp("two")
    return load_policy(build_small(folder, _small(config), ["The red object hits a cube"] * 20))


def test_the_fast_forward_is_the_librarys(two, rng):
    test_dense.test_video_forward_is_the_librarys(two, rng)


@pytest.mark.parametrize(("family", "tier"), [("qwen2_vl", "video"), ("qwen3_vl", "transcript")])
@pytest.mark.usefixtures("made")
def test_it_is_built_trained_and_loaded(tmp_path, family, tier):
    out = stage.pretrain(None, tiny(tmp_path / family, tier, shape=of(family)))
    assert load_policy(out / "model").model.config.model_type == family


def test_qwen3_from_frames_is_refused():
    with pytest.raises(UserError, match="'qwen3_vl' came with tier 'video'"):
        PretrainConfig(shape=of("qwen3_vl"), pool=POOL)
