"""Made-up items in the shapes of public lists: what each is read as, by hand."""

import csv
import json
import re
from pathlib import Path

import pytest

from videothinker.lists.reading import QuestionList, read_list

ASKED = ("Which way does the square go?", ("left", "right"), ("B",))


def put(root: Path, name: str, rows: object) -> Path:
    path = root / name
    if path.suffix == ".csv":
        assert isinstance(rows, list)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        assert isinstance(rows, list)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(json.dumps(rows))
    return path


def read(root: Path, rows: object, name: str = "list.json", videos: str = "") -> QuestionList:
    for video in videos.split():
        (root / video).parent.mkdir(parents=True, exist_ok=True)
        (root / video).touch()
    return read_list(put(root, name, rows), root)


def said(listing: QuestionList) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    assert listing.problems == []
    return [(q.question, q.choices, q.answer) for q in listing.questions]


def test_video_r1(tmp_path):
    row = {
        "problem_id": 2,
        "problem": ASKED[0],
        "data_type": "video",
        "problem_type": "multiple choice",
        "options": ["A. left", "B. right"],
        "process": "",
        "solution": "<answer>B</answer>",
        "path": "./mine/a.mp4",
        "data_source": "mine",
    }
    others = [
        {**row, "problem_id": 3, "data_type": "image", "path": "./a.jpg"},
        {**row, "problem_id": 4, "problem_type": "free-form", "options": [], "solution": "x"},
    ]
    found = read(tmp_path, [row, *others], videos="mine/a.mp4")
    assert said(found) == [ASKED]
    one = found.questions[0]
    assert (one.id, one.video, one.dataset, one.split) == ("2", "mine/a.mp4", "mine", "unsplit")
    assert found.guesses() == []
    assert found.left_out() == {"about images": 1, "open questions, without choices": 1}


def test_llava_video(tmp_path):
    asked = "<image>\nWhich way does the square go?\nA. left\nB. right\nAnswer with the letter."
    talk = [
        {"from": "human", "value": asked},
        {"from": "gpt", "value": "B."},
        {"from": "human", "value": "What happens?"},
        {"from": "gpt", "value": "A square goes right."},
        {"from": "human", "value": "What goes?\nA. a square\nB. a disc"},
        {"from": "gpt", "value": "A. a square"},
    ]
    row = {"id": "v1", "conversations": talk, "data_source": "mine", "video": "mine/a.mp4"}
    found = read(tmp_path, [row], videos="mine/a.mp4")
    assert said(found) == [ASKED, ("What goes?", ("a square", "a disc"), ("A",))]
    assert found.left_out() == {"open questions, without choices": 1}
    assert found.guesses() == []
    again = read(tmp_path, [{**row, "conversations": talk[4:]}, row], name="list.json")
    assert [p.what[:4] for p in again.problems] == ["asks"]  # the same question twice
    assert again.questions[0].id == found.questions[1].id


def test_video_holmes(tmp_path):
    row = {
        "video": "/Mine/videos/a.mp4",
        "question_id": "1",
        "question_type": "SR",
        "question": ASKED[0],
        "problem": f"{ASKED[0]} \nA. left\nB. right",
        "solution": "<answer>B</answer>",
        "options": ["left", "right"],
        "source": "mine",
        "explanation": "It goes right.",
    }
    found = read(tmp_path, [row], videos="a.mp4")
    assert said(found) == [ASKED]
    assert (found.questions[0].video, found.questions[0].type) == ("a.mp4", "SR")
    (guess,) = found.guesses()
    assert re.search("'Mine/videos/' .* ''", guess)


def test_mvbench(tmp_path):
    row = {
        "video": "a.mp4",
        "question": ASKED[0],
        "candidates": ["left", "right"],
        "answer": "right",
        "start": 1.5,
        "end": 4,
    }
    found = read(tmp_path, [row], videos="videos/a.mp4")
    assert said(found) == [ASKED]
    assert found.questions[0].clip == (1.5, 4.0)
    assert "paths of videos begin with 'videos/'" in found.guesses()[0]


