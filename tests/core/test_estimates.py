"""Intervals against definitions that cannot share the bug: double sums, simulation, tables."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videothinker.errors import UserError
from videothinker.estimates import less, mean, share, show, student

DATA = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from("abcde")), min_size=2, max_size=30
)


@given(DATA)
def test_the_clustered_error_is_the_textbook_double_sum(data):
    """Var = m/(m-1) / n^2 * sum over pairs i, j of one cluster of e_i e_j."""
    values, clusters = [v for v, _ in data], [c for _, c in data]
    found = mean(values, clusters)
    centre = sum(values) / len(values)
    assert found.value == pytest.approx(centre)
    m = len(set(clusters))
    if m == 1:
        assert found.error is None
        assert (found.low, found.high) == (0, 1)
        return
    double = sum(
        (values[i] - centre) * (values[j] - centre)
        for i, j in itertools.product(range(len(values)), repeat=2)
        if clusters[i] == clusters[j]
    )
    assert found.error == pytest.approx(math.sqrt(m / (m - 1) * double) / len(values), abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_one_question_a_video_is_the_ordinary_error():
    values = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    found = mean(values, list("abcdef"))
    p, n = 4 / 6, 6
    assert found.error == pytest.approx(math.sqrt(p * (1 - p) / (n - 1)))


def test_copies_of_a_question_add_no_evidence():
    values, clusters = [1.0, 0.0, 1.0, 0.0, 0.0], list("abcde")
    once = mean(values, clusters)
    thrice = mean(values * 3, clusters * 3)
    assert thrice.error == pytest.approx(once.error)
    assert thrice.n == 15


def test_the_interval_covers_about_95_in_100():
    """Clusters of three questions that stand and fall together; 60 clusters, 400 draws."""
    draw = random.Random(7)
    inside = 0
    for _ in range(400):
        values, clusters = [], []
        for c in range(60):
            right = float(draw.random() < 0.7)
            values += [right] * 3
            clusters += [str(c)] * 3
        found = mean(values, clusters)
        inside += found.low <= 0.7 <= found.high
    assert 0.91 <= inside / 400 <= 0.98


def test_the_interval_covers_about_95_in_100_with_few_clusters():
    """Eight videos of four questions; the normal quantile would cover about 88 in 100."""
    draw = random.Random(11)
    inside = 0
    for _ in range(600):
        rates = [min(1.0, max(0.0, draw.gauss(0.5, 0.15))) for _ in range(8)]
        values = [float(draw.random() < rate) for rate in rates for _ in range(4)]
        found = mean(values, [str(c) for c in range(8) for _ in range(4)])
        inside += found.low <= 0.5 <= found.high
    assert 0.93 <= inside / 600 <= 0.99


def test_balanced_clusters_are_not_certainty():
    """One right and one wrong in every video: the clustered sum is 0, the interval is not."""
    found = mean([1.0, 0.0] * 3, list("aabbcc"))
    assert found.error == 0
    assert found.high - found.low > 0.5


def test_students_quantiles_are_the_tables():
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 30: 2.042, 1000: 1.962}
    for freedom, quantile in table.items():
        assert student(freedom) == pytest.approx(quantile, rel=2e-3)


def test_all_right_is_not_certainty():
    found = mean([1.0] * 10, [str(i) for i in range(10)])
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(10 / (10 + 1.96**2), abs=1e-3)  # Wilson's lower end


def test_no_difference_in_any_question_is_not_certainty():
    """Of eight at most a third may differ, each by at most 1."""
    found = mean([0.0] * 8, list("abcdefgh"), low=-1.0)
    assert (found.low, found.high) == pytest.approx((-share(0, 8).high, share(0, 8).high))
    found = mean([0.5] * 8, list("abcdefgh"), low=-1.0)
    assert found.low == pytest.approx(0.5 - 1.5 * share(0, 8).high)
    assert found.high == pytest.approx(0.5 + 0.5 * share(0, 8).high)


def test_a_number_known_without_error_leaves_the_interval_as_wide():
    found = mean([0.0, 1.0, 1.0], list("abc"))
    apart = less(found, 0.25)
    assert apart.value == found.value - 0.25
    assert (apart.low, apart.high) == (found.low - 0.25, found.high - 0.25)


def test_wilson_by_hand():
    # Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for count, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        found = share(count, n)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_nothing_is_unknown_and_a_mean_of_nothing_is_refused():
    nothing = share(0, 0)
    assert (nothing.value, nothing.low, nothing.high) == (None, 0, 1)
    assert "unknown" in show(nothing)
    with pytest.raises(UserError):
        mean([], [])
