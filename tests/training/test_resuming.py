"""A list may change before a run is resumed, except in what the run has used."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.training.toy_training import dying_at, make_question
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.records import Diagnosis, Question, Sample, read_jsonl, write_jsonl
from videothinker.runs import digest_path
from videothinker.training.data import load_training_set
from videothinker.training.resuming import Past, check_unchanged, read_past, record, refusal
from videothinker.training.stages import train

QUESTIONS = [make_question(number) for number in range(20)]
change = msgspec.structs.replace


def settings(**changes: Any) -> GrpoConfig:
    return GrpoConfig(model="m", out=Path("o"), **({"eval_steps": 0} | changes))


def loaded(folder: Path, questions: Sequence[Question], config: GrpoConfig) -> Any:
    write_jsonl(folder / "questions.jsonl", questions)
    return load_training_set(folder, config)


def begun(folder: Path, config: GrpoConfig, *, step: int, position: int) -> tuple[Past, list[str]]:
    """A run that has drawn `position` of QUESTIONS, and the order of all of them."""
    data = loaded(folder, QUESTIONS, config)
    record(folder / "run", Past(), data)
    used = read_past(folder / "run").used
    return Past(step, position, used), [q.id for q in data.train]


Edit = Callable[[list[Question], list[str]], list[Question]]


def of(rows: list[Question], question_id: str) -> int:
    return next(place for place, row in enumerate(rows) if row.id == question_id)


def swap(rows: list[Question], question_id: str, **fields: Any) -> list[Question]:
    return [change(row, **fields) if row.id == question_id else row for row in rows]


HARMLESS: dict[str, Edit] = {
    "another order in the file": lambda rows, order: rows[::-1],
    "a question of another split": lambda rows, order: [
        *rows,
        change(rows[0], id="other", split="validation"),
    ],
    "one without an answer": lambda rows, order: [*rows, change(rows[0], id="other", answer=())],
    "what training does not read": lambda rows, order: swap(
        rows, order[0], question_struck="?", dataset="renamed", groups={"scene": "9"}
    ),
    "one that was not drawn is gone": lambda rows, order: [r for r in rows if r.id != order[6]],
    "or has another answer": lambda rows, order: swap(rows, order[6], answer=("B", "C")),
}
HARMFUL: dict[str, tuple[Edit, int, str]] = {
    "gone": (lambda rows, order: [r for r in rows if r.id != order[5]], 5, "is gone"),
    "answer": (lambda rows, order: swap(rows, order[5], answer=("B", "C")), 5, "has other words"),
    "choices": (lambda rows, order: swap(rows, order[0], choices=("a", "b", "c")), 0, "has other"),
    "transcript": (lambda rows, order: swap(rows, order[3], context="else"), 3, "has other"),
    "pair": (lambda rows, order: swap(rows, order[0], groups={"pair": "far"}), 0, "has moved"),
}


@pytest.mark.parametrize("edit", HARMLESS.values(), ids=HARMLESS)
def test_what_the_run_has_not_used_may_change(tmp_path: Path, edit: Edit) -> None:
    past, order = begun(tmp_path, settings(), step=3, position=6)
    assert refusal(past, loaded(tmp_path, edit(QUESTIONS, order), settings()), settings()) is None


@pytest.mark.parametrize(("edit", "place", "words"), HARMFUL.values(), ids=HARMFUL)
def test_what_the_run_has_used_may_not(tmp_path: Path, edit: Edit, place: int, words: str) -> None:
    past, order = begun(tmp_path, settings(), step=3, position=6)
    data = loaded(tmp_path, edit(QUESTIONS, order), settings())
    with pytest.raises(UserError) as refused:
        check_unchanged(past, data, settings())
    assert f"question {order[place]!r} {words}" in str(refused.value)
    assert "up to step 3" in str(refused.value)
    assert refusal(Past(0, 0, past.used), data, settings()) is None  # nothing drawn, nothing used


def test_a_question_that_comes_in_counts_where_it_would_have_been_drawn(tmp_path: Path) -> None:
    past, _ = begun(tmp_path, settings(), step=3, position=6)
    outcomes = set()
    for number in range(20):
        new = change(QUESTIONS[0], id=f"new/{number}")
        data = loaded(tmp_path, [*QUESTIONS, new], settings())
        before = data.train.index(new) < 6
        told = refusal(past, data, settings())
        assert (told is not None) == before
        assert told is None or f"question {new.id!r} has come in" in told
        outcomes.add(before)
    assert outcomes == {True, False}


def test_a_label_that_was_used_may_not_change(tmp_path: Path) -> None:
    def label(which: str, question_id: str = "") -> None:
        rows = [
            Diagnosis(
                question_id=q.id,
                rule="r",
                label=which if q.id == question_id else "observational",  # pyright: ignore[reportArgumentType]
            )
            for q in QUESTIONS
        ]
        write_jsonl(tmp_path / "diagnosis.jsonl", rows)

    label("observational")
    past, order = begun(tmp_path, settings(), step=3, position=6)
    label("inferential", order[6])
    assert refusal(past, loaded(tmp_path, QUESTIONS, settings()), settings()) is None
    label("inferential", order[2])
    told = refusal(past, loaded(tmp_path, QUESTIONS, settings()), settings())
    assert told is not None
    assert f"{order[2]!r} has another label (observational there, inferential here)" in told


def test_the_whole_list_counts_in_a_second_round_and_where_it_is_weighed(tmp_path: Path) -> None:
    for config, position, why in (
        (settings(), 21, "it has gone through the whole list"),
        (settings(sampling="base-failure"), 1, "'base-failure' weighs each question"),
    ):
        past, _ = begun(tmp_path, config, step=1, position=position)
        told = refusal(past, loaded(tmp_path, QUESTIONS[:-1], config), config)
        assert told is not None
        assert f"question {QUESTIONS[-1].id!r} is gone" in told
        assert why in told
        assert refusal(past, loaded(tmp_path, QUESTIONS[::-1], config), config) is None


def test_the_held_out_slice_counts_once_it_was_looked_at(tmp_path: Path) -> None:
    config = settings(eval_steps=2)
    past, _ = begun(tmp_path, config, step=2, position=2)
    held = [row.question_id for row in past.used if row.held_out]
    data = loaded(tmp_path, swap(QUESTIONS, held[0], answer=("B", "C")), config)
    assert "held-out slice" in str(refusal(past, data, config))
    assert refusal(Past(1, 1, past.used), data, config) is None


def test_measured_success_is_kept_for_what_has_not_changed(tmp_path: Path) -> None:
    config = settings(sampling="base-failure")
    past, _ = begun(tmp_path, config, step=0, position=0)
    samples = [
        Sample(question_id=q.id, model="m", protocol="p", verdict="ok") for q in QUESTIONS[:6]
    ]
    write_jsonl(tmp_path / "run/success.jsonl", samples)
    edited = swap(QUESTIONS[1:], QUESTIONS[2].id, answer=("B", "C"))
    record(tmp_path / "run", past, loaded(tmp_path, edited, config))
    kept = [sample.question_id for sample in read_jsonl(tmp_path / "run/success.jsonl", Sample)]
    assert kept == [QUESTIONS[n].id for n in (1, 3, 4, 5)]


def test_what_was_left_out_stays_out_once_the_run_has_a_checkpoint(tmp_path: Path) -> None:
    config = settings()
    data = loaded(tmp_path, QUESTIONS, config)
    record(tmp_path / "run", Past(), replace(data, bad={("a.mp4", (0.0, 1.5)): "is cut off"}))
    assert read_past(tmp_path / "run").left_out == {}
    checkpoint = tmp_path / "run/checkpoints/step-2"
    checkpoint.mkdir()
    (checkpoint / "state.json").write_text('{"step": 2, "position": 4}')
    past = read_past(tmp_path / "run")
    assert (past.step, past.position) == (2, 4)
    assert past.left_out == {("a.mp4", (0.0, 1.5)): "is cut off"}
    (tmp_path / "run/checkpoints/questions.jsonl").unlink()
    with pytest.raises(UserError, match="begun by an older version"):
        check_unchanged(read_past(tmp_path / "run"), data, config)


def test_a_run_whose_list_was_mended_ends_as_if_it_had_always_been_so(
    tmp_path: Path, quick: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = quick | {"eval_steps": 0, "max_steps": 6}  # 18 draws of 20 questions
    folder = tmp_path / "data"
    folder.mkdir()
    order = [q.id for q in loaded(folder, QUESTIONS, settings()).train]
    with dying_at(3), pytest.raises(KeyboardInterrupt):
        train(folder, GrpoConfig(out=tmp_path / "cut", **asked))
    write_jsonl(folder / "questions.jsonl", [q for q in QUESTIONS if q.id != order[8]])
    cut = train(folder, GrpoConfig(out=tmp_path / "cut", **asked))
    said = capsys.readouterr().err.replace("\n", " ")
    assert "1 questions gone" in said
    assert "resumed from" in said
    whole = train(folder, GrpoConfig(out=tmp_path / "whole", **asked))
    assert digest_path(cut) == digest_path(whole)
    train(folder, GrpoConfig(out=tmp_path / "whole", **asked))  # is done already
    write_jsonl(folder / "questions.jsonl", [q for q in QUESTIONS if q.id != order[0]])
    with pytest.raises(UserError, match="holds a run on another list"):
        train(folder, GrpoConfig(out=tmp_path / "whole", **asked))
