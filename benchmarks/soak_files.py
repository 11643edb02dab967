"""What does a reader do with a file that was changed at random?

Changes good answers, questions, lists, records, annotations, programs, recipes, grids, run.json,
checkpoint states and the files of a model, each by a seeded draw, and reads them. Allowed is a
result or a `UserError`; what was taken and can be written must come back the same. Anything else
prints its kind and the number of the trial.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import soak_models
import yaml
from soak_mutate import Kind
from soak_record import Record

from videothinker import answers
from videothinker.benchmarks import jsonl
from videothinker.clevrer import annotations, programs, questions
from videothinker.clevrer.scenes import from_annotation
from videothinker.console import quiet
from videothinker.grids import plan
from videothinker.lists.reading import read_list
from videothinker.recipes import as_words, read_recipe
from videothinker.records import (
    Diagnosis,
    Question,
    Sample,
    Step,
    encode,
    read_jsonl,
    write_atomic,
    write_jsonl,
)
from videothinker.run_file import read_run_file
from videothinker.training.checkpoints import read_progress

GOAL = 10_000
"""Trials of each kind."""


def _same(found: object, again: object) -> object:
    if again != found:
        raise AssertionError(f"{found} came back as {again}")
    return found


def _records(kind: Any) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        found = read_jsonl(path, kind)
        return _same(found, read_jsonl(write_jsonl(path, found), kind))

    return read


def _questions(path: Path) -> object:
    found = jsonl.read_questions(path)
    return _same(found, jsonl.read_questions(write_jsonl(path, found)))


def _list(path: Path) -> object:
    """A stranger's list: what is taken of it is written, and read as ours."""
    found = read_list(path, path.parent).questions
    written = write_jsonl(path.with_name("written.jsonl"), found)
    return _same(list(found), jsonl.read_questions(written) if found else [])


def _encoded(read: Callable[[Path], Any]) -> Callable[[Path], object]:
    """A reader of structs whose file is their JSON."""

    def twice(path: Path) -> object:
        found = read(path)
        write_atomic(path, msgspec.json.encode(found))
        return _same(found, read(path))

    return twice


def _answer(path: Path) -> object:
    text = path.read_bytes().decode("utf-8", "replace")
    found = answers.parse(text, ("yes", "no", "maybe"), truncated=False)
    if found.answer is not None and not set(found.answer) <= set("ABC"):
        raise AssertionError(f"{found.answer} of three choices")
    return found


def _program(path: Path) -> object:
    tokens = path.read_bytes().decode("utf-8", "replace").split()
    scene = from_annotation(annotations.read_annotation(path.with_name("annotation")))
    programs.run(tokens, scene)
    return programs.removed_object([*tokens, "get_counterfact"], scene)


def _annotation(path: Path) -> Any:
    return annotations.read_annotation(path, trajectories=True)


def _scene(path: Path) -> object:
    _encoded(_annotation)(path)
    return from_annotation(_annotation(path))


