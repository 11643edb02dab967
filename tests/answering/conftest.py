"""A tiny real policy and a folder of tiny real videos."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.answering_toys import build_tiny, write_video
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import Policy
from videothinker.records import Sample
from videothinker.runs import Journal


@pytest.fixture
def journal() -> Iterator[Callable[[Path], Journal[Sample]]]:
    """Open a journal at a path, closed when the test is over."""
    opened: list[Journal[Sample]] = []

    def at(path: Path) -> Journal[Sample]:
        path.parent.mkdir(exist_ok=True, parents=True)
        opened.append(Journal(path, Sample))
        return opened[-1]

    yield at
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """Random weights; what it says is noise, but it says it deterministically."""
    return load_policy(build_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good videos, an empty file and a text file."""
    root = tmp_path_factory.mktemp("videos")
    write_video(root / "a.mp4", 0)
    write_video(root / "b.mp4", 1)
    (root / "empty.mp4").write_bytes(b"")
    (root / "text.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")
    return root
