"""Videos and a journal, as for every model that is asked; a tiny folder of each plain family."""

from pathlib import Path

import pytest

from tests.answering.conftest import journal, videos
from tests.models.plain.tiny import FAMILIES

__all__ = ["journal", "videos"]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`model_type` -> its folder."""
    root = tmp_path_factory.mktemp("plain")
    return {kind: build(root / kind) for kind, build in FAMILIES.items()}
