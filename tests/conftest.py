"""Fixtures for every room."""

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data kept outside the repository; tests that need it skip where it is absent."""
    path = Path(os.environ.get("VIDEOTHINKER_SHARED", REPO / ".." / "shared")).resolve() / "data"
    if not path.is_dir():
        pytest.skip(f"real data not found at {path}; set VIDEOTHINKER_SHARED")
    return path
