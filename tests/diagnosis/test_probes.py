"""Labels without logs: votes, labels, agreement, and what shuffled golds must do to it."""

import numpy as np
import pytest

from videothinker.answers import exact
from videothinker.diagnosis.agreement import Agreement, agree, by_samples
from videothinker.diagnosis.causal import adjust
from videothinker.diagnosis.effects import premise_removals, premise_removed_answer, swaps, units_of
from videothinker.diagnosis.probes import diagnose_by_probes, majority, probe_flags, probe_label
from videothinker.diagnosis.reliance import reliance
from videothinker.records import Diagnosis, Evidence, Question, Sample

A, B, AB = ("A",), ("B",), ("A", "B")


def question(name, answer=A, *, struck="What will happen?", negated="no", **changes):
    values = {
        "id": name,
        "dataset": "toy",
        "split": "train",
        "context": "a transcript",
        "question": "What will happen without the cube?",
        "question_struck": struck,
        "choices": ("one", "two"),
        "answer": answer,
        "type": "counterfactual",
        "groups": {"negated": negated, "scene": name},
    }
    return Question(**{**values, **changes})


def sample(asked, answer, variant="struck", seed=0, verdict=None):
    return Sample(
        question_id=asked.id,
        model="m",
        protocol="p",
        variant=variant,
        seed=seed,
        answer=answer,
        verdict=verdict or ("ok" if answer is not None else "unparsed"),
        exact=exact(answer, asked.answer),
    )


def drawn(asked, answers, variant="struck"):
    return [sample(asked, answer, variant, seed) for seed, answer in enumerate(answers)]


def test_the_right_answer_must_survive_not_just_any():
    q = question("q", A)
    right = {"struck": drawn(q, [A, A, B])}
    same_but_wrong = {"struck": drawn(q, [B, B, B])}
    assert probe_label(q, probe_flags(q, right)) == "observational"
    assert probe_label(q, probe_flags(q, same_but_wrong)) == "inferential"


def test_failed_samples_do_not_vote_and_a_question_without_any_is_excluded():
    q = question("q", A)
    bad = sample(q, None, verdict="failed")
    assert probe_flags(q, {"struck": [bad, *drawn(q, [A])]}) == {"survives_strike": True}
    assert probe_flags(q, {"struck": [bad, bad]}) == {"survives_strike": None}
    assert probe_label(q, {"survives_strike": None}) == "excluded"


def test_without_a_premise_any_surviving_probe_makes_a_shortcut():
    q = question("q", A, struck=None)
    flags = probe_flags(q, {"blind": drawn(q, [B], "blind"), "shuffled": drawn(q, [A], "shuffled")})
    assert flags == {"survives_blindness": False, "survives_shuffling": True}
    assert probe_label(q, flags) == "observational"
    assert probe_label(q, {"survives_blindness": False}) == "inferential"
    assert probe_label(q, {}) == "excluded"


def test_records_keep_the_logs_beside_the_probes():
    q = question("q", A)
    log = Diagnosis(
        question_id="q",
        rule="same_truth",
        label="inferential",
        flags={"same_truth": False},
        evidence=Evidence(
            removed="cube", truth_video=(False, True), truth_counterfactual=(True, False)
        ),
    )
    samples = {"struck": {"q": drawn(q, [A, B, A])}, "full": {"q": drawn(q, [A, A, A], "full")}}
    (found,) = diagnose_by_probes([q], samples, {"q": log})
    assert found.rule == "survives_strike"
    assert found.label == "observational"
    assert found.flags == {"same_truth": False, "survives_strike": True}
    assert found.evidence == log.evidence
    assert found.probes == {"struck": (2, 3), "full": (3, 3)}


def test_agreement_by_hand():
    pairs = [(True, True)] * 6 + [(True, False)] * 2 + [(False, True)] * 3 + [(False, False)] * 9
    found = agree([*pairs, (None, True), (True, None)])
    assert found == Agreement(6, 2, 3, 9)
    assert found.n == 20
    assert found.precision == 6 / 8
    assert found.recall == 6 / 9
    assert found.f1 == pytest.approx(2 * 0.75 * (6 / 9) / (0.75 + 6 / 9))
    p, b = 8 / 20, 9 / 20
    assert found.chance_f1 == pytest.approx(2 * p * b / (p + b))
    assert found.all_f1 == pytest.approx(2 * b / (1 + b))
    expected = p * b + (1 - p) * (1 - b)
    assert found.kappa == pytest.approx((15 / 20 - expected) / (1 - expected))
    assert agree([]).f1 is None
    assert agree([(True, True)]).kappa is None
    assert agree([(True, True), (True, False)]).kappa == 0


def world(n, seed, miss):
    """Questions whose struck answer a reader sees except with probability `miss` a sample."""
    rng = np.random.default_rng(seed)
    letters = [A, B, AB]
    questions, samples, flags = [], {}, {}
    for i in range(n):
        seen = letters[rng.integers(3)]
        observational = rng.random() < 0.5
        gold = seen if observational else letters[(letters.index(seen) + 1) % 3]
        q = question(f"q{i}", gold)
        says = [seen if rng.random() > miss else letters[rng.integers(3)] for _ in range(8)]
        questions.append(q)
        samples[q.id] = drawn(q, says)
        flags[q.id] = {"same_truth": observational}
    return questions, samples, flags


def test_more_samples_help_a_noisy_reader():
    questions, samples, flags = world(600, 0, 0.45)
    found = by_samples(questions, samples, flags, ["same_truth"], [1, 8])
    one, eight = (found[k]["same_truth"].f1 for k in (1, 8))
    assert eight > one + 0.05
    assert eight > 0.9
    with pytest.raises(ValueError, match="9 samples"):
        by_samples(questions, samples, flags, ["same_truth"], [9])


