"""Single rows of made-up items: what is left out, told or agreed."""

import importlib

import pytest

from tests.lists.test_reading_shapes import ASKED, read, said
from videothinker.lists.reading import read_list

ROW = {"question": ASKED[0], "choices": ["left", "right"], "answer": "B"}


@pytest.mark.parametrize("image", [{"image": "a.jpg"}, {"images": ["a.jpg", "b.jpg"]}])
def test_a_row_with_an_image_alone_is_left_out(tmp_path, image):
    found = read(tmp_path, [ROW | image, ROW | image | {"video": "a.mp4"}])
    assert said(found) == [ASKED]
    assert found.left_out() == {"about images": 1}


@pytest.mark.parametrize("key", ["correct", "target", "ans"])
def test_an_answer_by_its_key_and_times_of_a_clock(tmp_path, key):
    row = {"video": "a.mp4", "start": "00:00:01", "end": "00:01:02.5", key: "B"}
    found = read(tmp_path, [{k: v for k, v in ROW.items() if k != "answer"} | row])
    assert said(found) == [ASKED]
    assert found.questions[0].clip == (1.0, 62.5)


def test_a_letter_and_another_text_are_answers_that_disagree(tmp_path):
    (problem,) = read(tmp_path, [ROW | {"video": "a.mp4", "answer_text": "left"}]).problems
    assert "its answers say A and B" in problem.what


def test_the_same_question_with_another_answer_is_told_as_that(tmp_path):
    row = ROW | {"video": "a.mp4"}
    found = read(tmp_path, [row, row, row | {"answer": "A"}])
    assert ["another answer" in problem.what for problem in found.problems] == [False, True]


@pytest.mark.parametrize("path", [None, ""])
def test_a_video_inside_its_row_is_told_as_that(tmp_path, path):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    table = importlib.import_module("pyarrow").Table
    rows = [ROW | {"video": {"bytes": b"x", "path": path}}]
    pyarrow.write_table(table.from_pylist(rows), str(tmp_path / "list.parquet"))
    (problem,) = read_list(tmp_path / "list.parquet", tmp_path).problems
    assert "inside its row" in problem.what
