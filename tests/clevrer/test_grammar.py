"""One grammar reads CLEVRER's own questions and ours."""

import itertools
import json
from pathlib import Path

import pytest

from videothinker.clevrer.annotations import ObjectProperty
from videothinker.clevrer.grammar import (
    STEMS,
    Premise,
    parse_counterfactual,
    parse_option,
    parse_phrase,
    remove_premise,
    render_counterfactual,
    resolve,
)
from videothinker.errors import UserError


def test_every_real_counterfactual_question_parses(shared: Path) -> None:
    rows = json.loads((shared / "clevrer/mvbench_clevrer_questions.json").read_text())
    asked = [row for row in rows if row["task"] == "counterfactual_inference"]
    assert len(asked) == 100
    for row in asked:
        premise = parse_counterfactual(row["question"])
        assert render_counterfactual(premise) == row["question"]
        struck = remove_premise(row["question"])
        assert struck is not None
        assert premise.removed not in struck
        for option in row["options"]:
            first, second = parse_option(option.split(". ", 1)[1])
            assert parse_phrase(first) != parse_phrase(second)
    others = [row["question"] for row in rows if row["task"] != "counterfactual_inference"]
    assert all(remove_premise(question) is None for question in others)


def test_the_real_clip_of_the_paper_parses(shared: Path) -> None:
    row = json.loads((shared / "clevrer/video_12176.question.json").read_text())
    assert parse_counterfactual(row["question"]).removed == "sphere"
    assert remove_premise(row["question"]) == "What will happen?"
    assert [parse_option(choice) for choice in row["choices"]] == [
        ("cube", "blue cylinder"),
        ("red object", "cube"),
        ("red cylinder", "blue object"),
    ]


def test_every_template_strikes_to_the_same_question_without_its_clause() -> None:
    clauses = ("if the red metal cube is removed", "without the red metal cube")
    forms = itertools.product(STEMS, (True, False), clauses, (True, False))
    for stem, negated, clause, front in forms:
        premise = Premise("red metal cube", negated, stem, clause, front)
        text = render_counterfactual(premise)
        assert parse_counterfactual(text) == premise
        not_ = "not " if negated else ""
        assert remove_premise(text) == f"{stem.capitalize()} will {not_}happen?"
    assert (
        remove_premise("Without the cube, which event will not happen?")
        == "Which event will not happen?"
    )
    assert remove_premise("What will happen next?") is None


@pytest.mark.parametrize(
    "text",
    ["Will it rain?", "What will happen if the dog is removed?", "Without the cube what happens?"],
)
def test_a_foreign_question_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(UserError, match="templates"):
        parse_counterfactual(text)
    with pytest.raises(UserError, match="names no collision"):
        parse_option(text)


def test_a_phrase_names_one_object_or_is_refused() -> None:
    things = [
        ObjectProperty(0, "red", "metal", "cube"),
        ObjectProperty(1, "red", "rubber", "cube"),
        ObjectProperty(2, "blue", "metal", "sphere"),
    ]
    assert resolve("sphere", things) == 2
    assert resolve("the rubber object", things) == 1
    assert resolve("red metal object", things) == 0
    with pytest.raises(UserError, match="fits 2 objects"):
        resolve("cube", things)
    with pytest.raises(UserError, match="fits 0 objects"):
        resolve("green cube", things)
    with pytest.raises(UserError, match="no object phrase"):
        resolve("metal red cube", things)
