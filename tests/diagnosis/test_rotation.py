"""Options rotated from sample to sample: places win no vote, meanings keep theirs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videothinker.diagnosis.probes import survives
from videothinker.diagnosis.rotation import by_question, refuse_alike, rotated, unrotated
from videothinker.errors import UserError
from videothinker.prompts import LETTERS
from videothinker.records import Question, Sample


def question(choices, answer, name="q"):
    return Question(
        id=name,
        dataset="toy",
        split="train",
        question="What will happen?",
        choices=tuple(f"event {i}" for i in range(choices)),
        answer=answer,
        type="counterfactual",
    )


def said(asked, letters):
    """The record of a sample of `asked` that answers `letters`."""
    right = float(letters == asked.answer)
    told = {"question_id": asked.id, "model": "m", "protocol": "p", "lenient": letters}
    return Sample(**told, answer=letters, verdict="ok" if letters else "unparsed", exact=right)


def meaning(asked, letters):
    return {asked.choices[LETTERS.index(one)] for one in letters}


@given(st.integers(1, 6), st.integers(0, 20), st.data())
def test_rotating_moves_letters_and_no_meaning(choices, places, data):
    letters = st.sets(st.sampled_from(LETTERS[:choices])).map(sorted).map(tuple)
    q, answer = question(choices, data.draw(letters)), data.draw(letters)
    shown = rotated(q, places)
    assert meaning(shown, shown.answer) == meaning(q, q.answer)
    assert set(shown.choices) == set(q.choices)
    back = unrotated(said(shown, answer), q, places)
    assert meaning(q, back.answer) == meaning(shown, answer)
    assert back.lenient == back.answer == tuple(sorted(back.answer))
    assert (back.answer == q.answer) == (back.exact == 1)
    assert (back.question_id, back.seed) == ("q", places)


@pytest.mark.parametrize("samples", [2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("choices", [2, 3, 4, 5])
def test_a_guessed_place_never_survives_and_a_meant_option_always_does(choices, samples):
    for right in LETTERS[:choices]:
        q = question(choices, (right,))
        shown = [rotated(q, i) for i in range(samples)]
        for place in LETTERS[:choices]:
            guesses = by_question([q], [said(one, (place,)) for one in shown])["q"]
            # with fewer samples than options a guess is right at most once: no majority either
            assert survives(q, guesses) is False or samples % choices == 1
        meant = by_question([q], [said(one, one.answer) for one in shown])["q"]
        assert survives(q, meant) is True


def test_an_unparsed_answer_stays_one_and_strangers_stay_out():
    q = question(3, ("B",), "mine#7")
    samples = [said(rotated(q, 1), None), said(q, ("B",)), said(question(3, ("A",), "other"), None)]
    found = by_question([q], samples)
    assert {name: [s.answer for s in mine] for name, mine in found.items()} == {
        "mine#7": [("B",), None]
    }
    assert [s.seed for s in found["mine#7"]] == [0, 1]
    assert rotated(q, 0) is q


def test_ids_that_a_rotation_makes_alike_are_refused():
    asked = [question(3, ("A",), name) for name in ("a", "a#3", "b#1")]
    refuse_alike(asked, 3)
    with pytest.raises(UserError, match=r"'a' and 'a#3'.*rename"):
        refuse_alike(asked, 4)
