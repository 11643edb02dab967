"""Lists as people write them: read, or every problem of the file in one list."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from videothinker.benchmarks import jsonl, mmvu
from videothinker.benchmarks.jsonl import read_questions
from videothinker.clevrer.questions import read_questions as read_clevrer
from videothinker.errors import UserError
from videothinker.records import Diagnosis, Question, read_jsonl, write_jsonl
from videothinker.run_file import SIMULATED

GOOD = {
    "id": "q1",
    "dataset": "mine",
    "split": "train",
    "video": "plain.mp4",
    "question": "Which way?",
    "choices": ["right", "left"],
    "answer": ["A"],
    "type": "t",
}
VIDEO_R1 = {
    "problem_id": 2,
    "problem": "Which way does the square go?",
    "data_type": "video",
    "options": ["A. right", "B. left"],
    "solution": "<answer>A</answer>",
    "path": "./plain.mp4",
}


def put(root: Path, *rows: object) -> Path:
    path = root / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_questions(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_byte_order_mark_and_blank_lines_are_passed_over(tmp_path):
    path = put(tmp_path, GOOD, {**GOOD, "id": "q2", "clip": [1, 2.5]})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    found = read_questions(path)
    assert [q.id for q in found] == ["q1", "q2"]
    assert found[1].clip == (1.0, 2.5)
    assert read_jsonl(path, Question) == found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"clip": [5, 2]}, "clip [5, 2] is no part of a video; give start and end, in seconds"),
        ({"answer": ["C"]}, "answer ['C'] is none of its 2 choices; give a letter"),
        ({"answer": None}, "answer is null; give text"),
        ({"choices": ["right", " right "]}, "choice 'right' comes 2 times"),
        ({"choices": ["", "left"]}, "choice A is empty"),
        ({"choices": [str(i) for i in range(27)]}, "27 choices; at most 26"),
        ({"choices": []}, "no choices"),
        ({"question": "Which <video> way?"}, "question holds <video>"),
        ({"question": None}, "question is null; give text"),
        ({"video": ["plain.mp4"]}, "video is a list; give text"),
        ({"video": 7}, "video is a number; give text"),
        ({"context": "told"}, "has both a video and a context; give one"),
        ({"groups": {"a": 1}}, "is no question: Expected `str`"),
        ({"question_stuck": "x"}, "unknown field question_stuck; allowed are id, dataset"),
    ],
)
def test_every_fault_is_said_in_the_words_of_who_wrote_it(tmp_path, change, says):
    message = refused(put(tmp_path, {**GOOD, "id": "q0"}, {**GOOD, **change}))
    assert says in message
    assert "questions.jsonl:2: " in message
    assert '"choices": ["left", "right"]' in message


@pytest.mark.parametrize(
    ("change", "choices", "answer"),
    [
        ({"answer": "A"}, ("right", "left"), ("A",)),
        ({"answer": "left"}, ("right", "left"), ("B",)),
        ({"answer": 0}, ("right", "left"), ("A",)),
        ({"answer": ["left"]}, ("right", "left"), ("B",)),
        ({"answer": ["B", "A"]}, ("right", "left"), ("A", "B")),
        ({"answer": []}, ("right", "left"), ()),
        ({"choices": ["A. right", "B. left"]}, ("right", "left"), ("A",)),
        ({"choices": {"A": "right", "B": "left"}}, ("right", "left"), ("A",)),
        ({"id": 7}, ("right", "left"), ("A",)),
        ({"question": "<video>\nWhich way?"}, ("right", "left"), ("A",)),
    ],
)
def test_what_can_be_taken_in_one_way_only_is_read(tmp_path, change, choices, answer):
    (found,) = read_questions(put(tmp_path, {**GOOD, **change}))
    assert (found.question, found.choices, found.answer) == ("Which way?", choices, answer)


def test_a_guess_must_be_accepted(tmp_path):
    path = put(tmp_path, {**GOOD, "choices": ["3", "1", "2"], "answer": "1"})
    message = refused(path)
    assert re.search(r"guessed: answer '1' .*\(line 1\)", message)
    assert "--accept-guesses" in message
    assert read_questions(path, accept_guesses=True)[0].answer == ("B",)
    assert jsonl.load(path, accept_guesses=True).questions[0].answer == ("B",)


def test_all_problems_of_a_file_come_at_once(tmp_path):
    wrong = {**GOOD, "answer": "C", "choices": ["right", "right"], "surprise": 1}
    path = put(tmp_path, *({**wrong, "id": f"q{i}"} for i in range(7)), GOOD, GOOD, [1], {"a": 1})
    with path.open("a") as file:
        file.write('{"id": "q9"')
    lines = refused(path).split("\n")
    # 7 lines of 3 faults, an id again, a list, no video and no question, a line that is cut off
    assert len(lines) == 20 + 2
    assert (lines[20], lines[21][:12]) == ("and 6 more", "26 problems;")
    short = put(tmp_path, wrong, {**GOOD, "id": "q2"}, {**GOOD, "id": "q2"}, [1], {"a": 1})
    told = refused(short)
    for says in (
        "1: unknown field surprise",
        "1: choice 'right' comes 2 times",
        "1: answer 'C' is none of its 2",
        "3: id 'q2' is that of line 2 too",
        "4: is a list, not an object",
        "5: has no question; give it under one of question, problem, query",
    ):
        assert f"{short}:{says}" in told


def test_video_r1_is_read_as_it_comes(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps([VIDEO_R1]))
    found = jsonl.load(path).questions[0]
    assert (found.id, found.video, found.choices) == ("2", "plain.mp4", ("right", "left"))
    assert (found.dataset, found.split, found.answer) == ("train", "unsplit", ("A",))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (json.dumps(GOOD | {"question": "哪边"}, ensure_ascii=False).encode("gbk"), "GB18030"),
        (json.dumps(GOOD).encode("utf-16"), "UTF-16"),
        (json.dumps({"a": [1], "b": 2}, indent=1).encode(), "is one JSON object (a, b)"),
        (b"id,name,age\n1,Ann,7\n", "a table in CSV (its first line is 'id,name,age')"),
        (b"Which way?\n", "plain text"),
        (b"PK\x03\x04\0", "a zip archive or a spreadsheet"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"{\0}", "a binary file"),
    ],
)
def test_another_kind_of_file_is_named_with_what_to_do(tmp_path, data, says):
    path = tmp_path / "questions.jsonl"
    path.write_bytes(data)
    message = refused(path)
    assert says in message
    assert "\n" not in message
    assert "allowed" in message or "one object a line" in message
    assert "download" not in message
    for read in (lambda: read_jsonl(path, Diagnosis), lambda: read_clevrer(path)):
        with pytest.raises(UserError, match="questions.jsonl"):
            read()


def test_bytes_that_are_no_utf8_are_named_wherever_json_is_read(tmp_path):
    path = tmp_path / "validation.json"
    path.write_bytes('[{"scene_index": 1, "video_filename": "哪", "questions": []}]'.encode("gbk"))
    with pytest.raises(UserError, match=r"validation.json: is not UTF-8 \(byte 0xc4\).*GB18030"):
        read_clevrer(path)
    with pytest.raises(UserError, match=r"validation.json: is not UTF-8"):
        mmvu.load(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    assert "cannot be read" in refused(tmp_path / "gone.jsonl")


def test_what_a_run_wrote_is_read_as_it_is(tmp_path):
    """A published benchmark has two choices of one text; its run must not be refused."""
    twice = {**GOOD, "choices": ["right", "right"]}
    path = put(tmp_path, twice)
    assert "comes 2 times" in refused(path)
    (tmp_path / "run.json").write_text("{}")
    assert read_questions(path) == [msgspec.convert(twice, Question)]


def test_our_own_records(tmp_path):
    one = Question(
        id="a",
        dataset="d",
        split="train",
        question="q",
        choices=("x", "y"),
        answer=("A",),
        type="t",
    )
    write_jsonl(tmp_path / "questions.jsonl", [one])
    assert jsonl.load(tmp_path).questions == (one,)
    assert jsonl.load(tmp_path / "questions.jsonl", "train").questions == (one,)
    with pytest.raises(UserError, match="it has train"):
        jsonl.load(tmp_path, "validation")
    held_out = msgspec.structs.replace(one, id="b", split="validation")
    write_jsonl(tmp_path / "both.jsonl", [one, held_out])
    both = jsonl.load(tmp_path / "both.jsonl")
    assert (both.questions, both.left_out) == ((held_out,), {"of split train": 1})
    assert jsonl.load(tmp_path / "both.jsonl", "all").questions == (one, held_out)
    assert jsonl.load(tmp_path / "both.jsonl", "Val").questions == (held_out,)
    two = tmp_path / "two.jsonl"
    for split in ("test", "Test"):  # without validation questions
        write_jsonl(two, [one, msgspec.structs.replace(held_out, split=split)])
        assert len(jsonl.load(two).questions) == 1
    write_jsonl(two, [one, msgspec.structs.replace(held_out, split="other")])
    with pytest.raises(UserError, match="it has other, train: give one as --split"):
        jsonl.load(two)
    assert jsonl.data_root(tmp_path) == tmp_path
    (tmp_path / "run.json").write_text('{"facts": {"data_root": "/else/where"}}')
    assert jsonl.data_root(tmp_path) == Path("/else/where")  # where no question has a video
    assert jsonl.labels(tmp_path) == []
    label = Diagnosis(question_id="a", rule="same_truth", label="inferential")
    write_jsonl(tmp_path / "diagnosis.jsonl", [label])
    assert jsonl.labels(tmp_path) == [label]


@pytest.mark.parametrize(
    ("told", "is_of_world"),
    [
        ({"videos": {"stage": "world"}}, True),
        ({"list": {"stage": "diagnose", "facts": {"simulated": True}}}, True),
        ({"dataset": SIMULATED}, True),  # as a published set says it
        ({"videos": {"stage": "export"}, "list": {"stage": "diagnose"}}, False),
        ({}, False),
    ],
)
def test_whoever_knows_it_says_that_a_set_is_of_a_world(tmp_path, told, is_of_world):
    for name in ("videos", "list"):
        (tmp_path / name).mkdir()
        if name in told:
            (tmp_path / name / "run.json").write_text(json.dumps(told[name]))
    one = msgspec.convert({**GOOD, "dataset": told.get("dataset", "clevrer")}, Question)
    path = write_jsonl(tmp_path / "list" / "questions.jsonl", [one])
    for data in (path, path.parent):
        assert jsonl.of_world(data, tmp_path / "videos", [one]) == is_of_world
