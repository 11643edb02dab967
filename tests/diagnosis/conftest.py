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
    from tests.answering_toys import build_tiny

    words = ("Which event will happen if the red object is removed? A. B. C. collides with the",)
    return build_tiny(tmp_path_factory.mktemp("tiny"), words, initializer_range=0.02)
