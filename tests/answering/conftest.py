"""A tiny real policy and a folder of tiny real videos."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from answering_toys import WORDS, write_video

from videothinker.policy.model import Policy, load_policy
from videothinker.policy.small import SmallConfig, build_small
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
    folder = tmp_path_factory.mktemp("tiny")
    build_small(
        folder,
        SmallConfig(
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
            initializer_range=0.3,
        ),
        WORDS,
    )
    return load_policy(folder)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good videos, an empty file and a text file."""
    root = tmp_path_factory.mktemp("videos")
    write_video(root / "a.mp4", 0)
    write_video(root / "b.mp4", 1)
    (root / "empty.mp4").write_bytes(b"")
    (root / "text.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")
    return root
