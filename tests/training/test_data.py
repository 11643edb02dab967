"""Training on a list in another shape than ours, and on a bias set that chance has made."""

import json
from collections import Counter

import pytest

from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.records import Question, write_jsonl
from videothinker.training.data import load_training_set


def test_a_video_r1_list_is_trained_on_as_it_comes(tmp_path, capsys):
    path, videos = tmp_path / "list.json", tmp_path / "videos"
    videos.mkdir()
    (videos / "a.mp4").touch()
    row = {"problem": "Which?", "options": ["A. left", "B. right"], "path": "/old/a.mp4"}
    path.write_text(json.dumps([row | {"solution": "<answer>B</answer>", "problem_id": 7}]))
    settings = {"model": "m", "out": tmp_path / "out", "data_root": videos, "eval_steps": 0}
    with pytest.raises(UserError, match="'old/' .* ''.*--accept-guesses"):
        load_training_set(path, GrpoConfig(**settings))
    (only,) = load_training_set(path, GrpoConfig(**settings, accept_guesses=True)).train
    assert (only.id, only.video, only.choices, only.answer) == (
        "7", "a.mp4", ("left", "right"), ("B",),
    )  # fmt: skip
    assert "no question belongs to the split 'train'" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("splits", "trained"),
    [(("training", "Test"), 1), (("TRAIN", "dev"), 1), (("one",), 1), (("one", "test"), 0)],
)
def test_of_several_splits_one_must_be_that_to_train_on(tmp_path, splits, trained):
    rows = [{"question": f"{s}?", "options": ["a", "b"], "answer": "A", "split": s} for s in splits]
    path = tmp_path / "list.json"
    path.write_text(json.dumps([row | {"context": "seen"} for row in rows]))
    settings = GrpoConfig(model="m", out=tmp_path / "out", eval_steps=0)
    if trained:
        assert [q.question for q in load_training_set(path, settings).train] == [f"{splits[0]}?"]
        return
    with pytest.raises(UserError, match="it has one, test"):
        load_training_set(path, settings)


@pytest.mark.parametrize("at_chance", [False, True])
def test_a_bias_set_of_a_model_at_chance_is_warned_of(tmp_path, capsys, at_chance):
    names = ("questions.jsonl", "bias_as_is.jsonl", "minimal_pairs.jsonl")
    only = Question(
        id="1", dataset="d", split="train", context="seen", question="Which?",
        choices=("a", "b"), answer=("A",), type="t",
    )  # fmt: skip
    for name in names:
        write_jsonl(tmp_path / name, [only])
    told = {"stage": "diagnose", "facts": {"at_chance": at_chance}}
    (tmp_path / "run.json").write_text(json.dumps(told))
    given = {"model": "m", "out": tmp_path / "out"}
    load_training_set(tmp_path, GrpoConfig(**given))
    load_training_set(tmp_path / names[2], BiasConfig(**given, as_is=True))
    assert "guess" not in capsys.readouterr().err
    load_training_set(tmp_path, BiasConfig(**given, as_is=True))
    assert ("guess" in capsys.readouterr().err) == at_chance


def test_what_was_evaluated_is_no_training_data(tmp_path):
    write_jsonl(tmp_path / "questions.jsonl", [])
    told = {"stage": "evaluate", "facts": {"data": "/lists/diagnosis"}}
    (tmp_path / "run.json").write_text(json.dumps(told))
    for data in (tmp_path, tmp_path / "questions.jsonl"):
        with pytest.raises(UserError, match="evaluate.*/lists/diagnosis"):
            load_training_set(data, GrpoConfig(model="m", out=tmp_path / "out"))


def test_whole_families_are_drawn_and_held_out_whole(tmp_path):
    def asked(number: int, split: str = "train") -> Question:
        groups = {"family": f"f{number // 2}"} if number < 60 else {}
        return Question(
            id=str(number), dataset="toy", split=split, context="seen", question=f"What, {number}?",
            choices=("a", "b"), answer=("A",), type="toy", groups=groups,
        )  # fmt: skip

    path = tmp_path / "questions.jsonl"
    write_jsonl(path, [asked(number) for number in range(81)])
    settings = {"model": "m", "out": tmp_path / "o", "eval_steps": 1, "eval_questions": 8}
    drawn = {"sampling": "base-failure", "train_questions": 31, **settings}
    for whole in (True, False):
        found = load_training_set(path, GrpoConfig(**drawn, whole_families=whole))
        assert len(found.train) == 31
        assert len(found.validation) == 8
        train, held = (
            Counter(q.groups["family"] for q in some if q.groups)
            for some in (found.train, found.validation)
        )
        assert (set(train.values()) | set(held.values()) == {2}) == whole
        assert train.keys().isdisjoint(held) == whole
