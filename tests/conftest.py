"""Fixtures for every room."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.warm import REPO, Warm, served

# The suite's numbers are a CPU's, also where `auto` would find a GPU.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Starts processes that need not import torch; all workers have one server."""
    folder = tmp_path_factory.getbasetemp()
    with served(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) as warm:
        yield warm


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data kept outside the repository; tests that need it skip where it is absent."""
    path = Path(os.environ.get("VIDEOTHINKER_SHARED", REPO / ".." / "shared")).resolve() / "data"
    if not path.is_dir():
        pytest.skip(f"real data not found at {path}; set VIDEOTHINKER_SHARED")
    return path
