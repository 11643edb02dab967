"""Fixtures for every room."""

import os
from pathlib import Path

import pytest

# The suite's numbers are a CPU's, also where `auto` would find a GPU.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data kept outside the repository; tests that need it skip where it is absent."""
    path = Path(os.environ.get("VIDEOTHINKER_SHARED", REPO / ".." / "shared")).resolve() / "data"
    if not path.is_dir():
        pytest.skip(f"real data not found at {path}; set VIDEOTHINKER_SHARED")
    return path
