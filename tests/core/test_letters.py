"""Loose reading, both ways: what any person would read as the letter, and what nobody would."""

import pytest

from videothinker.answers import parse
from videothinker.letters import read_letters, read_loosely

CHOICES = ("red cube", "blue cube", "sphere", "green cube")
YES_NO = ("yes", "no")

LATEX_AND_WIDE = {
    r"\boxed{A}": "A",
    r"$\boxed{A}$": "A",
    r"so \(\boxed{\text{C}}\)": "C",
    "\\[\n\\boxed{C}\n\\]": "C",
    r"\boxed{A} or rather \boxed{C}": "C",
    r"$\mathbf{B}$": "B",
    "Ａ": "A",
    "（A）": "A",
    "（Ａ）": "A",
    "A。": "A",
    "A，C": "AC",
    "Ａ、Ｃ": "AC",
    "【A】": "A",
    "The answer is “A”.": "A",
}
LETTER_AND_TEXT = {
    "A.red cube": "A",
    "A red cube": "A",
    "(B)blue cube": "B",
    "A. The man is running": "A",
    "a. sphere": "A",
    "A. sphere": "A",
    "A) scattering something": "A",
    "B: the man": "B",
    "A (the red one)": "A",
    "A\n\nThe cube is red.": "A",
    "sphere, because it rolls": "C",
}
SENTENCES = {
    "Answer: A": "A",
    "Answer: A and C": "AC",
    "The answer is A and C.": "AC",
    "The best answer is A.": "A",
    "It moves. Therefore, the final answer is: $A": "A",
    r"Therefore, the final answer is: $\boxed{A}$": "A",
    "Therefore, the final answer is:\nA": "A",
    "Therefore, the final answer is:\n\n**A**": "A",
    r"The final answer is $\boxed{A}$. I hope it is correct.": "A",
    "**Answer:** B": "B",
    "**Final answer: B**": "B",
    "### Answer\nB": "B",
    "Option A": "A",
    "A is correct.": "A",
    "I think it's A": "A",
    "I would go with option B": "B",
    "Both A and C are correct": "AC",
    "The correct options are (A) and (C).": "AC",
    "Based on the video, the correct option is B.": "B",
    "The answer would be B": "B",
    "The correct answer must be C: the ball rolls.": "C",
    "Thus, B.": "B",
}
WITH_A_REASON = {
    "A, because it moves": "A",
    "A because the cube moves": "A",
    "A, because B is wrong": "A",
    "The answer is A, not B.": "A",
    "A is the correct answer because it moves": "A",
    "A and B, but not C": "AB",
    "A, E": "A",
    "B, N, D": "BD",
    "A, C </option": "AC",
}
READ = LATEX_AND_WIDE | LETTER_AND_TEXT | SENTENCES | WITH_A_REASON

NOT_READ = (
    *("A man runs", "A dog", "A man, who runs", "It is A dog", "A cube moves, then B moves"),
    *("The answer is A man who runs", "A red ball", "A-list actors", "As I see it"),
    *("A or B", "I think A or B", "Either A or B", "A, B or C", "A or maybe C", "A, maybe B"),
    *("not A", "The answer is not A", "The answer cannot be A.", "The answer isn't A"),
    *("Neither A nor B", "B is wrong", "A, but B is also possible", "none", "All of them"),
    *("A?", "Is it A?", "Is the answer A or B?", "Which is the answer: A or B?"),
    *("U.S. troops", "A.M.", "D.C. is a city", "In A, he runs; in B, he sits"),
    *("E", "The answer is E", "I think", "I am not sure", "both", "I cannot see the video", ""),
    "The red cube\nand the sphere move towards B\nA. is shown\nB. is shown",
)


def everywhere(text: str) -> tuple[str, ...]:
    """As the whole text, behind the thinking, and in an answer block."""
    return text, f"<think>B?</think>{text}", f"<think>B?</think><answer>{text}</answer>"


@pytest.mark.parametrize(("text", "letters"), READ.items())
def test_what_any_person_would_read_is_read_loosely(text, letters):
    for whole in everywhere(text):
        assert parse(whole, CHOICES, truncated=False).lenient == tuple(letters)
    assert parse(f"<think>{text}", CHOICES, truncated=True).lenient is None


@pytest.mark.parametrize("text", NOT_READ)
def test_what_nobody_would_read_is_not(text):
    for whole in everywhere(text):
        parsed = parse(whole, CHOICES, truncated=False)
        assert (parsed.answer, parsed.lenient) == (None, None)


@pytest.mark.parametrize("text", [*LATEX_AND_WIDE, "A.red cube", *SENTENCES, *WITH_A_REASON])
def test_none_of_it_is_read_strictly(text):
    assert read_letters(text, CHOICES) is None
    assert (
        parse(f"<think>t</think><answer>{text}</answer>", CHOICES, truncated=False).answer is None
    )


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("Yes, the man is running.", "A"),
        ("No, he is not", "B"),
        ("Yes it is", "A"),
        ("Yes, there is no doubt", "A"),
        *((text, "") for text in ("Yes and no", "yes, or no", "Yes, no", "No one runs", "Not yes")),
        *((text, "") for text in ("Nothing happens", "yesterday", "now")),
    ],
)
def test_a_choice_before_a_clause(text, letters):
    assert read_loosely(text, YES_NO) == (tuple(letters) or None)


def test_numbers_are_not_cut_where_they_go_on():
    assert read_loosely("3, since there are three", ("2", "3")) == ("B",)
    assert read_loosely("3.5 metres", ("2", "3")) is None
    assert read_loosely("1, 2 and 3", ("1", "2", "3")) is None


def test_the_ninth_letter_is_a_letter_and_a_pronoun():
    nine = tuple(f"choice {i}" for i in range(9))
    assert read_loosely("The answer is I", nine) == ("I",)
    assert read_loosely("I think the answer is B", nine) == ("B",)
    assert read_loosely("I am not sure", nine) is None
