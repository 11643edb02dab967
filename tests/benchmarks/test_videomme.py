"""Video-MME: its rows in every form they come in, and its own rule."""

import json
import sys

import pyarrow
import pytest
from pyarrow import parquet

from tests.benchmarks.published_rows import ask, put, verdicts
from videothinker.benchmarks import videomme
from videothinker.errors import UserError

MME = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Astronomy",
    "url": "https://example.org/v",
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "task_type": "Counting Problem",
    "question": "How many?",
    "options": ["A. one", "B. two", "C. three", "D. four."],
    "answer": "C",
}


def test_videomme_row(tmp_path):
    put(tmp_path / "videomme.json", [MME])
    (question,) = videomme.load(tmp_path).questions
    assert question.choices == ("one", "two", "three", "four.")
    assert (question.answer, question.video) == (("C",), "data/fFjv93ACGo8.mp4")
    assert question.groups["duration"] == "short"


def test_videomme_as_other_tools_save_it(tmp_path):
    plain = videomme.load(put(tmp_path / "a" / "videomme.json", [MME]).parent).questions
    lines = "".join(json.dumps(MME | {"question_id": f"001-{i}"}) + "\n" for i in (1, 2))
    (tmp_path / "lines.jsonl").write_text(f"\ufeff{lines}", encoding="utf-8")
    found = videomme.load(tmp_path / "lines.jsonl").questions
    assert found[:1] == plain
    assert [q.id for q in found] == ["videomme/001-1", "videomme/001-2"]
    for style in ("{}", "({}) ", "{}) ", "{}: "):
        put(tmp_path / "b" / "videomme.json", [MME | {"options": styled(style)}])
        assert videomme.load(tmp_path / "b").questions == plain
    (tmp_path / "c" / "videomme").mkdir(parents=True)
    parquet.write_table(
        pyarrow.Table.from_pylist([MME]), tmp_path / "c" / "videomme" / f"{videomme.ROWS}.parquet"
    )
    assert videomme.load(tmp_path / "c").questions == plain


def styled(style: str) -> list[str]:
    """The options with their letters in another style; `{}` leaves the letters out."""
    texts = ("one", "two", "three", "four.")
    shown = zip("ABCD", texts, strict=True)
    return [text if style == "{}" else style.format(letter) + text for letter, text in shown]


def test_parquet_without_a_reader_names_the_reader(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    put(tmp_path / f"{videomme.ROWS}.parquet", [])
    with pytest.raises(UserError, match=r"pip install pyarrow.*to_pylist"):
        videomme.load(tmp_path)


def test_all_bad_rows_of_a_file_are_named_and_a_whole_file_is_not_to_be_downloaded_again(tmp_path):
    rows = [MME | {"question_id": f"001-{i}", "answer": "E"} for i in range(25)]
    put(tmp_path / "videomme.json", [*rows, MME, MME])
    with pytest.raises(UserError) as caught:
        videomme.load(tmp_path)
    lines = str(caught.value).split("\n")
    assert [f"item {i}" in line for i, line in enumerate(lines[:20])] == [True] * 20
    assert lines[20] == "and 6 more"
    assert lines[21].startswith("26 problems")
    assert "download" not in str(caught.value)
    put(tmp_path / "videomme.json", [MME, MME])
    with pytest.raises(UserError, match=r"item 1: is videomme/001-1 again, which item 0 is"):
        videomme.load(tmp_path)
    text = json.dumps([MME, MME])
    for cut in (text[:-1], text[:200]):
        (tmp_path / "videomme.json").write_text(cut)
        with pytest.raises(UserError, match="ends in the middle; download it again"):
            videomme.load(tmp_path)


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (
            lambda r: put(r / "videomme.json", [MME | {"options": ["A. 1", "2", "3", "4"]}]),
            "item 0: option '2' does not begin with 'B.'",
        ),
        (lambda r: put(r / "videomme.json", [{"video_id": "1"}]), "missing"),
    ],
)
def test_an_unknown_row_names_its_file_and_place(tmp_path, write, match):
    write(tmp_path)
    with pytest.raises(UserError, match=match):
        videomme.load(tmp_path)


def test_videomme_takes_the_first_capital_from_a_to_d():
    texts = {
        "B": "right",
        "B. two": "right",
        "The best answer is B.": "right",
        "The answer is B": "right",
        "(B)": "right",
        "The correct option is B": "right",
        "A or B": "wrong",
        "Answer: B": "wrong",
        "Best option: B": "right",
        "Dunno, B": "wrong",
        "b": "left out",
        "": "left out",
        "none of them": "left out",
    }
    # "Best option:" is no phrase of its own in the source, and its B comes first
    assert verdicts(videomme.own_rule, ask("B", *"wxyz"), texts) == texts
    assert videomme.own_rule(ask("A", *"wxyz"), "Answer: A") == "right"
    assert videomme.own_rule(ask("A", *"wxyz"), "The best answer is A.") == "right"
    assert videomme.own_rule(ask("A", *"wxyz"), "Best option: A") == "wrong"