def _recipe(path: Path) -> object:
    found = read_recipe(path)
    words = as_words(found, "recipe")
    path.write_text(yaml.safe_dump(found, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return _same(words, as_words(read_recipe(path), "recipe"))


def _state(path: Path) -> object:
    found = read_progress(path.parent)
    write_atomic(path, json.dumps(asdict(found)).encode())
    return _same(found, read_progress(path.parent))


def _two_objects() -> dict[str, Any]:
    """That collide, in CLEVRER's layout."""
    spot = {"location": [0, 0, 0], "orientation": [0, 0, 0], "velocity": [1, 0, 0],
            "angular_velocity": [0, 0, 0], "inside_camera_view": True}  # fmt: skip
    looks = [("red", "metal", "cube"), ("blue", "rubber", "sphere")]
    return {
        "scene_index": 0,
        "video_filename": "v.mp4",
        "object_property": [
            dict(zip(("object_id", "color", "material", "shape"), (i, *look), strict=True))
            for i, look in enumerate(looks)
        ],
        "collision": [{"object_ids": [0, 1], "frame_id": 1, "location": [0, 0, 0]}],
        "motion_trajectory": [
            {"frame_id": t, "objects": [{"object_id": i, **spot} for i in (0, 1)]} for t in (0, 1)
        ],
    }


def kinds(folder: Path) -> dict[str, Kind]:
    """Every kind of file, in folders of their own below `folder`."""
    question = Question(
        id="q", dataset="d", split="train", context="frame 1: they collide", question="Which?",
        choices=("a", "b"), answer=("A",), type="t", groups={"scene": "1"},
    )  # fmt: skip
    program = "events objects red filter_color unique filter_collision unique"
    raw = {"question_id": 0, "question": "Which?", "question_type": "counterfactual",
           "program": ["objects"], "choices": [
               {"choice_id": 0, "choice": "a", "program": program.split(), "answer": "wrong"}
           ]}  # fmt: skip
    scenes = [{"scene_index": 0, "video_filename": "v.mp4", "questions": [raw]}]
    removed = b"objects red filter_color metal filter_material unique"
    run = {"stage": "s", "config": {"seed": 0}, "inputs": {"data": None}, "status": "failed",
           "times": [{"started": 1.0}], "facts": {"data_root": "x"}}  # fmt: skip
    state = {"step": 3, "position": 6, "entropy": 1.5, "divergence": None, "bad_in_a_row": 0}
    row = {"id": 1, "question": "Which?", "options": ["a", "b"], "answer": "A", "context": "c"}
    recipe = b"seed: 1\nframes: 4\nreward-funcs: [a, b]\n"
    grid = b"seed: 1\ncells:\n- {name: 'a-{s}', run: world, each: {s: [1, 2]}, frames: 4}\n"
    sample = Sample(question_id="q", model="m", protocol="p", verdict="ok", answer=("A",))
    label = Diagnosis(question_id="q", rule="r", label="excluded", flags={"r": None})
    csv = b'id,question,a,b,answer,context\n1,Which?,x,y,B,c\n2,"Why, then?",x,y,A,c\n'
    good: dict[str, tuple[bytes, Callable[[Path], object], str]] = {
        "answers": (b"<think>the cube moves</think><answer>A, C</answer>", _answer, "text"),
        "questions, and back": (encode(question), _questions, "questions.jsonl"),
        "lists in JSON": (json.dumps([row, row | {"id": 2}]).encode(), _list, "list.json"),
        "lists in CSV": (csv, _list, "list.csv"),
        "records: question": (encode(question), _records(Question), "file"),
        "records: sample": (encode(sample), _records(Sample), "file"),
        "records: step": (encode(Step(step=1, loss=0.5)), _records(Step), "file"),
        "records: diagnosis": (encode(label), _records(Diagnosis), "file"),
        "annotations, and back": (json.dumps(_two_objects()).encode(), _scene, "annotation"),
        "CLEVRER questions, and back": (
            json.dumps(scenes).encode(), _encoded(questions.read_questions), "train.json"
        ),
        "programs": (removed, _program, "program"),
        "recipes, and back": (recipe, _recipe, "recipe.yaml"),
        "grids": (grid, lambda path: plan(path, Path("r")), "grid.yaml"),
        "run.json, and back": (json.dumps(run).encode(), _encoded(read_run_file), "run.json"),
        "checkpoint state, and back": (json.dumps(state).encode(), _state, "state.json"),
    }  # fmt: skip
    (folder / "step-3").mkdir()
    (folder / "step-3" / "annotation").write_bytes(good["annotations, and back"][0])
    found = {
        name: Kind(data, read, folder / "step-3" / file)
        for name, (data, read, file) in good.items()
    }
    return found | soak_models.kinds(folder)


def soak(record: Record) -> None:
    """Go on where the record stands, some of each kind in turn, until the goal or the time."""
    goal = record.goal or GOAL
    with tempfile.TemporaryDirectory() as name, soak_models.quick_templates(), quiet():
        every = kinds(Path(name))
        asked = record.wanted(every)
        if bad := [one for one in asked if not every[one].take(None)]:
            raise AssertionError(f"refused as they are, unchanged: {bad}")
        while not record.late and any(record.tried(one) < goal for one in asked):
            for one in asked:
                _try_some(record, one, every[one], goal)
            record.save()


def _try_some(record: Record, name: str, kind: Kind, goal: int) -> None:
    """The next hundred trials of a kind."""
    found = record.table.setdefault(name, {"taken": 0, "refused": 0})
    for number in range(record.tried(name), min(goal, record.tried(name) + 100)):
        if record.late:
            break
        try:
            taken = kind.take(f"{name} {number}")
        except BaseException:
            sys.stderr.write(f"{name}, trial {number}:\n")
            raise
        found["taken" if taken else "refused"] += 1