def test_shuffled_golds_drop_f1_to_chance():
    questions, samples, flags = world(2000, 1, 0.1)
    honest = by_samples(questions, samples, flags, ["same_truth"], [8])[8]["same_truth"]
    assert honest.f1 > 0.97
    order = np.random.default_rng(2).permutation(len(questions))
    golds = [questions[i].answer for i in order]
    shuffled = [question(q.id, gold) for q, gold in zip(questions, golds, strict=True)]
    found = by_samples(shuffled, samples, flags, ["same_truth"], [8])[8]["same_truth"]
    assert found.f1 == pytest.approx(found.chance_f1, abs=0.05)
    assert found.f1 < 0.5
    assert found.kappa == pytest.approx(0, abs=0.05)


def logged(q, video, after):
    return Diagnosis(
        question_id=q.id,
        rule="same_truth",
        label="inferential",
        evidence=Evidence(removed="cube", truth_video=video, truth_counterfactual=after),
    )


def scenes(n, seed):
    """Questions with truths drawn on their own, plain and negated, and their logs."""
    rng = np.random.default_rng(seed)
    questions, logs = [], {}
    for i in range(n):
        negated = bool(rng.random() < 0.5)
        after = tuple(bool(x) for x in rng.random(2) < 0.5)
        before = tuple(a if rng.random() < 0.7 else not a for a in after)
        gold = tuple(x for x, a in zip("AB", after, strict=True) if a != negated)
        q = question(f"q{i}", gold, negated="yes" if negated else "no")
        questions.append(q)
        logs[q.id] = logged(q, before, after)
    return questions, logs


def test_a_describer_has_only_the_effect_of_observation_and_a_reasoner_only_that_of_truth():
    questions, logs = scenes(300, 3)
    by_id = {q.id: q for q in questions}
    describer = [sample(q, premise_removed_answer(q, logs[q.id]), "full") for q in questions]
    reasoner = [sample(q, q.answer, "full") for q in questions]
    for drawn_by, truth, observation in ((describer, 0.0, 1.0), (reasoner, 1.0, 0.0)):
        for swap, expected in ((False, truth), (True, observation)):
            units = units_of(by_id, logs, drawn_by, swap=swap)
            _, contrasts = adjust(units, np.random.default_rng(0), draws=20)
            assert len(contrasts) == 2  # plain and negated
            for contrast in contrasts:
                assert contrast.treatments == ("does not happen", "happens")
                assert contrast.effect.value == pytest.approx(expected, abs=1e-12)
    # The plain conditional is fooled: the describer looks as if it followed the truth.
    table, _ = adjust(units_of(by_id, logs, describer), np.random.default_rng(0), draws=20)
    happens = next(r for r in table if (r.query, r.treatment) == ("plain", "happens"))
    assert happens.conditional.value > happens.adjusted.value + 0.1


def test_units_leave_out_failures_other_variants_and_questions_without_logs():
    q = question("q", A)
    logs = {"q": logged(q, (True, False), (True, False))}
    told = [
        sample(q, A, "struck"),
        sample(q, None, "full", verdict="failed"),
        sample(question("other"), A, "full"),
    ]
    assert units_of({"q": q}, logs, told) == []
    unparsed = units_of({"q": q}, logs, [sample(q, None, "full")])
    assert [unit.outcome for unit in unparsed] == [False, False]


def test_striking_the_premise_is_judged_by_the_logs():
    questions, logs = scenes(200, 4)
    full = {q.id: drawn(q, [q.answer] * 3, "full") for q in questions}
    seen = {q.id: drawn(q, [premise_removed_answer(q, logs[q.id])] * 3) for q in questions}
    wise = reliance(premise_removals(questions, logs, full, seen))
    blunt = reliance(premise_removals(questions, logs, seen, seen))
    change = sum(q.answer != premise_removed_answer(q, logs[q.id]) for q in questions)
    assert wise.stays_when_should_change.n == blunt.stays_when_should_change.n == change
    # Questions right or struck-right with no letter at all count as unanswered.
    assert wise.stays_when_should_change.count == 0
    assert blunt.changes_when_should_stay.count == 0
    answered = sum(
        q.answer != premise_removed_answer(q, logs[q.id])
        and premise_removed_answer(q, logs[q.id]) != ()
        for q in questions
    )
    assert blunt.stays_when_should_change.count == answered


def test_swaps_want_minimal_pairs():
    one, other = question("1", A), question("2", B, question="What will happen without the ball?")
    full = {"1": drawn(one, [A, A, B], "full"), "2": drawn(other, [A, A, A], "full")}
    (pair,) = swaps([(one, other)], full)
    assert pair.should_change
    assert pair.answer == (A, A)
    assert reliance([pair]).stays_when_should_change.value == 1.0
    with pytest.raises(ValueError, match="more than their premise"):
        swaps([(one, question("3", B, choices=("one", "three")))], full)
    assert swaps([(one, question("3", B))], full) == []


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([A, A, B], A),
        ([AB, AB, A], AB),
        ([A, B, ("C",), A, B, A, ("D",), ("C",)], A),  # plurality: 3 of 8
        ([A, B], None),  # a tie has no majority
        ([None, None], None),
        ([A, None], A),  # half is no majority, but A leads alone
        ([AB], AB),
        ([(), ()], None),
    ],
)
def test_majority(answers, expected):
    assert majority(answers) == expected
