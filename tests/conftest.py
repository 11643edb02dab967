"""Fixtures for every room."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.forked_ranks import Ranks

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


@pytest.fixture(scope="session")
def run_ranks() -> "Iterator[Ranks]":
    """Runs a module as two processes of one job; see `tests/forked_ranks.py`."""
    from tests.forked_ranks import forked_ranks

    with forked_ranks() as run:
        yield run
