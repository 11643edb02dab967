"""The bias set: grammatical for every template, of the training split, nothing lost silently."""

import itertools

import pytest

from tests.diagnosis.diagnosis_folder import QUESTIONS
from videothinker.clevrer.grammar import remove_premise
from videothinker.cli import main
from videothinker.diagnosis.biasset import bias_set, without_premise
from videothinker.records import Question

STEMS = ("Which of the following", "Which event", "What")
CLAUSES = ("if the red metal cube is removed", "without the red metal cube")


def templates():
    for stem, clause, negation, front in itertools.product(
        STEMS, CLAUSES, ("", "not "), (True, False)
    ):
        asked = f"{stem} will {negation}happen"
        clause_first = f"{clause[0].upper()}{clause[1:]}, {asked[0].lower()}{asked[1:]}?"
        yield clause_first if front else f"{asked} {clause}?", f"{asked}?"


@pytest.mark.parametrize(("text", "expected"), list(templates()))
def test_every_template_is_struck_to_a_whole_sentence(text, expected):
    assert remove_premise(text) == expected


def make(name, split="train", label_struck="What will happen?"):
    return Question(
        id=name,
        dataset="toy",
        split=split,
        context="",
        question="What will happen without the cube?",
        question_struck=label_struck,
        choices=("a", "b"),
        answer=("A",),
        type="counterfactual",
    )


def test_order_split_and_premise():
    questions = [make("c"), make("a"), make("b", label_struck=None), make("v", "validation")]
    labels = dict.fromkeys("cabv", "observational")
    found = bias_set(questions, labels)
    assert [q.id for q in found.premise_removed] == ["c", "a"]
    assert [q.id for q in found.as_is] == ["c", "a", "b"]
    assert found.not_applicable == 1
    assert found.split == "train"
    assert found.premise_removed[0].question == "What will happen?"
    assert found.premise_removed[0].question_struck is None
    other = bias_set([questions[3]], {"v": "observational"})
    assert [q.id for q in other.as_is] == ["v"]
    assert other.split is None
    held_out = bias_set(questions, {"v": "observational", "a": "inferential", "b": "excluded"})
    assert (held_out.as_is, held_out.split) == ((), "train")
    with pytest.raises(ValueError, match="no premise"):
        without_premise(questions[2])


def test_the_command_exits_with_1_where_something_was_left_out(folder, tmp_path, capsys):
    folder.ask("train", 6, QUESTIONS)  # no annotation
    words = ["diagnose", str(folder.root), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "scene 6" in capsys.readouterr().err
    assert main([*words[:3], str(tmp_path / "kept"), "--keep-going"]) == 1
    assert "scene 6" in capsys.readouterr().err
