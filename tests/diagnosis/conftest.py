"""The room's fixtures."""

import pytest
from diagnosis_folder import Folder


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "data")
    for split, scene in (("train", 0), ("train", 1), ("validation", 10_000)):
        made.annotate(split, scene)
        made.ask(split, scene)
    return made
