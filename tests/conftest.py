"""Fixtures for every room."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.warm import REPO, Rendering, Warm, address, served
from videothinker.models import templates

# The suite's numbers are a CPU's, also where `auto` would find a GPU.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def pytest_collection_finish() -> None:
    """What was imported and collected stays: it need not be looked through again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the test run, whose workers all have it."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def warm(run_folder: Path) -> Iterator[Warm]:
    """Starts processes that need not import torch; all workers have one server."""
    with served(run_folder) as warm:
        yield warm


@pytest.fixture(scope="session", autouse=True)
def _quick_templates(run_folder: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """Chat templates are rendered by the server where there is one, as there is for workers."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        request.getfixturevalue("warm")
    with patch.object(templates, "subprocess", Rendering(address(run_folder))):
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data kept outside the repository; tests that need it skip where it is absent."""
    path = Path(os.environ.get("VIDEOTHINKER_SHARED", REPO / ".." / "shared")).resolve() / "data"
    if not path.is_dir():
        pytest.skip(f"real data not found at {path}; set VIDEOTHINKER_SHARED")
    return path
