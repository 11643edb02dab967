"""Answers in sentences and in objects: what each is read as, by hand."""

import pytest

from tests.lists.test_reading_shapes import ASKED, read, said
from videothinker.lists.reading import read_list

ROW = {"video": "a.mp4", "question": ASKED[0], "options": ["left", "right", "up"]}


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("The answer is B", "B"),
        ("The correct answer is (B) right.", "B"),
        ("Answer: B", "B"),
        ("Final answer:B", "B"),
        ("Answer: right", "B"),
        ("Option B", "B"),
        ("the best option is option B. right", "B"),
        ("(B) right", "B"),
        ("B. right", "B"),
        ("<answer>B. right</answer>", "B"),
        ("The answers are A and C", "AC"),
        ({"letter": "B"}, "B"),
        ({"text": "right", "reason": None}, "B"),
        ({"letter": "B", "text": "right", "index": 1}, "B"),
        ({"index": 0}, "A"),
    ],
)
def test_an_answer_in_a_sentence_or_an_object_is_read_without_a_guess(tmp_path, answer, meant):
    first = ROW | {"question": "Which?", "answer": {"index": 0}}  # numbers count from 0 here
    found = read(tmp_path, [first, ROW | {"answer": answer}])
    assert said(found)[1] == (ASKED[0], ("left", "right", "up"), tuple(meant))
    assert found.guesses() == []


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("A. right", "'A. right' is none"),
        ("Answer: A. right", "'Answer: A. right' is none"),
        ("The answer is not A", "is none"),
        ("The answer is", "is none"),
        ("Answer: D", "is none"),
        ({"letter": "A", "text": "right"}, "its answers say A and B"),
        ({"who": "B"}, "is none"),
        ({"letter": "D"}, "answer 'D' is none"),
    ],
)
def test_a_letter_with_the_text_of_another_choice_is_a_problem(tmp_path, answer, what):
    (problem,) = read(tmp_path, [ROW | {"answer": answer}]).problems
    assert what in problem.what


def test_a_choice_that_begins_as_a_sentence_does_is_that_choice(tmp_path):
    row = ROW | {"options": ["B", "Answer: B", "Option B"], "answer": "Option B"}
    assert read(tmp_path, [row]).questions[0].answer == ("C",)


@pytest.mark.parametrize(
    ("count", "answer", "meant", "guessed"),
    [
        (3, [0, 1, 0], "B", False),
        (3, [True, False, True], "AC", False),
        (2, [False, True], "B", False),
        (2, [1, 0], "A", True),
        (3, [0, 2], "AC", False),
        (3, [0, 0, 0], None, False),
    ],
)
def test_a_mark_for_each_choice_is_no_place(tmp_path, count, answer, meant, guessed):
    row = ROW | {"options": ROW["options"][:count], "answer": answer}
    found = read(tmp_path, [row])
    assert [q.answer for q in found.questions] == ([tuple(meant)] if meant else [])
    assert bool(found.guesses()) == guessed


@pytest.mark.parametrize(("first", "meant"), [(0, "B"), (1, "A")])
def test_where_answers_count_from_may_be_said(tmp_path, first, meant):
    path = tmp_path / "list.json"
    undecided = read(tmp_path, [ROW | {"answer": 1}])
    assert "--answers-from 1" in undecided.guesses()[0]
    found = read_list(path, tmp_path, first)
    assert (found.questions[0].answer, found.guesses()) == ((meant,), [])
    read(tmp_path, [ROW | {"answer": 0}, ROW | {"question": "Who?", "answer": 3}])
    wrong = read_list(path, tmp_path, first).problems
    assert [p.number for p in wrong] == [2 - first]
