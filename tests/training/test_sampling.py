"""Draws: seeded, position by position, in the proportions asked for."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.toy_training import make_question
from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.giveaways import AWAY, REST
from videothinker.records import Sample, write_jsonl
from videothinker.training.data import in_order, load_training_set
from videothinker.training.sampling import (
    curriculum_weights,
    drawn_shares,
    evened,
    failure_weights,
    label_weights,
    mean_success,
    read_success,
    uniform_stream,
    weighted,
    weighted_stream,
    whole_family_stream,
)

QUESTIONS = [make_question(number) for number in range(20)]
IDS = [question.id for question in QUESTIONS]


def test_uniform_shows_every_question_once_an_epoch_in_another_order() -> None:
    draw = uniform_stream(QUESTIONS, seed=0)
    first, second = ([draw(place).id for place in range(k, k + 20)] for k in (0, 20))
    assert sorted(first) == sorted(second) == sorted(IDS)
    assert first != second
    assert draw(0).id == first[0]  # a position can be asked again: a resumed run does
    assert first != [uniform_stream(QUESTIONS, seed=1)(place).id for place in range(20)]


def test_a_subset_keeps_the_order() -> None:
    """The three stages read the questions they share in the same order."""
    whole = [question.id for question in in_order(QUESTIONS, 3, 0)]
    half = [question.id for question in in_order(QUESTIONS[::2], 3, 0)]
    assert half == [question_id for question_id in whole if question_id in half]


def test_weighted_draws_follow_their_weights() -> None:
    weights = [1.0] * 10 + [3.0] * 10
    draw = weighted_stream(QUESTIONS, weights, seed=0)
    counts = Counter(draw(place).id for place in range(4000))
    heavy = sum(counts[question_id] for question_id in IDS[10:])
    assert heavy / 4000 == pytest.approx(0.75, abs=0.03)  # 4 standard errors
    assert min(counts.values()) > 20


def test_families_are_drawn_whole_and_each_question_as_often_as_alone() -> None:
    """Ten single questions, five families of two; the second of a family weighs three times."""
    families = [str(place // 2) if place < 10 else None for place in range(20)]
    questions = [
        msgspec.structs.replace(one, groups={"family": family} if family else {})
        for one, family in zip(QUESTIONS, families, strict=True)
    ]
    weights = [1.0, 3.0] * 5 + [2.0] * 10
    draw = whole_family_stream(questions, weights, seed=0)
    ids = [draw(place).id for place in range(6000)]
    first = [question_id for question_id in ids if question_id in IDS[:10:2]]
    assert all(
        ids[k + 1] == IDS[IDS.index(ids[k]) + 1] for k in range(5999) if ids[k] in IDS[:10:2]
    )
    assert [whole_family_stream(questions, weights, seed=0)(k).id for k in (9, 2)] == [
        ids[9],
        ids[2],
    ]
    assert len(first) / 6000 == pytest.approx(0.25, abs=0.03)
    alone = Counter(weighted_stream(questions, weights, seed=0)(k).id for k in range(4000))
    together = sum(alone[question_id] for question_id in IDS[:10]) / 4000
    assert 2 * len(first) / 6000 == pytest.approx(together, abs=0.04)
    assert evened(questions, weights) == [2.0] * 20


def test_whole_families_change_the_labels_shares_and_keep_no_share_of_labels(toy: Path) -> None:
    """The told shares are those drawn; `label` could not keep its promise."""
    config = GrpoConfig(
        model="m", out=toy, sampling="base-failure", whole_families=True, seed=2, eval_steps=0
    )
    labels = ["inferential", "observational"] * 10
    questions = [
        msgspec.structs.replace(one, groups={"family": str(place // 2)})
        for place, one in enumerate(QUESTIONS)
    ]
    weights = [3.0, 1.0] * 10
    assert drawn_shares(evened(questions, weights), labels)["inferential"] == 0.5
    draw = weighted(questions, weights, config)
    drawn = [labels[IDS.index(draw(place).id)] for place in range(200)]
    assert drawn.count("inferential") == 100
    for kind, share in (("uniform", None), ("label", 0.5)):
        with pytest.raises(UserError, match=f"whole_families is True.*{kind}"):
            GrpoConfig(
                model="m", out=toy, sampling=kind, inferential_share=share, whole_families=True
            )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 5), min_size=20, max_size=20), st.integers(0, 1000))
def test_what_has_no_weight_is_never_drawn(weights: list[float], position: int) -> None:
    weights[7] = 0.0
    weights[3] = 1.0
    drawn = weighted_stream(QUESTIONS, weights, seed=0)(position)
    assert weights[IDS.index(drawn.id)] > 0


def test_failure_weights_by_hand() -> None:
    success = {"a": 1.0, "b": 0.25}
    assert failure_weights(success, ["a", "b"], 0.2) == pytest.approx([0.2, 0.95])


def test_a_curriculum_draws_most_what_is_right_every_other_time() -> None:
    success = {"a": 1.0, "b": 0.5, "c": 0.25, "d": 0.0}
    assert curriculum_weights(success, list(success), 0.1) == pytest.approx([0.1, 1.1, 0.85, 0.1])


def test_label_weights_reach_the_share_whatever_the_counts() -> None:
    labels = ["observational"] * 17 + ["inferential"] * 3
    weights = label_weights(labels, 0.6)
    assert sum(weights[17:]) == pytest.approx(0.6)
    assert sum(weights) == pytest.approx(1)
    assert label_weights(labels, 1.0)[0] == 0
    with pytest.raises(UserError, match="0.6 inferential questions"):
        label_weights(["observational"] * 4, 0.6)


def sample(question_id: str, exact: float, model: str = "m") -> Sample:
    return Sample(question_id=question_id, model=model, protocol="p", verdict="ok", exact=exact)


def test_success_is_the_share_of_exactly_right_answers() -> None:
    rows = [sample("a", 1.0), sample("a", 0.0), sample("b", 0.0)]
    assert mean_success(rows) == {"a": 0.5, "b": 0.0}


def test_success_of_another_model_or_without_a_question_is_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "s.jsonl", [sample(IDS[0], 1.0)])
    assert read_success(path, QUESTIONS[:1], "m") == {IDS[0]: 1.0}
    with pytest.raises(UserError, match="another model"):
        read_success(path, QUESTIONS[:1], "n")
    with pytest.raises(UserError, match=r"lacks 1 of the training questions \('toy/train/001'"):
        read_success(path, QUESTIONS[:2], "m")


def config(kind: type[Any], **changes: Any) -> Any:
    return kind(model="m", out=Path("o"), **changes)


def test_the_training_set_is_a_seeded_draw_with_a_slice_held_out(toy: Path) -> None:
    settings = {"train_questions": 20, "eval_questions": 4}
    drawn = load_training_set(toy, config(GrpoConfig, **settings))
    assert len(drawn.train) == 20
    assert not {q.id for q in drawn.train} & {q.id for q in drawn.validation}
    assert [drawn.labels[q.id] for q in drawn.validation] == ["observational"] * 2 + [
        "inferential"
    ] * 2
    hard = [f"toy/train/{number:03d}" for number in range(0, 60, 4)]
    assert drawn.parts == dict(zip(hard, itertools.cycle((REST, AWAY)), strict=False))
    again = load_training_set(toy, config(GrpoConfig, **settings))
    assert again == drawn
    other = load_training_set(toy, config(GrpoConfig, seed=1, **settings))
    assert [q.id for q in other.train] != [q.id for q in drawn.train]
    assert drawn.composition()["labels"] == {"inferential": 4, "observational": 16}


def test_questions_that_are_only_audited_have_no_bias_set(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "questions.jsonl", QUESTIONS)
    (tmp_path / "audit.jsonl").write_text("")
    with pytest.raises(UserError, match="not labelled.* bias.jsonl"):
        load_training_set(tmp_path, config(BiasConfig))
    assert load_training_set(tmp_path, config(GrpoConfig)).labels == {}


def test_bias_trains_on_struck_questions_and_as_is_on_whole_ones(toy: Path) -> None:
    struck = load_training_set(toy, config(BiasConfig))
    whole = load_training_set(toy, config(BiasConfig, as_is=True))
    assert {q.question for q in struck.train} == {"Which event?"}
    assert all(q.question.startswith("Without the") for q in whole.train)
    assert [q.id for q in struck.train] == [q.id for q in whole.train]
    assert set(struck.composition()["labels"]) == {"observational"}  # pyright: ignore[reportArgumentType]


def test_only_training_questions_with_an_answer_are_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        QUESTIONS[0],
        msgspec.structs.replace(QUESTIONS[1], split="validation"),
        msgspec.structs.replace(QUESTIONS[2], answer=()),
    ]
    write_jsonl(tmp_path / "questions.jsonl", rows)
    drawn = load_training_set(tmp_path, config(GrpoConfig))
    assert [q.id for q in drawn.train] == [IDS[0]]
    assert drawn.unanswerable == 1
    said = capsys.readouterr().err
    assert "left out: 1 questions of split validation" in said
    assert "left out: 1 questions without a right answer" in said
    assert drawn.composition()["labels"] == {"unlabelled": 1}
    write_jsonl(tmp_path / "questions.jsonl", rows[2:])
    with pytest.raises(UserError, match="no training question with an answer"):
        load_training_set(tmp_path, config(GrpoConfig))
    seen = msgspec.structs.replace(QUESTIONS[1], context=None, video="a.mp4")
    write_jsonl(tmp_path / "questions.jsonl", [QUESTIONS[0], seen])
    with pytest.raises(UserError, match=r"1 with a transcript .* 1 with a video"):
        load_training_set(tmp_path, config(GrpoConfig))


def test_training_on_another_split_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(
        tmp_path / "questions.jsonl",
        [msgspec.structs.replace(question, split="validation") for question in QUESTIONS],
    )
    drawn = load_training_set(tmp_path, config(GrpoConfig))
    said = " ".join(capsys.readouterr().err.split())
    assert "warning" in said
    assert "so validation is trained on" in said
    assert drawn.composition()["splits"] == {"validation": len(drawn.train)}


def test_the_shares_that_will_be_drawn_are_those_of_a_long_stream() -> None:
    labels = ["inferential" if number % 10 == 0 else "observational" for number in range(20)]
    label_of = dict(zip(IDS, labels, strict=True))
    success = {i: 0.1 if label == "inferential" else 0.9 for i, label in label_of.items()}
    weights = failure_weights(success, IDS, 0.05)
    told = drawn_shares(weights, labels)
    assert told["inferential"] == pytest.approx(0.95 / (0.95 + 9 * 0.15))
    assert sum(told.values()) == pytest.approx(1)
    draw = weighted_stream(QUESTIONS, weights, seed=3)
    drawn = [label_of[draw(position).id] for position in range(4000)]
    assert drawn.count("inferential") / 4000 == pytest.approx(told["inferential"], abs=0.03)
