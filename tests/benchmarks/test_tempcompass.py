"""TempCompass: its four files and its own rules."""

from pathlib import Path

import pytest

from tests.benchmarks.published_rows import ask, put, verdicts
from videothinker.benchmarks import tempcompass
from videothinker.errors import UserError


def put_tempcompass(root: Path, **rows: list[dict[str, str]]) -> Path:
    files = {
        "multi-choice": [{"question": "Doing?\nA. run\nB. sit", "answer": "B. sit"}],
        "yes_no": [{"question": "Is it running?", "answer": "no"}],
        "caption_matching": [
            {"question": "Which?\nOption 1: a dog\nOption 2: a cat", "answer": "Option 2: a cat"}
        ],
        "captioning": [{"question": "Write.", "answer": "B. sit"}] * 3,
        **rows,
    }
    for kind, questions in files.items():
        put(root / "questions" / f"{kind}.json", {"123": {"action": questions}})
    return root


def test_tempcompass_as_published(shared, tmp_path):
    (tmp_path / "questions").symlink_to(shared / "tempcompass")
    found = tempcompass.load(tmp_path)
    assert found.wrong_counts() == []
    for question in found.questions:
        if question.type == "caption_matching":
            names = question.groups["labels"].split("|")
            assert names in (
                ["Option 1", "Option 2"],
                ["Caption A", "Caption B"],
                ["Sentence A", "Sentence B"],
            )


def test_tempcompass_rows(tmp_path):
    found = tempcompass.load(put_tempcompass(tmp_path))
    by_type = {q.type: q for q in found.questions}
    assert by_type["multi-choice"].choices == ("run", "sit")
    assert by_type["multi-choice"].question == "Doing?"
    assert by_type["yes_no"].answer == ("B",)
    assert by_type["caption_matching"].choices == ("a dog", "a cat")
    assert by_type["caption_matching"].groups == {"aspect": "action", "labels": "Option 1|Option 2"}
    assert found.needs_judge == {"captioning": 3}


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (
            lambda r: put_tempcompass(r, yes_no=[{"question": "q", "answer": "maybe"}]),
            "video 123, action, item 0",
        ),
        (
            lambda r: put_tempcompass(
                r, caption_matching=[{"question": "Q\nfoo\nbar", "answer": "foo"}]
            ),
            "Option, Caption or Sentence",
        ),
    ],
)
def test_an_unknown_row_names_its_file_and_place(tmp_path, write, match):
    write(tmp_path)
    with pytest.raises(UserError, match=match):
        tempcompass.load(tmp_path)


def test_tempcompass_multiple_choice():
    texts = {
        "B": "right",
        "B. sit": "right",
        "B. The man sits": "right",
        "B) he sits": "right",
        "A": "wrong",
        "A. sit": "wrong",
        "C.": "wrong",
        "B. sit</s>": "right",
        "(B)": "judge",
        "Option B": "judge",
        "The answer is B": "judge",
        "sit": "judge",
        "b": "judge",
        " B": "judge",
        "B, because": "judge",
        "": "judge",
    }
    question = ask("B", "run", "sit", "lie", kind="multi-choice")
    assert verdicts(tempcompass.own_rule, question, texts) == texts


def test_tempcompass_yes_or_no():
    texts = {
        "yes": "right",
        "Yes, the man is running.": "right",
        "YES": "right",
        "No, he is not": "wrong",
        "Nothing moves": "wrong",
        "The answer is yes": "judge",
        "A": "judge",
    }
    question = ask("A", "yes", "no", kind="yes_no")
    assert verdicts(tempcompass.own_rule, question, texts) == texts
    assert tempcompass.own_rule(ask("B", "yes", "no", kind="yes_no"), "Not at all") == "right"


def test_tempcompass_caption_matching():
    texts = {
        "Option 2: a cat": "right",
        "Option 2": "right",
        "Option 2.": "right",
        "a cat": "right",
        "(2) a cat": "right",
        "Option 1": "wrong",
        "a dog": "wrong",
        "Option 2: a dog": "judge",
        "option 2": "judge",
        "2": "judge",
    }
    labels = "Option 1|Option 2"
    question = ask("B", "a dog", "a cat", kind="caption_matching", labels=labels)
    assert verdicts(tempcompass.own_rule, question, texts) == texts
