"""The stage: killed anywhere it resumes to the same bytes; a bad dial never starts."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from videothinker.clevrer.annotations import annotation_path, read_annotation, video_path
from videothinker.errors import UserError
from videothinker.ranks import cores
from videothinker.runs import digest_path
from videothinker.video import read_clip
from videothinker.world import camera
from videothinker.world.config import LIMITS, WorldConfig
from videothinker.world.objects import frame_ids
from videothinker.world.plan import plan
from videothinker.world.produce import frame_rate, palette_of
from videothinker.world.scenes import scene_config
from videothinker.world.shading import RGB
from videothinker.world.stage import _workers, world

QUICK = {
    "plain_looks": True, "radius": 0.3, "friction": 0.0, "lanes": 0.8, "late_share": 0.0,
    "bystander_share": 0.0, "descriptive": 0, "jitter_draws": 2, "scenes": 9,
    "validation_scenes": 2,
}  # fmt: skip
"""A world soon made."""
# without `if __name__ == "__main__"`: workers run nothing of the script that asks for a world
PROGRAM = """
import json, sys
from pathlib import Path
from videothinker.world.config import WorldConfig
from videothinker.world.stage import world
world(WorldConfig(Path(sys.argv[1]), frames=0, seed=3, **json.loads(sys.argv[2])))
"""


def config(out: Path, **changes: object) -> WorldConfig:
    settings: dict[str, object] = {
        "out": out,
        "scenes": 12,
        "validation_scenes": 4,
        "frames": 0,
        "seed": 3,
        **changes,
    }
    return WorldConfig(**settings)  # type: ignore[arg-type]


def test_without_a_number_of_workers_the_cores_are_used_where_it_is_worth_it() -> None:
    assert _workers(config(Path("w"), scenes=10_000)) == min(cores(), LIMITS["workers"][1])
    assert _workers(config(Path("w"))) == 1
    assert _workers(config(Path("w"), workers=3)) == 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    return digest_path(world(config(tmp_path_factory.mktemp("whole") / "w", **QUICK)))


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_it_resumes_to_the_same_bytes(tmp_path: Path, whole: str, workers: int) -> None:
    script = tmp_path / "run.py"
    script.write_text(PROGRAM)
    out = tmp_path / "w"
    running = subprocess.Popen(
        [sys.executable, str(script), str(out), json.dumps(QUICK | {"workers": workers})],
        stderr=subprocess.DEVNULL,
    )
    shards = out / "checkpoints" / "train.jsonl"
    deadline = time.monotonic() + 60
    while not (shards.exists() and shards.read_bytes().count(b"\n") >= 3):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    with shards.open("ab") as file:
        file.write(b'{"questions": {"scene_index"')  # a line torn by the kill
    assert not (out / "train.json").exists()
    assert digest_path(world(config(out, **QUICK))) == whole
    assert digest_path(world(config(out, **QUICK))) == whole


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "w"
    world(config(out, scenes=1, validation_scenes=0))
    for changes, word in (({"seed": 4}, "seed"), ({"observational_share": 0.5}, "observational")):
        with pytest.raises(UserError, match=word):
            world(config(out, scenes=1, validation_scenes=0, **changes))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        world(config(foreign))
    with pytest.raises(UserError, match="cannot be made"):
        world(config(Path("/proc/nowhere")))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"scenes": 0, "validation_scenes": 0}, "nothing to make"),
        ({"scenes": 10_001}, "allowed are 0 to 10000"),
        ({"validation_scenes": -1}, "allowed are 0 to 5000"),
        ({"observational_share": 1.01}, "observational_share=1.01: allowed are 0 to 1"),
        ({"observational_share": float("nan")}, "observational_share=nan"),
        ({"objects_min": 0, "objects_max": 0}, "objects_min=0: allowed are 4 to 8"),
        ({"objects_min": 6, "objects_max": 4}, "below objects_min=6"),
        ({"objects_min": 4}, "objects_min=4: without give-aways two objects stay unnamed"),
        ({"collisions_min": 5}, "cannot be met with 5 objects"),
        ({"collisions_min": 4, "give_aways": "allowed"}, "cannot be met with 4 objects"),
        ({"give_aways": "some"}, "give_aways='some': allowed are none and allowed"),
        ({"family_share": 0.6}, "observational_share=0.74 leaves 0.52 at most"),
        ({"family_share": -0.1}, "give 0 to 0.52"),
        ({"family_share": 0.5, "give_aways": "allowed"}, "there are no families"),
        ({"jitter": 0.5}, "jitter=0.5: allowed are 0 to 0.3"),
        ({"friction": -0.1}, "friction=-0.1: allowed are 0 to 1"),
        ({"size": "480"}, "WIDTHxHEIGHT"),
        ({"size": "481x320"}, "even"),
        ({"frames": 129}, "frames=129: a video of length=128 does not have as many"),
        ({"length": 20}, "length=20: allowed are 96 to 384"),
        ({"frames": 1}, "one frame is no video"),
        ({"workers": -1}, "workers=-1"),
        ({"radius": 0.4}, "radius=0.4: allowed are 0.1 to 0.35"),
        ({"softest": 1.5}, "softest=1.5: allowed are 0 to 1"),
        ({"near_miss": -1}, "near_miss=-1: allowed are 0 to 1"),
        ({"shades": 40}, "shades=40: allowed are 0 to 21"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_impossible_dials_are_refused_when_built(
    tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        config(tmp_path / "w", **changes)
    assert not (tmp_path / "w").exists()


def test_the_scenes_are_sampled_with_the_dials() -> None:
    sampled = scene_config(config(Path("w"), radius=0.3, softest=0.5, near_miss=0.4, length=200))
    assert (sampled.radius, sampled.softest, sampled.near_miss) == (0.3, 0.5, 0.4)
    assert sampled.length == 200
    straight = {"friction": 0.0, "lanes": 0.8, "late_share": 0.2}
    sampled = scene_config(config(Path("w"), **straight))
    assert {name: getattr(sampled, name) for name in straight} == straight


def test_what_is_not_said_is_what_the_questions_need() -> None:
    dials = ("objects_min", "collisions_min", "collisions_max", "late_share", "bystander_share")
    fresh, before = config(Path("w")), config(Path("w"), give_aways="allowed")
    assert [getattr(fresh, name) for name in dials] == [5, 3, 5, 0.5, 0.0]
    assert [getattr(before, name) for name in dials] == [4, 2, 4, 0.9, 0.5]
    assert replace(before, workers=2).objects_min == 4
    assert config(Path("w"), objects_min=6).objects_min == 6


def test_other_shades_keep_their_names() -> None:
    """Shades of two colors never meet, every scene has its own, and none without the dial."""
    assert palette_of(config(Path("w")), 3) == RGB
    spread, span = [], LIMITS["shades"][1]
    for index in range(50):
        shades = palette_of(config(Path("w"), shades=span), index)
        spread.append(shades["cyan"])
        for name, rgb in shades.items():
            apart = {of: np.abs(np.subtract(rgb, usual)).max() for of, usual in RGB.items()}
            assert min(apart, key=apart.__getitem__) == name
            assert apart[name] <= span
    assert len(set(spread)) == 50
    assert np.ptp(spread, axis=0).min() > span


def test_the_config_is_light() -> None:
    code = "import sys, videothinker.world.config; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "pymunk", "av", "msgspec"} & set(done.stdout.split())


def test_the_plan_meets_the_share_to_within_one_question() -> None:
    for share in np.linspace(0, 1, 23):
        for scenes in (1, 2, 7, 100):
            dials = {"observational_share": share, "give_aways": "allowed"}
            wanted = plan(config(Path("w"), **dials), "train", scenes)
            flat = [one for scene in wanted for one in scene]
            assert len(wanted) == scenes
            assert abs(sum(one.observational for one in flat) - share * len(flat)) <= 1
            for kind in (True, False):
                kept = [one.negated for one in flat if one.observational == kind]
                assert abs(sum(kept) - len(kept) / 2) <= 1


def test_short_videos_show_evenly_spaced_frames_of_the_same_time() -> None:
    assert frame_ids(128).tolist() == list(range(128))
    assert frame_ids(16)[[0, -1]].tolist() == [0, 127]
    assert set(np.diff(frame_ids(16))) == {8, 9}
    for frames in (2, 16, 128):
        assert abs(frames / frame_rate(frames) - 5.12) < 1e-12
    assert frame_ids(24, 192)[-1] == 191
    assert abs(24 / frame_rate(24, 192) - 7.68) < 1e-12


@pytest.mark.parametrize("length", [128, 192])
def test_short_videos_show_the_frames_they_say(tmp_path: Path, length: int) -> None:
    settings = {
        "scenes": 2, "validation_scenes": 0, "frames": 8, "size": "96x64", "length": length,
    }  # fmt: skip
    out = world(config(tmp_path / "one", **settings))
    if length == 128:
        two = world(config(tmp_path / "two", **settings, workers=2))
        assert digest_path(out) == digest_path(two)
    path = "video_train/video_00000-01000/video_00000.mp4"
    clip = read_clip(out, path, 8)
    assert clip.frames.shape == (8, 64, 96, 3)
    np.testing.assert_allclose(clip.times, np.arange(8) * length / 25 / 8, atol=1e-6)
    other = world(config(tmp_path / "other", **settings, shades=21))
    apart = np.abs(read_clip(other, path, 8).frames.astype(float) - clip.frames)
    assert apart.mean() > 0
    assert digest_path(annotation_path(out, "train", 0)) == digest_path(
        annotation_path(other, "train", 0)
    )
    # what moves is seen where the annotation of the stated frame puts it, not of the one before
    assert share_seen(out, 0, length) > 0.85
    assert share_seen(out, -18, length) < 0.65


def share_seen(out: Path, shift: int, length: int) -> float:
    """How often the picture differs from the empty table where a moving object should be."""
    hits: list[bool] = []
    for scene in (0, 1):
        frames_THW3 = read_clip(out, video_path(out, "train", scene), 8).frames.astype(float)
        notes = read_annotation(annotation_path(out, "train", scene), trajectories=True)
        assert notes.motion_trajectory is not None
        empty_HW3 = np.median(frames_THW3, axis=0)
        for frame_HW3, number in zip(frames_THW3, frame_ids(8, length).tolist(), strict=True):
            for thing in notes.motion_trajectory[max(number + shift, 0)].objects:
                if thing.inside_camera_view and np.hypot(*thing.velocity[:2]) > 0.3:
                    spot = camera.project(np.array(thing.location), 96, 64)
                    place = int(spot.rows), int(spot.columns)
                    hits.append(bool(np.abs(frame_HW3[place] - empty_HW3[place]).max() > 12))
    assert len(hits) > 10
    return float(np.mean(hits))


def test_a_disk_that_fills_up_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("videothinker.world.produce.write_atomic", full)
        with pytest.raises(UserError, match="No space left on device.*resume"):
            world(config(tmp_path / "w", **QUICK | {"scenes": 1}))
    assert (world(config(tmp_path / "w", **QUICK | {"scenes": 1})) / "train.json").exists()