def test_next_qa(tmp_path):
    row = {
        "video": "4010069381", "frame_count": "369", "width": "640", "height": "480",
        "question": ASKED[0], "answer": "1", "qid": "6", "type": "CW",
        "a0": "left", "a1": "right", "a2": "up", "a3": "down", "a4": "nowhere",
    }  # fmt: skip
    other = {**row, "video": "77", "answer": "0"}
    found = read(tmp_path, [row, other], "val.csv", videos="4010069381.mp4 77.mp4")
    five = ("left", "right", "up", "down", "nowhere")
    assert said(found) == [(ASKED[0], five, ("B",)), (ASKED[0], five, ("A",))]
    assert [q.id for q in found.questions] == ["4010069381/6", "77/6"]
    assert found.questions[0].video == "4010069381.mp4"
    assert any("without an ending are the .mp4" in guess for guess in found.guesses())
    assert any("ids come again" in guess for guess in found.guesses())
    assert "read: places count from 0 (2 rows, first line 2)" in found.told()


def test_mmvu(tmp_path):
    row = {
        "id": "validation_1",
        "video": "https://example.org/main/videos/Art/1.mp4",
        "youtube_url": "https://example.org/watch",
        "question_type": "multiple-choice",
        "metadata": {"subject": "Art"},
        "question": ASKED[0],
        "choices": {"A": "left", "B": "right", "C": "", "D": ""},
        "answer": "B",
    }
    free = {**row, "id": "validation_2", "question_type": "open-ended", "answer": "a square"}
    free["choices"] = dict.fromkeys("ABCD", "")
    found = read(tmp_path, [row, free], videos="Art/1.mp4")
    assert said(found) == [ASKED]
    assert found.questions[0].video == "Art/1.mp4"
    assert found.left_out() == {"open questions, without choices": 1}
    assert len(found.guesses()) == 1


def test_video_mme(tmp_path):
    row = {
        "video_id": "001", "duration": "short", "domain": "Knowledge", "sub_category": "Physics",
        "url": "https://example.org/watch?v=fFj", "videoID": "fFj", "question_id": "001-1",
        "task_type": "Action", "question": ASKED[0], "options": ["A. left", "B. right"],
        "answer": "B",
    }  # fmt: skip
    found = read(tmp_path, [row], "list.jsonl", videos="data/fFj.mp4")
    assert said(found) == [ASKED]
    one = found.questions[0]
    assert (one.id, one.video, one.type) == ("001-1", "data/fFj.mp4", "Action")


def test_egoschema(tmp_path):
    row = {"q_uid": "ab-c", "question": ASKED[0], "option 0": "left", "option 1": "right"}
    found = read(tmp_path, [{**row, "answer": 1}, {**row, "q_uid": "d", "answer": 0}])
    assert [q.answer for q in found.questions] == [("B",), ("A",)]
    assert [(q.id, q.video) for q in found.questions] == [("ab-c", "ab-c"), ("d", "d")]


def test_longvideobench_and_a_count_that_nothing_decides(tmp_path):
    row = {
        "id": "x_0", "video_path": "x.mp4", "question": ASKED[0], "question_category": "S2E",
        "candidates": ["left", "right", "up"], "correct_choice": 1,
    }  # fmt: skip
    found = read(tmp_path, [row])
    assert found.questions[0].answer == ("B",)
    assert "count the choices from 0" in found.guesses()[0]
    from_one = read(tmp_path, [row, {**row, "id": "y", "correct_choice": 3}])
    assert [q.answer for q in from_one.questions] == [("A",), ("C",)]
    assert from_one.guesses() == []
    mixed = read(tmp_path, [row | {"correct_choice": 0}, {**row, "id": "y", "correct_choice": 3}])
    assert [(p.number, p.what) for p in mixed.problems] == [(2, "answer 3 is no place among 3")]


def test_star(tmp_path):
    row = {
        "question_id": "Interaction_T1_13", "question": ASKED[0], "answer": "right",
        "question_program": [{"function": "Objects"}], "video_id": "6H", "start": 11.1, "end": 19.6,
        "choices": [{"choice_id": 0, "choice": "left"}, {"choice_id": 1, "choice": "right"}],
    }  # fmt: skip
    assert said(read(tmp_path, [row], videos="6H.mp4")) == [ASKED]


def test_tvqa(tmp_path):
    row = {
        "qid": 13, "q": ASKED[0], "a0": "left", "a1": "right", "answer_idx": 1,
        "ts": "0.5-4.2", "vid_name": "met_s03e01", "show_name": "Met",
    }  # fmt: skip
    found = read(tmp_path, [row, {**row, "qid": 14, "answer_idx": 0}], "list.jsonl")
    assert said(found)[0] == ASKED
    assert found.questions[0].clip == (0.5, 4.2)


