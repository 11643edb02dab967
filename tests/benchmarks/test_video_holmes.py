"""Video-Holmes: its rows and its own rule."""

import pytest

from tests.benchmarks.published_rows import ask, put, verdicts
from videothinker.benchmarks import video_holmes
from videothinker.errors import UserError

HOLMES = {
    "video ID": "abc",
    "Question ID": 7,
    "Question Type": "SR",
    "Question": "Who?",
    "Options": {letter: f"option {letter}" for letter in "ABCDEF"},
    "Answer": "C",
    "Explanation": "because",
}


def test_video_holmes_row(tmp_path):
    put(tmp_path / "test_Video-Holmes.json", [HOLMES])
    (question,) = video_holmes.load(tmp_path).questions
    assert (question.video, question.answer, question.type) == ("videos/abc.mp4", ("C",), "SR")
    assert question.choices[2] == "option C"


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (
            lambda r: put(r / "test_Video-Holmes.json", [HOLMES | {"x": 1}]),
            r"item 0.*`x`.*Question ID",
        ),
        (
            lambda r: put(r / "test_Video-Holmes.json", [HOLMES, HOLMES | {"Answer": "G"}]),
            "item 1.*'G'",
        ),
    ],
)
def test_an_unknown_row_names_its_file_and_place(tmp_path, write, match):
    write(tmp_path)
    with pytest.raises(UserError, match=match):
        video_holmes.load(tmp_path)


def test_video_holmes_looks_for_marked_letters_first():
    texts = {
        "<answer>C</answer>": "right",
        "<think>A B</think><answer>C</answer>": "right",
        "<answer>A</answer> no: <answer> C </answer>": "right",
        "C: option": "right",
        "[C]": "right",
        "It is C ": "right",
        "D, no, C: this": "right",
        "An answer: C ": "right",
        "A man, so C": "wrong",
        "c": "wrong",
        "": "wrong",
    }
    question = ask("C", *(f"option {x}" for x in "abcdef"))
    assert verdicts(video_holmes.own_rule, question, texts) == texts


def test_the_types_make_up_the_whole():
    assert sum(video_holmes.COUNTS.values()) == video_holmes.BENCHMARK.expected["questions"]
