"""Shortcut reliance, exact on small cases."""

from videothinker.diagnosis.reliance import Intervention, reliance

A, B, AB = ("A",), ("B",), ("A", "B")


def test_minimal_pairs_give_exact_shares():
    found = reliance(
        [
            Intervention("1", (A, B), (A, B)),  # follows the premise, right
            Intervention("2", (A, B), (A, A)),  # shortcut
            Intervention("3", (A, AB), (B, B)),  # shortcut, though wrong both times
            Intervention("4", (A, B), (None, B)),  # unanswered: no shortcut, not right either
            Intervention("5", (A, A), (A, A)),
            Intervention("6", (A, A), (A, B)),  # noise
        ]
    )
    assert found.stays_when_should_change.count == 2
    assert found.stays_when_should_change.n == 4
    assert found.changes_when_should_stay.count == 1
    assert found.changes_when_should_stay.n == 2
    assert found.both_right.count == 2
    assert found.both_right.n == 6
    assert found.unanswered == 1


def test_a_describer_and_a_reasoner_lie_at_the_two_ends():
    pairs = [((A, B), A), ((B, AB), B), ((A, A), A)]
    describer = reliance(
        Intervention(str(i), gold, (seen, seen)) for i, (gold, seen) in enumerate(pairs)
    )
    reasoner = reliance(Intervention(str(i), gold, gold) for i, (gold, _) in enumerate(pairs))
    assert describer.stays_when_should_change.value == 1.0
    assert describer.changes_when_should_stay.value == 0.0
    assert reasoner.stays_when_should_change.value == 0.0
    assert reasoner.both_right.value == 1.0


def test_no_pairs_is_unknown_not_zero():
    found = reliance([])
    assert found.stays_when_should_change.value is None
    assert found.both_right.value is None
