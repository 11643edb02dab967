"""The adjustment against a structural causal model whose interventional answer is known."""

import numpy as np
import pytest

from videothinker.diagnosis.causal import Unit, adjust, adjusted, conditional

P_O = {"0": 0.3, "1": 0.7}
P_T1_GIVEN_O = {"0": 0.1, "1": 0.8}  # T and O go together: confounding
P_A = {("0", "0"): 0.1, ("0", "1"): 0.6, ("1", "0"): 0.3, ("1", "1"): 0.9}  # (t, o)


def truth(t):
    """P(A | do(T = t)): the arrow into T is cut, O keeps its own distribution."""
    return sum(P_A[t, o] * P_O[o] for o in P_O)


def plain(t):
    p_t = {o: P_T1_GIVEN_O[o] if t == "1" else 1 - P_T1_GIVEN_O[o] for o in P_O}
    return sum(P_A[t, o] * P_O[o] * p_t[o] for o in P_O) / sum(P_O[o] * p_t[o] for o in P_O)


def sample(rng, n, clusters=None):
    units = []
    for i in range(n):
        o = str(int(rng.random() < P_O["1"]))
        t = str(int(rng.random() < P_T1_GIVEN_O[o]))
        a = bool(rng.random() < P_A[t, o])
        units.append(Unit("q", t, o, a, str(i if clusters is None else i % clusters)))
    return units


def test_expected_counts_give_the_interventional_answer_exactly():
    counts = np.zeros((1, 2, 2, 2))
    for t in "01":
        for o in "01":
            p_t = P_T1_GIVEN_O[o] if t == "1" else 1 - P_T1_GIVEN_O[o]
            mass = P_O[o] * p_t
            counts[0, int(t), int(o)] = (mass, mass * P_A[t, o])
    found, covered = adjusted(counts)
    assert found[0] == pytest.approx([truth("0"), truth("1")], abs=1e-12)
    assert covered[0] == pytest.approx([1, 1])
    assert conditional(counts)[0] == pytest.approx([plain("0"), plain("1")], abs=1e-12)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    hits = {"adjusted": 0, "conditional": 0, "effect": 0, "confounding": 0}
    rounds = 60
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        table, contrasts = adjust(sample(rng, 400), rng, draws=300)
        one = next(row for row in table if row.treatment == "1")
        hits["adjusted"] += one.adjusted.low <= truth("1") <= one.adjusted.high
        hits["conditional"] += one.conditional.low <= plain("1") <= one.conditional.high
        gap = plain("1") - truth("1")
        hits["confounding"] += one.confounding.low <= gap <= one.confounding.high
        effect = contrasts[0].effect
        hits["effect"] += effect.low <= truth("1") - truth("0") <= effect.high
    assert all(count >= 0.85 * rounds for count in hits.values()), hits
    assert abs(plain("1") - truth("1")) > 0.08  # the two really differ here


def test_an_unsupported_cell_is_named_and_bounded():
    units = [Unit("q", "0", o, True, f"{o}{i}") for o in "01" for i in range(10)]
    units += [Unit("q", "1", "0", i < 5, f"t{i}") for i in range(10)]
    table, _ = adjust(units, np.random.default_rng(0), draws=50)
    one = next(row for row in table if row.treatment == "1")
    assert [(c.treatment, c.observation, c.n) for c in one.unsupported] == [("1", "1", 0)]
    weight = 10 / 30  # P(O = 1)
    assert one.support == pytest.approx(1 - weight)
    assert one.bounds == pytest.approx((0.5 * (1 - weight), 0.5 * (1 - weight) + weight))
    zero = next(row for row in table if row.treatment == "0")
    assert zero.unsupported == ()
    assert zero.support == pytest.approx(1)


def test_where_nothing_varies_the_interval_is_not_a_point():
    units = [Unit("q", "0", "0", True, str(i)) for i in range(5)]
    (row,), contrasts = adjust(units, np.random.default_rng(0), draws=50)
    assert row.adjusted.value == 1.0
    assert row.adjusted.low < 0.7
    assert contrasts == []


def test_dependent_units_widen_the_interval():
    rng = np.random.default_rng(1)
    base = sample(rng, 300)
    copies = [Unit(u.query, u.treatment, u.observation, u.outcome, u.cluster) for u in base]
    (_, one), _ = adjust(base, np.random.default_rng(2))
    (_, twice), _ = adjust(base + copies, np.random.default_rng(2))
    width = one.adjusted.high - one.adjusted.low
    assert twice.adjusted.high - twice.adjusted.low == pytest.approx(width, rel=0.1)


def test_nothing_is_not_a_number():
    with pytest.raises(ValueError, match="no units"):
        adjust([], np.random.default_rng(0))
