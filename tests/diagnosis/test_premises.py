"""Families that a premise tells apart, and natural pairs, on lists counted by hand."""

from tests.diagnosis.made_questions import OPTIONS, asks, without
from videothinker.clevrer.answerers import Asked
from videothinker.diagnosis.premises import blind_groups, counts, natural_pairs, pair_line
from videothinker.training.data import partners


def test_the_ceiling_is_the_largest_share_of_one_answer() -> None:
    questions = [
        asks("a", without("gray cube"), "A"),
        asks("b", without("gray sphere"), "B"),
        asks("c", without("gray cylinder"), "A"),
        asks("other video", without("gray sphere"), "B", video="w"),
        asks("other order", without("gray sphere"), "B", choices=OPTIONS[::-1]),
        asks("other words", "If the gray sphere is removed, which event will happen?", "B"),
        asks("negated", without("gray sphere", negated=True), "A"),
        asks("no premise", "What will happen?", "A"),
        asks("none either", "What will happen?", "B"),
    ]
    found = blind_groups(questions)
    assert {name: one.ceiling for name, one in found.items()} == {
        "a": 2 / 3,
        "b": 2 / 3,
        "c": 2 / 3,
    }
    assert {one.group for one in found.values()} == {"a"}


def test_the_same_question_twice_is_no_family() -> None:
    same = [asks("a", without("gray cube"), "A"), asks("b", without("gray cube"), "A")]
    assert blind_groups(same) == {}


def test_natural_pairs_by_hand() -> None:
    turned = ("The blue sphere and the red cube collide", "The gray cube collides with the sphere")
    questions = [
        asks("a", without("gray cube"), "A"),
        # the first option in other words, and it does not happen: a pair with a
        asks("b", without("gray sphere"), "B", choices=turned),
        # what does not happen is the second option: the first does, a pair with b alone
        asks("c", without("green cube", negated=True), "B"),
        # the same object: no pair with a, whatever the answer
        asks("d", without("gray cube"), "B"),
        asks("w", without("gray sphere"), "B", video="w"),
        asks("nothing right", without("gray sphere"), ""),
        asks("no premise", "What will happen?", "B"),
    ]
    found = natural_pairs(questions)
    # d: the first does not happen, the second does; c differs in both, and all options are common
    assert counts(found) == {
        "premises_readable": 5,
        "pairs": 3,
        "same_options": 1,
        "written": 2,
    }
    assert [(one.id, other.id) for one, other in found.chosen] == [("c", "d"), ("a", "b")]
    records = found.records()
    assert [q.groups["pair"] for q in records] == ["natural/c"] * 2 + ["natural/a"] * 2
    # training finds the two of each pair
    assert partners(dict(enumerate(records))) == {0: 1, 1: 0, 2: 3, 3: 2}


def test_a_known_scene_tells_that_two_phrases_are_one_object() -> None:
    def seen(removed: int) -> Asked:
        pairs = (frozenset((0, 1)), frozenset((0, 2)))
        return Asked(pairs, ("x", "y"), (), removed, negated=False)

    questions = [
        asks("a", without("gray cube"), "A"),
        asks("b", without("gray object"), "B"),
        asks("c", without("green cube"), "B", choices=("one", "other")),
    ]
    assert natural_pairs(questions).pairs == 1
    found = natural_pairs(questions, {"a": seen(3), "b": seen(3), "c": seen(4)})
    assert [(one.id, other.id) for one, other in found.chosen] == [("a", "c")]


def test_other_words_pair_where_they_say_what_their_premise_is() -> None:
    bare = {"question_struck": "Is the ball in the hall?", "choices": ("yes", "no")}
    questions = [
        asks("a", "The door is shut. Is the ball in the hall?", "A", **bare),
        asks("b", "The door is open. Is the ball in the hall?", "B", **bare),
        asks("c", "The lamp is off. Is the ball in the hall?", "B", **bare),
    ]
    assert counts(natural_pairs(questions))["pairs"] == 2
    assert "2 among 3 questions with a premise" in pair_line(counts(natural_pairs(questions)))
    plain = [asks("a", "Is the ball in the hall?", "A")]
    assert "premises are not readable here" in pair_line(counts(natural_pairs(plain)))
