"""The new world's questions in memory: robust, in families, and never given away."""

import errno
import resource
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.lab.pretraining.toy_pretraining import NEW
from videothinker.errors import UserError
from videothinker.lab.pretraining.config import PoolConfig
from videothinker.lab.pretraining.pool import SceneFacts, kept, simulated
from videothinker.lab.pretraining.questions import answer_from, paired_what_if, what_if


@pytest.fixture(scope="module")
def scenes() -> list[SceneFacts]:
    return [simulated(20000 + i, 0, NEW) for i in range(8)]


def test_a_scene_is_kept_whole(scenes):
    for one in scenes:
        assert one.fragile is not None
        assert len(one.fragile) == 1 + len(one.looks)
    read = msgspec.json.decode(msgspec.json.encode(scenes), type=list[SceneFacts])
    assert [one.fragile for one in read] == [one.fragile for one in scenes]


def test_a_disk_that_takes_no_more_says_so(tmp_path: Path) -> None:
    """And is no fault of ours; with room the array is as numpy writes it."""
    path, frames = tmp_path / "frames.npy", np.arange(60_000, dtype=np.uint8).reshape(2, -1, 3)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as found:
            kept(path, lambda: list(frames))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert found.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(kept(path, lambda: list(frames)), frames)
    np.save(tmp_path / "plain.npy", frames)
    assert path.read_bytes() == (tmp_path / "plain.npy").read_bytes()


def test_what_is_fragile_is_not_asked(scenes, rng):
    """Describing has a valid answer to every question, and no option is of a fragile pair."""
    found = 0
    for one in scenes * 4:
        for share in (0.0, 1.0):
            asked = what_if(one, rng, share)
            if asked is None:
                continue
            found += 1
            assert asked.removed is not None
            seen = {frozenset(pair) for pair in one.collisions()}
            assert any(asked.removed in pair for pair in seen)
            assert {frozenset(pair) in seen for pair in asked.pairs} == {True, False}
            assert (answer_from(asked, one.collisions()) == asked.gold) == (share == 0.0)
            weak = {*one.fragile[0], *one.fragile[1 + asked.removed]}
            assert not weak & {tuple(sorted(pair)) for pair in asked.pairs}
    assert found > 40


def test_a_family_is_told_apart_by_the_removed_object_alone(scenes, rng):
    found = [(one, pair) for one in scenes * 6 if (pair := paired_what_if(one, rng)) is not None]
    assert len(found) > 8
    for one, (still, other) in found:
        assert still.choices == other.choices
        assert still.gold != other.gold
        assert still.removed != other.removed
        assert answer_from(still, one.collisions()) == still.gold
        for half in (still, other):
            assert answer_from(half, one.collisions(without=half.removed)) == half.gold


def test_too_few_objects_are_refused():
    with pytest.raises(UserError, match="objects_min=4: without give-aways"):
        PoolConfig(objects_min=4)
