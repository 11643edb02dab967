"""Shallow answerers against answers worked out by hand on one small scene.

Five objects. In the video 0 hits 1, then 1 hits 2, then 3 hits 4. Without 1, 0 goes on and hits 2.
"""

import pytest

from videothinker.clevrer import answerers
from videothinker.clevrer.annotations import ObjectProperty
from videothinker.clevrer.answerers import ANSWERERS, BLIND, Asked, asked, judge, tally
from videothinker.clevrer.questions import RawChoice, RawQuestion
from videothinker.clevrer.scenes import Event, Scene
from videothinker.errors import UserError

COLORS = ("gray", "red", "blue", "green", "brown")
SEEN = ((0, 1), (1, 2), (3, 4))


def question(*options: tuple[int, int], removed: int = 1, negated: bool = False) -> Asked:
    return Asked(
        options=tuple(frozenset(pair) for pair in options),
        words=tuple("x" * (3 + i) for i in range(len(options))),
        seen=tuple(frozenset(pair) for pair in SEEN),
        removed=removed,
        negated=negated,
    )


MIXED = ((0, 2), (3, 4), (0, 3))
"""No, yes, no in the video; without 1: yes, yes, no."""


@pytest.mark.parametrize(
    ("name", "picked"),
    [
        ("describe", (False, True, False)),
        ("describe, else change", (False, True, False)),
        ("first option", (True, False, False)),
        ("last option", (False, False, True)),
        ("longest option", (False, False, True)),
        ("shortest option", (True, False, False)),
        # 1 is the first to collide of the unnamed: 1 and nobody else; its partners are 0 and 2
        ("unnamed object", (True, True, True)),
        # 1 collides, so the last collision that is offered, 3 with 4, is gone
        ("named object collides", (False, False, False)),
        ("one hop", (True, True, True)),
        ("event graph", (False, True, False)),
        ("handed on", (True, True, False)),
    ],
)
def test_each_answerer_on_one_question(name: str, picked: tuple[bool, ...]) -> None:
    assert ANSWERERS[name](question(*MIXED)) == picked
    turned = tuple(not one for one in picked)
    moved = "option" in name
    assert ANSWERERS[name](question(*MIXED, negated=True)) == (picked if moved else turned)


def test_all_or_none_makes_describers_change_something() -> None:
    change = answerers.describe_else_change
    assert change(question((1, 2), (3, 4), (0, 1))) == (True, False, True)  # 3 and 4 came last
    assert change(question((0, 2), (0, 3))) == (True, False)
    assert change(question((0, 2), (0, 3), negated=True)) == (False, True)


def test_what_the_removed_object_set_off_is_gone_and_no_more() -> None:
    graph = answerers.event_graph
    assert graph(question((1, 2), (3, 4), removed=0)) == (False, True)
    # 1 set 2 off after 0 had set 1 off: without 2 nothing before is gone
    assert graph(question((0, 1), (3, 4), removed=2)) == (True, True)


def test_one_partner_alone_hands_nothing_on() -> None:
    assert answerers.handed_on(question((1, 2), (3, 4), (1, 3), removed=0)) == (False, True, False)


def test_a_bystander_named_leaves_the_description() -> None:
    lone = question(*MIXED, removed=1)
    apart = Asked(**{**{f: getattr(lone, f) for f in lone.__dataclass_fields__}, "removed": 5})
    assert answerers.named_object_collides(apart) == answerers.describe(apart)


def scene() -> Scene:
    things = tuple(ObjectProperty(i, color, "rubber", "sphere") for i, color in enumerate(COLORS))
    events = tuple(Event("collision", 10 * k, pair) for k, pair in enumerate(SEEN, 1))
    return Scene(objects=things, events=events)


def raw(*pairs: tuple[int, int], removed: int) -> RawQuestion:
    def one(k: int) -> list[str]:
        return ["objects", COLORS[k], "filter_color", "unique"]

    choices = tuple(
        RawChoice(
            k,
            f"The {COLORS[a]} object and the {COLORS[b]} object collide",
            ("all_events", *one(a), "filter_collision", *one(b), "filter_collision", "unique"),
        )
        for k, (a, b) in enumerate(pairs)
    )
    program = ("all_events", *one(removed), "get_counterfact", "belong_to", "negate")
    return RawQuestion(0, "?", "counterfactual", program, choices=choices)


def test_a_question_is_taken_apart_by_its_programs() -> None:
    found = asked(raw((2, 0), (3, 4), removed=1), scene())
    assert found.options == (frozenset({0, 2}), frozenset({3, 4}))
    assert found.seen == tuple(frozenset(pair) for pair in SEEN)
    assert (found.removed, found.negated) == (1, True)
    broken = RawQuestion(0, "?", "predictive", ("unseen_events", "belong_to"))
    with pytest.raises(UserError, match="removes no object"):
        asked(broken, scene())


def test_a_score_counts_labels_and_whole_families() -> None:
    gold = (True, True, False)
    still, other = question(*MIXED, removed=3), question(*MIXED, removed=1)
    verdicts = [
        judge(still, (False, True, False), "none", "7-0"),
        judge(other, gold, "new", "7-0"),
        judge(other, gold, "new", "8-0"),
        judge(question((0, 2), (0, 3)), (True, False), "new"),
    ]
    assert [one.observational for one in verdicts] == [True, False, False, False]
    assert [one.gives_itself_away for one in verdicts] == [False, False, False, True]
    scores = tally(verdicts)
    assert scores["describe"] == ((1, 1), (0, 3), (0, 2), (0, 2))
    # what it gets right gives itself away
    assert scores["describe, else change"] == ((1, 1), (1, 3), (0, 2), (0, 2))
    # removing 3 sets off no one but 4, so 3 with 4 would be gone, and describing is right
    assert scores["handed on"] == ((0, 1), (3, 3), (2, 2), (1, 2))


@pytest.mark.parametrize("name", sorted(BLIND))
def test_the_blind_never_read_the_premise(name: str) -> None:
    answers = {BLIND[name](question(*MIXED, removed=k)) for k in range(5)}
    assert len(answers) == 1
