"""Reading CLEVRER's layout: fast, complete, and loud about what is wrong."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videothinker.clevrer.annotations import (
    annotation_path,
    iter_annotations,
    read_annotation,
    video_path,
)
from videothinker.clevrer.questions import load, load_split
from videothinker.clevrer.scenes import Event, from_annotation
from videothinker.clevrer.transcript import render
from videothinker.errors import UserError

WITHOUT = [
    *("all_events", "objects", "cube", "filter_shape", "unique"),
    *("get_counterfact", "belong_to", "negate"),
]
COLLIDING = "all_events objects red filter_color unique filter_collision objects blue filter_color"


def annotation(scene: int, frames: int = 128) -> dict[str, Any]:
    """Red cube and blue sphere; the sphere enters at frame 3 and is hit at 40."""

    def state(thing: int, t: int) -> dict[str, Any]:
        return {
            "object_id": thing,
            "location": [0.123456789 * t, 1.0, 0.2],
            "orientation": [0.0, 0.0, 12.3456789],
            "velocity": [0.5 * (1 - thing), 0.0, 0.0],
            "angular_velocity": [0.0, 0.0, 0.123456789],
            "inside_camera_view": thing == 0 or t >= 3,
        }

    return {
        "scene_index": scene,
        "video_filename": f"video_{scene:05d}.mp4",
        "object_property": [
            {"object_id": 0, "color": "red", "material": "metal", "shape": "cube"},
            {"object_id": 1, "color": "blue", "material": "rubber", "shape": "sphere"},
        ],
        "motion_trajectory": [
            {"frame_id": t, "objects": [state(0, t), state(1, t)]} for t in range(frames)
        ],
        "collision": [{"object_ids": [0, 1], "frame_id": 40, "location": [0.1, 0.2, 0.3]}],
    }


def questions(scene: int) -> dict[str, Any]:
    return {
        "scene_index": scene,
        "video_filename": f"video_{scene:05d}.mp4",
        "questions": [
            {
                "question_id": 0,
                "question": "How many objects enter the scene?",
                "question_type": "descriptive",
                "program": ["events", "objects", "filter_in", "count"],
                "question_subtype": "count",
                "answer": "1",
            },
            {
                "question_id": 1,
                "question": "What will not happen without the cube?",
                "question_type": "counterfactual",
                "program": [
                    "all_events",
                    "objects",
                    "cube",
                    "filter_shape",
                    "unique",
                    "get_counterfact",
                    "belong_to",
                    "negate",
                ],
                "choices": [
                    {
                        "choice_id": 0,
                        "choice": "The red object and the sphere collide",
                        "program": f"{COLLIDING} unique filter_collision unique".split(),
                        "answer": "correct",
                    },
                    {
                        "choice_id": 1,
                        "choice": "The sphere collides with the metal object",
                        "program": [],
                        "answer": "wrong",
                    },
                ],
            },
        ],
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, [0, 1, 1000], [0, 1, 1000])
    return tmp_path


def write(root: Path, annotated: list[int], asked: list[int]) -> None:
    for scene in annotated:
        folder = f"annotation_{scene // 1000 * 1000:05d}-{scene // 1000 * 1000 + 1000:05d}"
        path = root / "annotation_train" / folder / f"annotation_{scene:05d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(annotation(scene)))
    (root / "train.json").write_text(json.dumps([questions(scene) for scene in asked]))


def test_records_hold_what_the_files_say(root: Path) -> None:
    records = load(root, "train")
    assert [record.id for record in records[:2]] == [
        "clevrer/train/00000-00",
        "clevrer/train/00000-01",
    ]
    count, what_if = records[4:]
    assert count.choices == ("0", "1", "2", "3", "4", "5")
    assert count.answer == ("B",)
    assert count.question_struck is None
    assert what_if.answer == ("A",)
    assert what_if.question_struck == "What will not happen?"
    assert what_if.video == "video_01000-02000/video_01000.mp4"
    assert what_if.groups == {"subtype": "counterfactual", "scene": "1000", "negated": "yes"}
    assert len(load_split(root, "train").annotations) == 3


def test_both_layouts_of_folders(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (root / "video_train").mkdir()
    flat = tmp_path_factory.mktemp("flat")
    write(flat, [12], [12])
    (flat / "annotation_train/annotation_00000-01000").rename(flat / "annotation_00000-01000")
    (flat / "annotation_train").rmdir()
    assert [a.scene_index for a in iter_annotations(flat, "train")] == [12]
    assert annotation_path(flat, "train", 12).is_file()
    assert video_path(root, "train", 12) == "video_train/video_00000-01000/video_00012.mp4"


def test_events_come_from_the_trajectory(root: Path) -> None:
    path = annotation_path(root, "train", 1)
    assert read_annotation(path).motion_trajectory is None
    scene = from_annotation(read_annotation(path, trajectories=True))
    assert scene.events == (Event("in", 3, (1,)), Event("collision", 40, (0, 1)))
    assert scene.moving_TN is not None
    np.testing.assert_array_equal(scene.moving_TN, [[True, False]] * 128)
    assert from_annotation(read_annotation(path)).events == (Event("collision", 40, (0, 1)),)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a: a.write_text(a.read_text()[:500]), r"annotation_00001.*byte 500"),
        (lambda a: a.write_text(""), r"annotation_00001.*byte 0"),
        (lambda a: a.write_text('{"scene_index": x}'), r"annotation_00001.*byte 16"),
        (lambda a: a.write_text("{}"), "annotation_00001.*missing required field"),
        (lambda a: a.write_text(json.dumps(annotation(0))), "name and content must agree|twice"),
        (lambda a: a.write_text(json.dumps(annotation(10_000))), "outside split 'train'.*9999"),
        (lambda a: a.unlink(), "scene 1 of split 'train' has questions but no annotation"),
    ],
)
def test_a_bad_annotation_is_named(
    root: Path, change: Callable[[Path], object], sentence: str
) -> None:
    change(annotation_path(root, "train", 1))
    with pytest.raises(UserError, match=sentence):
        load_split(root, "train")
    problems: list[UserError] = []
    split = load_split(root, "train", problems=problems)
    assert any(re.search(sentence, str(error)) for error in problems)
    assert [scene.scene_index for scene in split.scenes] == [0, 1000]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ([0, 1], "scene 1000 of split 'train' has an annotation but no questions"),
        ([0, 1, 1, 1000], "scene_index 1 comes twice"),
        ([0, 1, 1000, 12_000], "12000 is outside split 'train'; allowed are 0 to 9999"),
        ([], "holds no question"),
    ],
)
def test_bad_question_files_are_named(root: Path, asked: list[int], sentence: str) -> None:
    (root / "train.json").write_text(json.dumps([questions(scene) for scene in asked]))
    with pytest.raises(UserError, match=sentence):
        load_split(root, "train")


def test_bad_questions_are_named(root: Path) -> None:
    rows = [questions(scene) for scene in (0, 1, 1000)]
    rows[1]["questions"][1]["question_id"] = 0
    (root / "train.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match="scene 1 has question_id 0 twice"):
        load(root, "train")
    rows[1] = questions(1)
    rows[1]["questions"][0]["answer"] = "purple"
    rows[1]["questions"][1]["choices"][0].pop("answer")
    (root / "train.json").write_text(json.dumps(rows))
    problems: list[UserError] = []
    assert len(load(root, "train", problems=problems)) == 4
    assert re.search("clevrer/train/00001-00: .*'purple'.* 0, 1", str(problems[0]))
    assert "clevrer/train/00001-01" in str(problems[1])
    with pytest.raises(UserError, match="holds no annotations"):
        list(iter_annotations(root, "validation"))
    with pytest.raises(UserError, match="split 'dev' is unknown"):
        load(root, "dev")
    with pytest.raises(UserError, match=r"validation.json: cannot be read"):
        load(root, "validation")


def test_a_real_sized_annotation_is_read_without_its_trajectory(tmp_path: Path) -> None:
    data = annotation(0)
    for frame in data["motion_trajectory"]:
        frame["objects"] = [dict(frame["objects"][0], object_id=i) for i in range(6)]
    path = tmp_path / "annotation_00000.json"
    path.write_text(json.dumps(data))
    assert path.stat().st_size > 150_000
    start = time.process_time()
    for _ in range(200):
        read_annotation(path)
    fast = time.process_time() - start
    start = time.process_time()
    for _ in range(20):
        json.loads(path.read_text())
    assert fast / 200 < 0.5 * (time.process_time() - start) / 20


def test_a_transcript_states_its_misses(root: Path) -> None:
    whole = read_annotation(annotation_path(root, "train", 0), trajectories=True)
    text = render(whole, frames=2)
    assert "the red metal cube and the blue rubber sphere collide" in text
    assert "Frame 3: the blue rubber sphere enters the scene." in text
    assert "Frame 0: red metal cube at (0.00, 1.00) moving (0.50, 0.00)." in text
    assert "Frame 127: red metal cube at (15.68, 1.00)" in text
    told = [render(whole, miss_rate=0.3, seed=i).count("\nFrame") - 4 for i in range(500)]
    assert abs(np.mean(told) / 2 - 0.7) < 0.05
    assert render(whole, miss_rate=0.3, seed=7) == render(whole, miss_rate=0.3, seed=7)
    assert "probability 0.3" in render(whole, miss_rate=0.3)
    with pytest.raises(UserError, match="rates from 0 to 1"):
        render(whole, miss_rate=2)
    with pytest.raises(UserError, match="trajectories=True"):
        render(read_annotation(annotation_path(root, "train", 0)))
