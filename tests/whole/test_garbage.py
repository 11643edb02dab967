"""Files that nobody meant: each is refused in one sentence that names it, or read as it stands."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from videothinker.benchmarks import jsonl, rows
from videothinker.clevrer import annotations, questions
from videothinker.errors import UserError
from videothinker.models.border import read_object
from videothinker.recipes import read_recipe
from videothinker.records import Diagnosis, Question, read_jsonl
from videothinker.run_file import read_run_file
from videothinker.runs import open_run

QUESTION = (
    '{"id":"q","dataset":"d","split":"train","question":"Which?","choices":["a","b"],'
    '"answer":["A"],"type":"t"}'
)
ANNOTATION = (
    '{"scene_index":0,"video_filename":"v.mp4","object_property":[],"collision":[],'
    '"motion_trajectory":[]}'
)
SCENES = '[{"scene_index":0,"video_filename":"v.mp4","questions":[]}]'
RUN = '{"stage":"count","config":{},"inputs":{},"status":"failed","times":[],"facts":{}}'
READERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "records": (lambda path: read_jsonl(path, Question), QUESTION),
    "questions": (jsonl.read_questions, QUESTION),
    "rows": (lambda path: rows.read_json(path, list[dict[str, Any]]), f"[{QUESTION}]"),
    "annotation": (annotations.read_annotation, ANNOTATION),
    "annotation in full": (
        lambda path: annotations.read_annotation(path, trajectories=True),
        ANNOTATION,
    ),
    "CLEVRER questions": (questions.read_questions, SCENES),
    "run.json": (read_run_file, RUN),
    "model file": (read_object, '{"model_type":"x"}'),
}


def deep(text: str) -> str:
    """The same with a field of 100,000 lists inside each other."""
    return text.replace("{", '{"groups":' + "[" * 100_000 + "]" * 100_000 + ",", 1)


def twice(text: str) -> str:
    """The same, and all entries of its first object once more."""
    start, end = text.index("{"), text.rindex("}")
    return f"{text[:end]},{text[start + 1 : end]}{text[end:]}"


@pytest.mark.parametrize("name", READERS)
def test_json_is_read_whole_or_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    read, good = READERS[name]
    path = tmp_path / "run.json" if name == "run.json" else tmp_path / "file.json"
    path.write_text(good)
    read(path)  # what is mutated is good
    for spoilt in (
        deep(good).encode(),
        twice(good).encode(),
        good.replace("v.mp4", "q").encode("utf-16"),
        b'{"id":"\xff"}',
        b"[" * 100_000,
        b"[]" if not good.startswith("[") else b"{}",
        b"7",
        b"{",
    ):
        path.write_bytes(spoilt)
        with pytest.raises(UserError, match=path.name):
            read(path)


def test_a_key_that_comes_twice_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "diagnosis.jsonl"
    good = b'{"question_id": "q", "rule": "r", "label": "excluded"}\n'
    path.write_bytes(good + good.replace(b"}", b', "label": "inferential"}'))
    with pytest.raises(UserError, match=r"diagnosis\.jsonl:2: .*'label' comes 2 times"):
        read_jsonl(path, Diagnosis)


@dataclass(frozen=True)
class Config:
    seed: int = 0


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 1\nseed: 2", "'seed' stands twice"),
        ("learning-rate: 1\nlearning_rate: 2", "'learning_rate' stands twice"),
        ("cells:\n- {name: a, run: world, run: pretrain}", "'run' stands twice"),
        ("a: !!python/object/apply:os.system [ls]", "python/object/apply:os.system"),
        ("a: !!set {b}", "tag:yaml.org,2002:set' is not read"),
        ("a: !!int x", "is not read"),
        ("a: 2001-13-45", "month must be in 1..12"),
        ("a: " + "[" * 3000, "nested too deeply"),
        ("a: &x [*x]", "anchors .* characters"),
        (BOMB, "anchors .* characters"),
        ("? [1]\n: 2", "is no name"),
        ("cells: [{name: a, 1: b}]", "'1' is no name; put it in quotes"),
        ("- 1", "holds no `name: value` lines"),
        ("a: " + "x" * (1 << 20), "more than 262,144 bytes"),
        (b"a: \xff", "is not YAML .*UnicodeDecodeError"),
        (b"a: \0", "is not YAML"),
    ],
)
def test_a_recipe_is_read_as_it_is_meant_or_refused(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=says) as told:
        read_recipe(path)
    assert "\n" not in str(told.value)


def test_anchors_and_merges_are_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("shared: &one {seed: 1, frames: 2}\nown: {<<: *one, frames: 3}\n")
    assert read_recipe(path)["own"] == {"seed": 1, "frames": 3}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"status":1}', RUN.replace("{}", "[]", 1), RUN.replace("[]", "[1]"), "\0"],
)
def test_a_mutated_run_json_refuses_the_folder(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match=str(tmp_path)), open_run(tmp_path, "other", Config()):
        pass
