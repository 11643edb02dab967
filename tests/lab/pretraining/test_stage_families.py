"""The same command builds the base in another family: one setting."""

import dataclasses

import msgspec
import pytest

from tests.lab.pretraining import test_dense
from tests.lab.pretraining.test_stage import made, tiny  # noqa: F401 (a fixture of that file)
from tests.lab.pretraining.toy_pretraining import POOL, SHAPE
from videothinker.lab.pretraining import dense, stage
from videothinker.lab.pretraining.config import PretrainConfig
from videothinker.lab.pretraining.stage import _small
from videothinker.models.catalog import load_policy
from videothinker.models.qwen_vl.small import build_small


def of(family: str):
    return dataclasses.replace(SHAPE, family=family)


@pytest.fixture(scope="module", params=["qwen2_vl", "qwen3_vl"])
def other(request, tmp_path_factory):
    """A tiny fresh model of another family."""
    config = PretrainConfig(shape=of(request.param), pool=POOL)
    folder = tmp_path_factory.mktemp(request.param)
    return load_policy(build_small(folder, _small(config), ["The red object hits a cube"] * 20))


def test_the_fast_forward_is_the_librarys(other, rng):
    test_dense.test_video_forward_is_the_librarys(other, rng)


def test_looking_alone_gives_the_states_that_words_read(other, rng):
    test_dense.test_looking_alone_gives_the_states_that_words_read(other, rng)


def test_deepstack_is_part_of_the_forward(other, rng, monkeypatch):
    """A negative control: without it, or at the wrong places, the logits are others."""
    if other.model.config.model_type != "qwen3_vl":
        pytest.skip("has none")
    monkeypatch.setattr(dense, "_deeper", lambda prefix, *_: prefix)
    with pytest.raises(AssertionError, match="not close"):
        test_dense.test_video_forward_is_the_librarys(other, rng)


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl"])
@pytest.mark.usefixtures("made")
def test_it_is_built_trained_and_loaded(tmp_path, family):
    out = stage.pretrain(None, tiny(tmp_path / family, shape=of(family)))
    policy = load_policy(out / "model")
    assert policy.model.config.model_type == family
    curve = [msgspec.json.decode(row) for row in (out / "metrics.jsonl").read_bytes().splitlines()]
    assert all(row["metrics"]["touch"] > 0 for row in curve)
    assert curve[-1]["loss"] > 0
