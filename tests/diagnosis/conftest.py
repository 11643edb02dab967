"""The room's fixtures."""

import pytest

from tests.diagnosis.diagnosis_folder import Folder


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "data")
    for split, scene in (("train", 0), ("train", 1), ("validation", 10_000)):
        made.annotate(split, scene)
        made.ask(split, scene)
    return made


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Random weights: what it says is noise, but the same noise every time."""
    from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small

    place = tmp_path_factory.mktemp("tiny")
    shape = SmallConfig(
        hidden=64,
        layers=2,
        heads=2,
        kv_heads=1,
        intermediate=96,
        vision_hidden=32,
        vision_layers=2,
        vision_heads=2,
        vision_intermediate=48,
        vision_full_attention=(1,),
    )
    words = ("Which event will happen if the red object is removed? A. B. C. collides with the",)
    build_small(place, shape, words)
    return place
