"""Files of rows, told by what is in them; and rows of anything, which never end in a traceback."""

import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videothinker.errors import UserError
from videothinker.lists.layout import ANSWER, CHOICES, QUESTION, VIDEO
from videothinker.lists.options import named
from videothinker.lists.reading import read_list
from videothinker.lists.said import read
from videothinker.lists.table import read_table
from videothinker.records import encode

BARE = {"question": "Which?", "options": ["left", "right"], "answer": "A"}
ROW = BARE | {"video": "a.mp4"}


@pytest.mark.parametrize(
    ("text", "unit", "numbers"),
    [
        (json.dumps(ROW) + "\n\n" + json.dumps(ROW), "line", [1, 3]),
        ("\ufeff" + json.dumps([ROW, ROW], indent=1), "item", [1, 2]),
        (json.dumps({"version": "1", "data": [ROW]}, indent=1), "item", [1]),
        (json.dumps({"version": "1", "data": [ROW]}), "item", [1]),
        (json.dumps(ROW, indent=1), "item", [1]),
        (json.dumps([ROW | {"seconds": float("nan")}]), "item", [1]),
        (json.dumps(ROW), "line", [1]),
        (json.dumps({"q": "Which?", "video": "a.mp4"}), "line", [1]),
        (json.dumps({"video": "a.mp4", "id": 7, "qa": [{"q": "?"}, {"q": "!"}]}), "item", [1, 2]),
        ((json.dumps({"video": "a.mp4", "qa": [ROW, ROW]}) + "\n") * 2, "line", [1, 1, 2, 2]),
        (json.dumps({"messages": [{"role": "user"}], "video": "a.mp4"}), "line", [1]),
        ('question,video\n"Which\nway, then?",a.mp4\n\nWho?,b.mp4\n', "line", [2, 5]),
        ("question;video\nWhich, then?;a.mp4\n", "line", [2]),
        ("video\tquestion\r\na.mp4\tWhich?\r\n", "line", [2]),
        ("", "line", []),
    ],
)
def test_a_file_is_told_by_what_is_in_it(tmp_path, text, unit, numbers):
    path = tmp_path / "list.txt"
    path.write_bytes(text.encode())
    table = read_table(path)
    assert (table.unit, [row.number for row in table.rows]) == (unit, numbers)
    assert all(set(row.value) & set(ROW) and not row.broken for row in table.rows)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps([ROW])[:-5], "is no JSON (Input data was truncated); it ends in the middle"),
        (json.dumps({"a": [ROW], "b": [ROW]}), "(a, b), and holds neither"),
        ('question,video\n"Which,a.mp4\n', "is no CSV (unexpected end of data)"),
        (json.dumps({v: {"speed": [BARE], "way": [BARE]} for v in "ab"}), "(a, b), and holds"),
        (json.dumps({"q1": 1, "q2": 0}), "(q1, q2), and holds neither"),
        ("{}", "is one JSON object without keys"),
        ("Which way?\n", "is plain text"),
    ],
)
def test_what_is_no_list_is_one_sentence(tmp_path, text, says):
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_table(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lists_under_the_names_of_splits_are_those(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"Training": [ROW], "test": [ROW | {"question": "Who?"}]}))
    assert [q.split for q in read_list(path, tmp_path).questions] == ["train", "test"]


OTHER = ROW | {"question": "Who?"}
TWO = (BARE, BARE | {"question": "Who?"})


