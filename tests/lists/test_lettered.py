"""Choices in one text, and in a question: what each is read as, by hand."""

import time

import pytest

from tests.lists.test_reading_shapes import ASKED, read, said


@pytest.mark.parametrize(
    ("options", "by"),
    [
        ("left|right", "'|'"),
        ("left | right |", "'|'"),
        ("left;right", "';'"),
        ("left / right", "' / '"),
        ("left/right", "'/'"),
        ("left\nright", "lines"),
        ("left\tright", "tabs"),
    ],
)
def test_one_text_of_choices_is_divided_and_that_is_a_guess(tmp_path, options, by):
    row = {"video": "a.mp4", "question": ASKED[0], "options": options, "answer": "B"}
    for name in ("list.csv", "list.json"):
        found = read(tmp_path, [row], name)
        assert said(found) == [ASKED]
        assert f"divided by {by}" in found.guesses()[0]


def test_of_several_marks_that_divide_one_divides(tmp_path):
    row = {"video": "a.mp4", "question": ASKED[0], "options": "24/7|9/5", "answer": "9/5"}
    assert read(tmp_path, [row]).questions[0].choices == ("24/7", "9/5")
    (problem,) = read(tmp_path, [row | {"options": "9/5|"}]).problems
    assert problem.what == "has a single choice, '9/5'"


@pytest.mark.parametrize(
    "options",
    [
        "A. left|B. right",
        "A: left | B: right",
        "(a) left (b) right",
        "1) left 2) right",
        "1. left\n2. right",
        "Options:\nA. left\nB. right",
        "0. left\n1. right",
        "['left' 'right']",
        "['left'\n \"right\"]",
    ],
)
def test_letters_and_quotes_in_one_text_leave_nothing_to_guess(tmp_path, options):
    row = {"video": "a.mp4", "question": ASKED[0], "options": options, "answer": "right"}
    found = read(tmp_path, [row])
    assert said(found) == [ASKED]
    assert found.guesses() == []


@pytest.mark.parametrize(
    ("below", "guessed"),
    [
        (" (A) left (B) right", True),
        (" A. left B. right", True),
        ("\nOptions: A) left, B) right\nAnswer with the letter.", True),
        ("\nA. left\nB. right", False),
        ("\nA.left\nB.right", False),
        ("\nA. left\n\nB. right\nAnswer with the letter.", False),
        ("\nChoices:\n(a) left\n(b) right", False),
        ("\n1. left\n2. right", False),
    ],
)
def test_choices_in_the_question_are_taken_out_of_it(tmp_path, below, guessed):
    row = {"video": "a.mp4", "question": ASKED[0] + below, "answer": "right"}
    found = read(tmp_path, [row])
    assert said(found) == [ASKED]
    assert bool(found.guesses()) == guessed
    assert any("Answer with" in line for line in found.told()) == ("Answer" in below)
    again = read(tmp_path, [row | {"options": ["left", "right"]}])
    assert said(again) == [ASKED]
    assert again.guesses() == []


def test_a_choice_on_two_lines_is_whole(tmp_path):
    row = {"video": "a.mp4", "question": "Which?\nA. left,\nthen up\nB. right", "answer": "A"}
    assert read(tmp_path, [row]).questions[0].choices == ("left, then up", "right")


@pytest.mark.parametrize(
    "question", ["Did A. Smith or B. Jones win?", "Who is J. A. Lee?", "A. left\nB. right"]
)
def test_initials_are_no_choices_and_choices_alone_are_no_question(tmp_path, question):
    (problem,) = read(tmp_path, [{"video": "a.mp4", "question": question, "answer": "A"}]).problems
    assert problem.what == "has no choices"


def test_choices_in_another_order_than_in_the_question_are_a_problem(tmp_path):
    question = f"{ASKED[0]}\nA. left\nB. right"
    row = {"video": "a.mp4", "question": question, "options": ["right", "left"], "answer": "B"}
    (problem,) = read(tmp_path, [row]).problems
    assert "in another order" in problem.what
    events = {**row, "options": ["AB", "BA"], "answer": "BA"}
    assert read(tmp_path, [events]).questions[0].question == question


@pytest.mark.parametrize("text", ["1. ", "a. ", "(A) x ", "A. x\n", "A. x B. y\n"])
def test_what_only_looks_like_choices_is_passed_over_at_once(tmp_path, text):
    row = {"video": "a.mp4", "question": text * 20_000, "answer": "A"}
    began = time.process_time()
    read(tmp_path, [row, row | {"question": "Which?", "options": text * 20_000}])
    assert time.process_time() - began < 5
