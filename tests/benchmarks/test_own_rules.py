"""Every benchmark's own rule, on strings whose verdict was read off its authors' code by hand."""

import pytest

from videothinker.benchmarks import mmvu, mvbench, tempcompass, video_holmes, videomme
from videothinker.records import Question


def ask(answer: str, *choices: str, kind: str = "t", labels: str | None = None) -> Question:
    return Question(
        id="q",
        dataset="d",
        split="s",
        video="v.mp4",
        question="q",
        choices=choices,
        answer=(answer,),
        type=kind,
        groups={} if labels is None else {"labels": labels},
    )


def verdicts(rule, question: Question, texts: dict[str, str]) -> dict[str, str]:
    return {text: rule(question, text) for text in texts}


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


def test_mvbench_matches_the_first_word():
    texts = {
        "A": "right",
        "A)": "right",
        "A) scattering something": "right",
        "A. scattering": "right",
        "a) scattering": "right",
        "A)\nBecause of B": "right",
        "B) folding": "wrong",
        "A:": "wrong",
        "The answer is A": "wrong",
        "scattering something": "wrong",
        "": "right",
        ")": "wrong",
    }
    assert verdicts(mvbench.own_rule, ask("A", "scattering something", "folding"), texts) == texts


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


def test_a_judge_alone_has_no_rule():
    assert mmvu.OWN.rule is None
    assert "GPT-4o" in mmvu.OWN.words


@pytest.mark.parametrize("own", [tempcompass.OWN, videomme.OWN, mvbench.OWN, video_holmes.OWN])
def test_every_rule_says_where_it_was_read(own):
    assert own.rule is not None
    assert own.words.rpartition("(")[2].endswith((".py)", ".ipynb)"))
