"""What a diagnosis says can be done next."""

from pathlib import Path

from videothinker.diagnosis.biasset import BiasSet
from videothinker.diagnosis.following import is_at_chance, next_lines, over_guessing
from videothinker.records import Question, Sample, Verdict

OUT = Path("runs/d")


def questions(count: int) -> list[Question]:
    return [
        Question(
            id=str(i), dataset="d", split="train", video=f"{i}.mp4", question="Which?",
            choices=("a", "b", "c", "d"), answer=("A",), type="t",
        )
        for i in range(count)
    ]  # fmt: skip


def answers(every: list[Question], right: int, verdict: Verdict = "ok") -> dict[str, list[Sample]]:
    return {
        q.id: [
            Sample(
                question_id=q.id, model="m", protocol="p", verdict=verdict, exact=float(i < right)
            )
        ]
        for i, q in enumerate(every)
    }


def bias(struck: int, as_is: int) -> BiasSet:
    every = tuple(questions(as_is))
    return BiasSet(every[:struck], every, as_is - struck, "train")


def test_a_guess_among_four_is_right_once_in_four():
    every = questions(40)
    gains = over_guessing(every, {"full": answers(every, 10), "blind": answers(every, 30)})
    assert gains["full"]["value"] == 0.0
    assert gains["blind"]["value"] == 0.5
    assert gains["blind"]["low"] > 0
    assert is_at_chance({"full": gains["full"]})
    assert not is_at_chance(gains)
    assert not is_at_chance({})
    nothing_right = over_guessing(every, {"full": answers(every, 0)})
    assert is_at_chance(nothing_right)


def test_the_next_step_is_to_train_only_where_there_is_something_to_train_on():
    every = questions(40)
    good = over_guessing(every, {"full": answers(every, 36)})
    poor = over_guessing(every, {"full": answers(every, 11)})
    usual = ["next: videothinker train bias --data runs/d --model MODEL --out runs/bias --as-is"]
    assert next_lines(bias(3, 5), good, OUT) == usual
    assert next_lines(bias(3, 5), {}, OUT) == usual
    assert next_lines(bias(0, 5), good, OUT)[-1] == usual[0]
    empty = " ".join(next_lines(bias(0, 0), good, OUT))
    assert "the bias set is empty" in empty
    assert "train bias" not in empty
    assert "train grpo --data runs/d" in empty
    assert "by the rule on the event logs" in next_lines(bias(0, 0), {}, OUT)[0]
    weak = " ".join(next_lines(bias(3, 5), poor, OUT))
    for part in ("full +2.5 points", "next: another --probe MODEL", "5 questions",
                 "these questions. Probe a stronger model"):  # fmt: skip
        assert part in weak
    assert "could be read" not in weak  # all were
    assert "holds 1 question by" in next_lines(bias(0, 1), poor, OUT)[-1]
    cut = over_guessing(every, {"full": answers(every, 0, "truncated")})
    assert "read of 40 of its 40 samples" in next_lines(bias(0, 0), cut, OUT)[0]
    assert "raise --max-new-tokens" in next_lines(bias(0, 0), cut, OUT)[0]
    assert "train" not in weak.split("next:")[1].replace("to train on", "")
