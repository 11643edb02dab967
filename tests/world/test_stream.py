"""The stream: the same items from anywhere, facts that fit the frames, no heavy imports."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from videothinker.errors import UserError
from videothinker.world.objects import SHOWN_FRAMES
from videothinker.world.shading import RGB
from videothinker.world.stream import PRETRAINING_START, StreamConfig, stream


@pytest.fixture(scope="module")
def items():
    return list(itertools.islice(stream(0, PRETRAINING_START, StreamConfig()), 5))


def test_a_stream_can_be_entered_anywhere(items):
    later = next(stream(0, PRETRAINING_START + 3, StreamConfig()))
    assert later.scene_index == items[3].scene_index == PRETRAINING_START + 3
    assert (later.frames_FHW3 == items[3].frames_FHW3).all()
    assert later.collisions == items[3].collisions
    assert (items[0].frames_FHW3 != items[1].frames_FHW3).any()


def test_shapes_and_facts_agree(items):
    for item in items:
        count = len(item.scene.objects)
        assert item.frames_FHW3.shape == (16, 112, 168, 3)
        assert item.frames_FHW3.dtype == np.uint8
        assert item.frame_ids_F[[0, -1]].tolist() == [0, SHOWN_FRAMES - 1]
        assert item.pixels_FN2.shape == item.positions_FN2.shape == (16, count, 2)
        in_image = (item.pixels_FN2 > 0).all(axis=-1) & (item.pixels_FN2 < (168, 112)).all(axis=-1)
        assert (item.visible_FN <= in_image).all()
        assert item.visible_FN.any(axis=0).all()
        assert 2 <= len(item.collisions) <= 4
        assert all(hit.frame < SHOWN_FRAMES for hit in item.collisions)


def test_the_color_stands_where_the_facts_say(items):
    right = total = 0
    for item in items:
        for f, n in np.argwhere(item.visible_FN):
            column, row = np.clip(item.pixels_FN2[f, n].astype(int), 2, (165, 109))
            patch = item.frames_FHW3[f, row - 2 : row + 3, column - 2 : column + 3]
            seen = np.median(patch.reshape(-1, 3).astype(float), axis=0)
            own = np.array(RGB[item.scene.objects[n].color], float)
            tint = [c - c.mean() for c in (seen, own)]
            right += tint[0] @ tint[1] >= 0.75 * np.linalg.norm(tint[0]) * np.linalg.norm(tint[1])
            total += 1
    assert right / total > 0.9  # the rest are covered by a nearer object


def test_the_wanted_size_and_number_of_frames_come(items):
    small = next(stream(0, PRETRAINING_START, StreamConfig(width=64, height=64, frames=1)))
    assert small.frames_FHW3.shape == (1, 64, 64, 3)
    assert small.scene == items[0].scene


def test_numpy_and_pymunk_are_all_it_takes():
    code = (
        "import sys\n"
        "from videothinker.world.stream import StreamConfig, stream\n"
        "next(stream(0, 20000, StreamConfig(frames=2)))\n"
        "heavy = {'av', 'torch', 'transformers', 'PIL', 'rich', 'msgspec', 'jsonargparse'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("settings", [{"width": 8}, {"frames": 0}, {"frames": 129}])
def test_an_impossible_stream_is_refused(settings):
    with pytest.raises(UserError, match="give"):
        StreamConfig(**settings)
