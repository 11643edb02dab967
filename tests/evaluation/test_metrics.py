"""Numbers against definitions that cannot share the bug: double sums, simulation, by hand."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videothinker.answers import exact, soft
from videothinker.errors import UserError
from videothinker.evaluation import metrics
from videothinker.records import Question, Sample

DATA = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from("abcde")), min_size=2, max_size=30
)


def ask(name: str, answer: str, choices: int = 3, video: str = "v", **groups: str) -> Question:
    return Question(
        id=name,
        dataset="d",
        split="s",
        video=video,
        question="q",
        choices=tuple("wxyz"[:choices]),
        answer=tuple(answer),
        type="t",
        groups=groups,
    )


def say(question: Question, answer: str | None, verdict: str = "ok", seed: int = 0) -> Sample:
    letters = None if answer is None else tuple(answer)
    return Sample(
        question_id=question.id,
        model="m",
        protocol="p",
        seed=seed,
        answer=letters,
        lenient=letters,
        verdict=verdict,
        exact=exact(letters, question.answer),
        soft=soft(letters, question.answer),
    )


@given(DATA)
def test_the_clustered_error_is_the_textbook_double_sum(data):
    """Var = m/(m-1) / n^2 * sum over pairs i, j of one cluster of e_i e_j."""
    values, clusters = [v for v, _ in data], [c for _, c in data]
    found = metrics.mean(values, clusters)
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
    found = metrics.mean(values, list("abcdef"))
    p, n = 4 / 6, 6
    assert found.error == pytest.approx(math.sqrt(p * (1 - p) / (n - 1)))


def test_copies_of_a_question_add_no_evidence():
    values, clusters = [1.0, 0.0, 1.0, 0.0, 0.0], list("abcde")
    once = metrics.mean(values, clusters)
    thrice = metrics.mean(values * 3, clusters * 3)
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
        found = metrics.mean(values, clusters)
        inside += found.low <= 0.7 <= found.high
    assert 0.91 <= inside / 400 <= 0.98


def test_the_interval_covers_about_95_in_100_with_few_clusters():
    """Eight videos of four questions; the normal quantile would cover about 88 in 100."""
    draw = random.Random(11)
    inside = 0
    for _ in range(600):
        rates = [min(1.0, max(0.0, draw.gauss(0.5, 0.15))) for _ in range(8)]
        values = [float(draw.random() < rate) for rate in rates for _ in range(4)]
        found = metrics.mean(values, [str(c) for c in range(8) for _ in range(4)])
        inside += found.low <= 0.5 <= found.high
    assert 0.93 <= inside / 600 <= 0.99


def test_balanced_clusters_are_not_certainty():
    """One right and one wrong in every video: the clustered sum is 0, the interval is not."""
    found = metrics.mean([1.0, 0.0] * 3, list("aabbcc"))
    assert found.error == 0
    assert found.high - found.low > 0.5


def test_students_quantiles_are_the_tables():
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 30: 2.042, 1000: 1.962}
    for freedom, quantile in table.items():
        assert metrics.student(freedom) == pytest.approx(quantile, rel=2e-3)


def test_all_right_is_not_certainty():
    found = metrics.mean([1.0] * 10, [str(i) for i in range(10)])
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(10 / (10 + 1.96**2), abs=1e-3)  # Wilson's lower end


def test_an_accuracy_over_nothing_is_refused():
    for make in (
        lambda: metrics.mean([], []),
        lambda: metrics.scored([], {}, "exact"),
        lambda: metrics.options_right([], {}),
        lambda: metrics.verdict_shares([], {}),
        lambda: metrics.random_guess([], several=True),
        lambda: metrics.average([], "exact"),
    ):
        with pytest.raises(UserError):
            make()


def test_scores_by_hand():
    one, two, three = ask("1", "A"), ask("2", "BC", video="u"), ask("3", "C", video="u")
    answered = {
        "1": [say(one, "A")],
        "2": [say(two, "B")],
        "3": [say(three, None, "unparsed")],
    }
    every = [one, two, three]
    assert metrics.scored(every, answered, "exact").value == pytest.approx(1 / 3)
    assert metrics.scored(every, answered, "soft").value == pytest.approx((1 + 0.5 + 0) / 3)
    # options: 3 of 3; B taken and A left rightly, C left wrongly: 2 of 3; unread: 0 of 3
    assert metrics.options_right(every, answered).value == pytest.approx(5 / 9)
    assert metrics.verdict_shares(every, answered)["unparsed"] == pytest.approx(1 / 3)
    assert metrics.always(("A",), every).value == pytest.approx(1 / 3)


def test_several_samples_count_as_their_mean():
    one = ask("1", "A")
    answered = {"1": [say(one, "A"), say(one, "B", seed=1), say(one, None, "truncated", seed=2)]}
    assert metrics.scored([one], answered, "exact").value == pytest.approx(1 / 3)
    assert metrics.options_right([one], answered).value == pytest.approx((3 + 1 + 0) / 9)
    assert metrics.verdict_shares([one], answered)["truncated"] == pytest.approx(1 / 3)


def test_the_random_floor_is_what_guessing_scores():
    questions = [ask("1", "A", 2), ask("2", "BC", 3), ask("3", "B", 4)]
    draw = random.Random(3)
    for several in (False, True):
        total = 0
        for _ in range(4000):
            for q in questions:
                letters = "ABCD"[: len(q.choices)]
                sets = [
                    c
                    for size in range(1, len(letters) + 1 if several else 2)
                    for c in itertools.combinations(letters, size)
                ]
                total += draw.choice(sets) == q.answer
        floor = metrics.random_guess(questions, several=several)
        assert total / 12000 == pytest.approx(floor, abs=0.02)


def test_the_mvbench_counterfactual_floors_of_the_facts(shared):
    from videothinker.benchmarks import catalog

    lists = catalog.load("mvbench-list", shared / "mvbench" / "questions.json")
    stems = ("removed", "without")
    counterfactual = [
        q
        for q in lists.questions
        if q.groups["source"] == "clevrer" and any(s in q.question.lower() for s in stems)
    ]
    assert len(counterfactual) == 200
    assert metrics.always(("A",), counterfactual).value == pytest.approx(0.400, abs=5e-4)
    assert metrics.random_guess(counterfactual, several=False) == pytest.approx(0.348, abs=5e-4)


def test_a_pair_counts_where_both_are_right():
    p1, p2 = ask("1", "A", pair="x"), ask("2", "B", pair="x")
    q1, q2 = ask("3", "A", pair="y", video="u"), ask("4", "B", pair="y", video="u")
    lone = ask("5", "A", pair="z")
    found = metrics.pairs([p1, p2, q1, lone, q2])
    assert [(a.id, b.id) for a, b in found] == [("1", "2"), ("3", "4")]
    answered = {
        "1": [say(p1, "A")],
        "2": [say(p2, "B")],
        "3": [say(q1, "A")],
        "4": [say(q2, "A")],
    }
    assert metrics.consistency(found, answered).value == 0.5


def test_a_paired_difference_is_sharper_than_two_intervals():
    questions = [ask(str(i), "A", video=str(i)) for i in range(40)]
    theirs = {q.id: [say(q, "A" if int(q.id) % 2 else "B")] for q in questions}
    ours = {q.id: [say(q, "A" if int(q.id) % 2 or int(q.id) < 8 else "B")] for q in questions}
    found = metrics.paired(questions, ours, theirs)
    assert found.value == pytest.approx(4 / 40)
    alone = metrics.scored(questions, ours, "exact")
    assert found.high - found.low < (alone.high - alone.low) * 0.8
    back = metrics.paired(questions, theirs, ours)
    assert (back.value, back.low) == (-found.value, -found.high)