def test_perception_test_and_tempcompass(tmp_path):
    row = {
        "video_name": "v_1",
        "question_id": 5,
        "question": ASKED[0],
        "options": ["left", "right"],
    }
    found = read(
        tmp_path, {"questions": [row | {"answer_id": 1}, row | {"question_id": 6, "answer_id": 0}]}
    )
    assert said(found)[0] == ASKED
    temp = {"video_id": "7", "question": f"{ASKED[0]}\nA. left\nB. right", "answer": "B. right"}
    assert said(read(tmp_path, [temp], videos="7.mp4")) == [ASKED]
    yes = read(tmp_path, [{"video_id": "7", "question": "Does it go left?", "answer": "no"}])
    assert said(yes) == [("Does it go left?", ("yes", "no"), ("B",))]
    assert any("answers yes or no" in guess for guess in yes.guesses())


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (["left", "right"], "right"),
        (["(A) left", "(B) right"], "(B)"),
        ({"A": "left", "B": "right"}, "b"),
        ({"label": ["A", "B"], "text": ["left", "right"]}, "B"),
        ("['left', 'right']", ["right"]),
        ('["left", "right"]', "B. right"),
        ("A. left\nB. right", "The answer is <answer>B</answer>"),
        ("A. left, B. right", "B"),
        ("A. left; B. right", r"\boxed{B}"),
        ("(A) left (B) right", "(B)"),
        (["A.left", "B.right"], "B.right"),
        (["1. left", "2. right"], "2"),
        (["1) left", "2) right"], "2) right"),
        ({"option1": "left", "option2": "right"}, "option2"),
        ({"A": "left", "C": "right"}, "C"),
    ],
)
def test_choices_and_answers_in_every_writing(tmp_path, options, answer):
    row = {"video": "a.mp4", "query": ASKED[0], "options": options, "answer": answer}
    assert said(read(tmp_path, [row])) == [ASKED]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"answer": "E"}, "answer 'E' is none of its 2 choices"),
        ({"answer": "A. right"}, "answer 'A. right' is none"),
        ({"answer": "A or B"}, "answer 'A or B' is none"),
        ({"answer": True}, "answer True is none"),
        ({"answer": None}, "has no answer"),
        ({"answer": "A", "solution": "<answer>B</answer>"}, "its answers say A and B"),
        ({"options": []}, "has no choices"),
        ({"options": ["left", {}]}, "choice 2 is an object"),
        ({"options": ["left", None]}, "choice 2 is null"),
        ({"options": [["left"], ["right"]]}, "choice 1 is a list"),
        ({"options": {"x1": "left", "z": "right"}}, "keys x1, z, which are no letters"),
        ({"options": "left, right"}, "text without letters, 'left, right'"),
        ({"options": ["left"], "answer": "A"}, "has a single choice, 'left'"),
        ({"options": ["A. left", "right"]}, "choices begin with A, and not each"),
        ({"options": ["A. left", "A. right"]}, "choices begin with A, A, and not each"),
        ({"options": ["2. left", "right"]}, "choices begin with 2, and not each"),
        ({"options": ["A. left", "C. right"], "answer": "B"}, "answer 'B' is none"),
        ({"options": ["left", "left"]}, "choice 'left' comes 2 times"),
        ({"query": " "}, "question is empty"),
        ({"query": None}, "has no question"),
        ({"query": "Is <image> red?"}, "question holds <image>"),
        ({"video": None}, "has no video"),
        ({"video": ["a.mp4", "b.mp4"]}, "video is a list"),
        ({"start": 5, "end": 2}, "clip [5, 2] is no part of a video"),
        ({"conversations": [{"from": "gpt", "value": "B"}]}, "is no conversation"),
    ],
)
def test_a_row_that_is_no_question_is_a_problem_and_never_a_question(tmp_path, change, what):
    row = {"video": "a.mp4", "query": ASKED[0], "options": ["left", "right"], "answer": "B"}
    found = read(tmp_path, [row, {**row, **change}])
    assert len(found.questions) == 1
    assert [(p.number, what in p.what) for p in found.problems] == [(2, True)]
    assert all(p.mend for p in found.problems)


