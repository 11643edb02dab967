"""Every rule by hand on small scenes, and against definitions that share no code with it."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from videothinker.diagnosis.rules import (
    LogFacts,
    any_correct_seen,
    correct_seen,
    disagreement,
    flags,
    no_path,
    same_truth,
    untouched,
)

PAIRS = list(itertools.combinations(range(5), 2))


def facts(removed, seen, options, after, negated=False):
    return LogFacts(
        options=tuple(map(frozenset, options)),
        words=("x",) * len(options),
        seen=tuple(map(frozenset, seen)),
        removed=removed,
        negated=negated,
        happens_after_removal=tuple(after),
    )


def test_a_removed_bystander_is_observational_under_every_rule():
    told = facts(4, [(0, 1), (1, 2)], [(0, 1), (0, 3)], [True, False])
    assert flags(told) == {
        "untouched": True,
        "no_path": True,
        "same_truth": True,
        "correct_seen": True,
        "any_correct_seen": True,
    }


def test_a_touched_object_off_the_options_paths_splits_the_rules():
    # 4 hits 3, the options are about 0, 1, 2: no path, though 4 is not untouched.
    told = facts(4, [(3, 4), (0, 1)], [(0, 1), (0, 2)], [True, False])
    assert not untouched(told)
    assert no_path(told)
    assert same_truth(told)


def test_influence_needs_the_order_of_time():
    # 4 hits 0 only after 0 has hit 1: the seen event (0, 1) is not reached.
    late = facts(4, [(0, 1), (0, 4)], [(0, 1)], [True])
    early = facts(4, [(0, 4), (0, 1)], [(0, 1)], [True])
    assert no_path(late)
    assert not no_path(early)
    # An event not seen may be brought about by any influence on its objects.
    assert not no_path(facts(4, [(0, 1), (0, 4)], [(0, 2)], [False]))
    # Influence is passed on, at second hand too.
    assert not no_path(facts(4, [(3, 4), (2, 3), (1, 2)], [(1, 2)], [False]))


def test_no_path_does_not_imply_same_truth():
    # 0 stops 1. Without 0, 1 goes on and pushes 2 into 3, which nothing reached in the video.
    told = facts(0, [(0, 1)], [(2, 3)], [True])
    assert no_path(told)
    assert not same_truth(told)


def test_negation_takes_the_complement():
    # Seen: (0, 1). Nothing changes. "Which will not happen?": (0, 2) is correct.
    told = facts(4, [(0, 1)], [(0, 1), (0, 2)], [True, False], negated=True)
    assert told.correct == (False, True)
    assert told.correct_in_video == (False, True)
    assert correct_seen(told)
    # After the removal (0, 1) stops happening: it becomes correct, and the video says otherwise.
    told = facts(0, [(0, 1)], [(0, 1), (1, 2)], [False, False], negated=True)
    assert told.correct == (True, True)
    assert told.correct_in_video == (False, True)
    assert correct_seen(told) is False
    assert any_correct_seen(told) is True
    assert same_truth(told) is False


def test_without_a_correct_choice_the_seen_rules_do_not_apply():
    told = facts(0, [(0, 1)], [(0, 1)], [False])
    assert correct_seen(told) is None
    assert any_correct_seen(told) is None


@st.composite
def random_facts(draw):
    seen = draw(st.lists(st.sampled_from(PAIRS), max_size=5, unique=True))
    options = draw(st.lists(st.sampled_from(PAIRS), min_size=1, max_size=4, unique=True))
    after = draw(st.lists(st.booleans(), min_size=len(options), max_size=len(options)))
    return facts(draw(st.integers(0, 4)), seen, options, after, draw(st.booleans()))


def paths_from(removed, seen):
    """Every time-ordered chain of collisions that starts at `removed`, by brute force."""
    reached = {(removed, -1)}
    for length in range(1, len(seen) + 1):
        for chain in itertools.combinations(range(len(seen)), length):
            ends = {removed}
            for index in chain:
                ends = {b for a in ends for b in seen[index] if a in seen[index]}
            reached |= {(end, chain[-1]) for end in ends}
    return reached


@given(random_facts())
def test_no_path_equals_the_brute_force_over_chains(told):
    seen = told.seen
    reached = paths_from(told.removed, seen)
    touched = False
    for option in told.options:
        when = seen.index(option) if option in seen else len(seen)
        touched |= any((end in option) and at < when for end, at in reached)
    assert no_path(told) == (not touched)


@given(random_facts())
def test_order_between_the_rules(told):
    found = flags(told)
    if found["correct_seen"] is not None:
        assert found["correct_seen"] or not found["same_truth"]
        assert found["any_correct_seen"] or not found["correct_seen"]
    # The strike-out reading of same_truth: the struck question has the same answer set.
    assert found["same_truth"] == (told.correct == told.correct_in_video)


@given(random_facts())
def test_negating_the_question_and_its_answers_leaves_the_truth_rules(told):
    other = facts(
        told.removed,
        told.seen,
        told.options,
        told.happens_after_removal,
        not told.negated,
    )
    for rule in (untouched, no_path, same_truth):
        assert rule(told) == rule(other)


def test_disagreement_counts_only_where_both_apply():
    table = [
        {"a": True, "b": False, "c": None},
        {"a": True, "b": True, "c": False},
        {"a": False, "b": True, "c": False},
    ]
    assert disagreement(table, ("a", "b", "c")) == {("a", "b"): 2, ("a", "c"): 1, ("b", "c"): 2}