@pytest.mark.parametrize(
    ("value", "videos", "ids"),
    [
        ({"q1": ROW, "q2": OTHER}, ("a.mp4", "a.mp4"), ("q1", "q2")),
        ({"version": "1", "q1": ROW, "q2": OTHER | {"id": "x"}}, ("a.mp4",) * 2, ("q1", "x")),
        ({"b.mp4": TWO[0], "c.mp4": TWO[1]}, ("b.mp4", "c.mp4"), ("b.mp4", "c.mp4")),
        ({"b.mp4": list(TWO[:1]), "c.mp4": list(TWO[1:])}, ("b.mp4", "c.mp4"), None),
        (
            {"b.mp4": {"qa": list(TWO[:1])}, "c.mp4": {"qa": list(TWO[1:])}},
            ("b.mp4", "c.mp4"),
            None,
        ),
        ({"data": {"q1": ROW, "q2": OTHER}}, ("a.mp4", "a.mp4"), ("q1", "q2")),
        (
            {k: {"first": row} for k, row in zip(("b.mp4", "c.mp4"), TWO, strict=True)},
            ("b.mp4", "c.mp4"),
            None,
        ),
        ({"train": {"q1": ROW}, "test": {"q2": OTHER}}, ("a.mp4", "a.mp4"), ("q1", "q2")),
        ({k: [ROW[k], OTHER[k]] for k in ROW}, ("a.mp4", "a.mp4"), None),
        ({k: {"0": ROW[k], "1": OTHER[k]} for k in ROW}, ("a.mp4", "a.mp4"), None),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_an_object_of_several_questions(tmp_path, value, videos, ids, indent):
    path = tmp_path / "list.json"
    path.write_text(json.dumps(value, indent=indent))
    found = read_list(path, tmp_path)
    assert found.problems == []
    assert [q.question for q in found.questions] == ["Which?", "Who?"]
    assert tuple(q.video for q in found.questions) == videos
    assert ids in (None, tuple(q.id for q in found.questions))
    assert {q.split for q in found.questions} in ({"unsplit"}, {"train", "test"})


def test_a_row_of_an_object_that_asks_nothing_is_a_problem(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"q1": {"questoin": "Which?"}, "q2": ROW}))
    found = read_list(path, tmp_path)
    assert [(p.number, p.what) for p in found.problems] == [(1, "has no question")]
    assert [q.id for q in found.questions] == ["q2"]


def test_several_questions_of_one_video_have_it_and_ids_of_their_own(tmp_path):
    path = tmp_path / "list.jsonl"
    rows = [ROW | {"question": question} for question in ("Which?", "Who?")]
    for row in rows:
        del row["video"]
    path.write_text(json.dumps({"video": "b.mp4", "id": "v1", "qa": rows}))
    found = read_list(path, tmp_path).questions
    assert [(q.video, q.question) for q in found] == [("b.mp4", "Which?"), ("b.mp4", "Who?")]
    assert "v1" not in {q.id for q in found}


def test_lines_that_are_cut_off_or_of_another_width_are_problems(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("question,video\nWhich?,a.mp4,b.mp4\nWhich?\n")
    assert [row.broken for row in read_table(path).rows] == [
        "has not the 2 columns of the header"
    ] * 2
    path = tmp_path / "list.jsonl"
    path.write_text(f"{json.dumps(ROW)}\n{json.dumps(ROW)[:-3]}\n")
    assert [p.number for p in read_list(path, tmp_path).problems] == [2]


def test_parquet_without_its_reader_says_how_to_do_without(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "list.parquet"
    path.write_bytes(b"PAR1....PAR1")
    with pytest.raises(UserError, match=r"pip install pyarrow.*to_pylist"):
        read_table(path)


def test_python_s_own_json_is_read_and_what_is_neither_is_a_problem(tmp_path):
    path = tmp_path / "list.jsonl"
    path.write_text('{"a": NaN, "b": -Infinity}\n{"a": NaN\n')
    first, second = read_table(path).rows
    assert first.value == {"a": None, "b": None}
    assert second.broken is not None
    assert second.broken.startswith("is no JSON (")


def test_no_number_and_infinity_are_no_places():
    choices = named(["a", "b"], ())
    assert read(float("nan"), choices) is None
    assert read(float("inf"), choices) is None
    assert read(1.5, choices) is None
    found = read(1.0, choices)
    assert found is not None
    assert found.places == (1,)


TEXTS = st.sampled_from(["", "A", "a.mp4", "/x/a.mp4", "A. x\nB. y", "['a', 'b']", "1-2", "0", "x"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.floats(allow_nan=False, width=16) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["A", "B", "text", "from", "value", "path"]), inner)
    ),
    max_leaves=6,
)
KEYS = [*QUESTION[:2], *CHOICES[:2], *ANSWER[:2], *VIDEO[:2], "answer_idx", "conversations"]
KEYS += ["id", "clip", "start", "end", "ts", "split", "type", "groups", "a0", "a1", "dataset"]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=5), max_size=3))
def test_any_row_is_a_question_or_a_problem_and_ours_are_read_as_they_are(tmp_path, changes):
    path, ours = tmp_path / "list.json", tmp_path / "ours.jsonl"
    path.write_text(json.dumps([ROW, *(ROW | change for change in changes)]))
    found = read_list(path, tmp_path)
    assert all(problem.what and problem.mend for problem in found.problems)
    assert len({q.id for q in found.questions}) == len(found.questions)
    ours.write_bytes(b"".join(map(encode, found.questions)))
    again = read_list(ours, tmp_path)
    assert again.questions == found.questions
    assert again.problems == again.guesses() == []