@pytest.mark.parametrize("written", [lambda value: value, str, json.dumps])
@pytest.mark.parametrize(("first", "answer"), [(0, "1"), (1, 2), (1, "2")])
def test_where_choices_are_named_by_numbers_an_answer_is_such_a_name(
    tmp_path, written, first, answer
):
    named = {str(first): "left", str(first + 1): "right", str(first + 2): "up"}
    row = {"video": "a.mp4", "question": ASKED[0], "options": written(named), "answer": answer}
    found = read(tmp_path, [row, {**row, "question": "What goes?", "answer": first}])
    assert [one[2] for one in said(found)] == [("B",), ("A",)]
    assert found.guesses() == []  # and no other row decides what these rows say
    wrong = read(tmp_path, [row, {**row, "question": "What goes?", "answer": 3 - 3 * first}])
    assert [q.answer for q in wrong.questions] == [("B",)]
    assert f"answer {3 - 3 * first} is none of its 3 choices" in str(wrong.problems[0])


def test_choices_in_the_writing_of_python_may_be_named_by_whole_numbers(tmp_path):
    row = {"video": "a.mp4", "question": ASKED[0], "options": "{0: 'left', 1: 'right'}"}
    found = read(tmp_path, [{**row, "answer": 1}, {**row, "question": "?", "answer": 0}])
    assert said(found)[0] == ASKED
    deep = read(tmp_path, [{**row, "options": "[" * 9999}])
    assert "text without letters" in str(deep.problems[0])


def test_a_question_that_comes_twice_is_told_as_that(tmp_path):
    row = {"video": "a.mp4", "question": ASKED[0], "choices": ["left", "right"], "answer": "B"}
    found = read(tmp_path, [row, {**row, "answer": "A"}])
    assert "asks the same as item 1" in str(found.problems[0])


def test_a_choice_that_is_a_number_may_be_its_place(tmp_path):
    row = {"video": "a.mp4", "question": "How many?", "choices": ["1", "2", "3"], "answer": "2"}
    found = read(tmp_path, [row])
    assert found.questions[0].answer == ("B",)
    assert "answer '2' as a choice's text, not its place" in found.guesses()[0]
    sure = read(tmp_path, [{**row, "solution": "<answer>B</answer>"}])
    assert sure.guesses() == []
    place = {k: v for k, v in row.items() if k != "answer"} | {"answer_idx": 0}
    assert read(tmp_path, [place]).questions[0].answer == ("A",)


def test_ids_that_are_made_stay_with_their_question(tmp_path):
    row = {"video": "a.mp4", "question": ASKED[0], "choices": ["left", "right"], "answer": "B"}
    other = {**row, "question": "What goes?"}
    one, two = (read(tmp_path, rows).questions for rows in ([row, other], [other, row]))
    assert {q.question: q.id for q in one} == {q.question: q.id for q in two}
    assert len({q.id for q in one}) == 2
    changed = read(tmp_path, [{**row, "answer": "A"}]).questions
    assert changed[0].id == one[0].id  # who corrects an answer keeps the question


def test_videos_outside_the_data_folder_name_the_folder_to_give(tmp_path):
    root, away = tmp_path / "lists", tmp_path / "videos"
    root.mkdir()
    for name in ("x/a.mp4", "y/b.mp4"):
        (away / name).parent.mkdir(parents=True, exist_ok=True)
        (away / name).touch()
    row = {"question": ASKED[0], "choices": ["left", "right"], "answer": "B"}
    rows = [row | {"video": str(away / name)} for name in ("x/a.mp4", "y/b.mp4")]
    found = read(root, rows)
    assert [p.mend for p in found.problems] == [f"give the videos' folder: --data-root {away}"] * 2
    assert found.questions == []
    again = read_list(root / "list.json", away)
    assert [q.video for q in again.questions] == ["x/a.mp4", "y/b.mp4"]
    assert again.guesses() == []
    row["video"] = "c.mp4"
    both = read(root, [*rows, row, row | {"video": "../videos/x/a.mp4"}], videos="c.mp4")
    assert {p.mend for p in both.problems} == {"keep it inside"}  # another root would lose c.mp4
    assert [p.number for p in both.problems] == [1, 2, 4]


@pytest.mark.parametrize("scheme", ["https", "s3", "gs", "hf", "file"])
def test_a_url_is_no_path(tmp_path, scheme):
    row = {"question": ASKED[0], "choices": ["left", "right"], "answer": "B"}
    found = read(tmp_path, [row | {"video": f"{scheme}://a.b/c.mp4"}])
    (problem,) = found.problems
    assert ("is a URL" in problem.what, "download" in problem.mend) == (True, True)
