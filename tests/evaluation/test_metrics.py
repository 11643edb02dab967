"""Numbers against definitions that cannot share the bug: double sums, simulation, by hand."""

import itertools
import random

import pytest

from videothinker.answers import exact, soft
from videothinker.dependence import average
from videothinker.errors import UserError
from videothinker.estimates import mean
from videothinker.evaluation import metrics
from videothinker.records import Question, Sample


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


def test_an_accuracy_over_nothing_is_refused():
    for make in (
        lambda: mean([], []),
        lambda: metrics.scored([], {}, "exact"),
        lambda: metrics.options_right([], {}),
        lambda: metrics.verdict_shares([], {}),
        lambda: metrics.random_guess([], several=True),
        lambda: average([], "exact"),
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


def test_a_family_counts_where_all_are_right():
    first = (ask("1", "A"), ask("2", "B"), ask("3", "A"))
    second = (ask("4", "A", video="u"), ask("5", "B", video="u"))
    answered = {
        "1": [say(first[0], "A"), say(first[0], "A")],
        "2": [say(first[1], "B"), say(first[1], "B")],
        "3": [say(first[2], "A"), say(first[2], "C")],
        "4": [say(second[0], "A"), say(second[0], "C")],
        "5": [say(second[1], "A"), say(second[1], "B")],
    }
    found = metrics.whole_families([first, second], answered)
    assert (found.value, found.n) == (0.375, 2)  # 1 * 1 * .5, and .5 * .5: draws are apart


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
