"""Families, on a list sorted by hand."""

from tests.diagnosis.made_questions import asks, without
from videothinker.families import families, same_but_premise


def test_a_family_differs_in_the_premise_and_in_the_answer() -> None:
    questions = [
        asks("a", without("gray cube"), "A"),
        asks("alone", without("gray cube", negated=True), "A"),
        asks("b", without("gray sphere"), "B"),
        asks("c", without("gray cylinder"), "A"),
        asks("all alike", without("gray cube"), "A", video="w"),
        asks("alike too", without("gray sphere"), "A", video="w"),
        asks("no premise", "What will happen?", "B"),
    ]
    found = [[one.id for one in group] for group in same_but_premise(questions)]
    assert found == [["a", "b", "c"], ["all alike", "alike too"]]
    assert [[one.id for one in group] for group in families(questions)] == [["a", "b", "c"]]
    assert families([]) == []
