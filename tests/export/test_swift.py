"""`export --to ms-swift`: the data in the run's order, the settings, the command."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.answering_toys import ask_about, write_video
from videothinker import cli
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.export.swift import stream
from videothinker.export.swift_settings import COLUMN, to_config, to_settings
from videothinker.prompts import render
from videothinker.records import Diagnosis, Question, Sample, write_jsonl
from videothinker.runs import digest_path
from videothinker.training.data import load_training_set
from videothinker.training.sampling import (
    curriculum_weights,
    failure_weights,
    uniform_stream,
    weighted_stream,
)

STEPS, PROMPTS = 6, 2


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "sampling": "uniform",
        "max_steps": STEPS,
        "prompts_per_step": PROMPTS,
        "eval_steps": 0,
        "seed": 3,
    } | changes


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A diagnose folder of eight questions about two videos, one of them a clip."""
    folder = tmp_path / "diagnosed"
    folder.mkdir()
    for number in range(2):
        write_video(folder / f"{number}.mp4", number)
    questions = [
        ask_about(n, f"{n % 2}.mp4", split="train", clip=(0.5, 1.5) if n == 3 else None)
        for n in range(8)
    ]
    write_jsonl(folder / "questions.jsonl", questions)
    labels = ["inferential" if n % 2 else "observational" for n in range(8)]
    write_jsonl(
        folder / "diagnosis.jsonl",
        [
            Diagnosis(question_id=q.id, rule="same_truth", label=label)
            for q, label in zip(questions, labels, strict=True)
        ],
    )
    return folder


def export(data: Path, recipe: dict[str, Any], *words: str) -> Path:
    path, out = data.parent / "recipe.yaml", data.parent / "out"
    path.write_text(yaml.safe_dump(recipe))
    given = ["--to", "ms-swift", "--data", str(data), "--recipe", str(path), "--model", "a/base"]
    assert cli.main(["export", *given, "--out", str(out), *words]) == 0
    return out


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]


def flags_of(out: Path) -> dict[str, str]:
    words = shlex.split((out / "run.sh").read_text().replace("\\\n", " "), comments=True)
    return {w: v for w, v in pairwise(words) if w.startswith("--")}


def test_the_data_is_the_runs_own_order(data: Path) -> None:
    out = export(data, settings(), "--bias", "a/bias")
    config = CdpoConfig(model="a/base", bias="a/bias", out=out, **settings())
    draw = uniform_stream(load_training_set(data, config).train, 3)
    drawn = [draw(position) for position in range(STEPS * PROMPTS)]
    rows = rows_of(out)
    assert [row[COLUMN]["question_id"] for row in rows] == [q.id for q in drawn]
    first, question = rows[0], drawn[0]
    words = render(question.question, question.choices)
    assert first["messages"] == [{"role": "user", "content": f"<video>{words}"}]
    assert first["videos"] == [str((data / str(question.video)).resolve())]
    assert first[COLUMN]["answer"] == ["A", "C"]
    shown = {q.id: row["chat_template_kwargs"] for q, row in zip(drawn, rows, strict=True)}
    assert shown["toy/3"]["video_start"] == 0.5
    assert shown["toy/0"]["max_frames"] == config.frames
    assert shown["toy/0"]["max_pixels"] == config.max_pixels


@pytest.mark.parametrize(
    ("sampling", "right_of_hard", "weigh"),
    [("bias-failure", 0.0, failure_weights), ("curriculum", 0.5, curriculum_weights)],
)
def test_the_samplings_weights_are_in_the_data(
    data: Path, sampling: str, right_of_hard: float, weigh: Callable[..., list[float]]
) -> None:
    ids = [f"toy/{n}" for n in range(8)]
    right = {name: 1.0 if n < 6 else right_of_hard for n, name in enumerate(ids)}
    samples = [
        Sample(question_id=n, model="m", protocol="training", verdict="ok", exact=right[n])
        for n in ids
    ]
    write_jsonl(data / "success.jsonl", samples)
    recipe = settings(sampling=sampling, sampling_floor=0.01, max_steps=50)
    bias = "a/bias" if sampling == "bias-failure" else None
    words = (
        "--algorithm",
        "grpo",
        *(("--bias", bias) if bias else ()),
        "--success",
        str(data / "success.jsonl"),
    )
    rows = rows_of(export(data, recipe, *words))
    config = GrpoConfig(model="a/base", bias=bias, out=data, **recipe)
    questions = load_training_set(data, config).train
    weights = weigh(right, [q.id for q in questions], 0.01)
    draw = weighted_stream(questions, weights, 3)
    assert [r[COLUMN]["question_id"] for r in rows] == [draw(i).id for i in range(100)]
    hard = sum(row[COLUMN]["question_id"] in ("toy/6", "toy/7") for row in rows)
    assert hard > 85  # 2 * 1.01 of 2.08 in all


def test_answers_of_another_bias_model_are_refused(data: Path, tmp_path: Path) -> None:
    """By the run beside them."""
    recipe = settings(sampling="bias-failure")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": name}))
    run = tmp_path / "run"
    run.mkdir()
    record = {"stage": "train_grpo", "inputs": {"bias": digest_path(tmp_path / "one")}}
    record["config"] = {"sampling": "bias-failure"}
    (run / "run.json").write_text(json.dumps(record))
    samples = [
        Sample(question_id=f"toy/{n}", model="m", protocol="training", verdict="ok", exact=0.0)
        for n in range(8)
    ]
    success = write_jsonl(run / "success.jsonl", samples)
    words = ["--algorithm", "grpo", "--success", str(success), "--bias"]
    assert rows_of(export(data, recipe, *words, str(tmp_path / "one")))
    config = GrpoConfig(
        model="m", bias=str(tmp_path / "other"), out=data, success=success, **recipe
    )
    with pytest.raises(UserError, match="another model than .*other"):
        stream(load_training_set(data, config), config)
    record["config"] = {"sampling": "curriculum"}  # the policy's own answers
    (run / "run.json").write_text(json.dumps(record))
    by_one = replace(config, bias=str(tmp_path / "one"))
    with pytest.raises(UserError, match="another model than .*one"):
        stream(load_training_set(data, by_one), by_one)
    write_jsonl(success, [])
    with pytest.raises(UserError, match="holds no answers"):
        stream(load_training_set(data, config), config)


def test_the_command_says_what_the_recipe_does(data: Path) -> None:
    recipe = settings(
        repulsion=0.2, learning_rate=3e-6, loss_type="dapo", epsilon_high=0.3,
        gradient_checkpointing=False,
    )  # fmt: skip
    out = export(data, recipe, "--bias", "a/bias")
    flags = flags_of(out)
    wanted = {
        "--model": "a/base", "--ref_model": "a/bias", "--beta": "-0.2", "--loss_type": "dapo",
        "--epsilon_high": "0.3", "--learning_rate": "3e-06", "--max_steps": "6",
        "--dataset_shuffle": "false", "--freeze_vit": "false", "--adam_beta2": "0.999",
        "--torch_dtype": "bfloat16", "--deepspeed": "zero2",
        "--reward_funcs": "videothinker_soft_accuracy",
    }  # fmt: skip
    assert {name: flags[name] for name in wanted} == wanted
    kept = to_config(json.loads((out / "settings.json").read_text()))
    assert kept == CdpoConfig(model="a/base", bias="a/bias", out=out, **recipe)
    grpo = GrpoConfig(model="m", out=Path("o"), reward_weights=(1.0, 0.5), data_root=Path("d"))
    assert to_config(json.loads(json.dumps(to_settings(grpo)))) == grpo


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({"divergence_in": "reward"}, "cannot follow: divergence_in 'reward'"),
        ({"scale_rewards": "type"}, "cannot follow: scale_rewards 'type'"),
        ({"lora_rank": 8}, "cannot follow: lora_rank with a bias model"),
        ({"beta": 0.01}, "`beta: 0.01` is TRL's name"),
        ({"max_steps": "many"}, "recipe.yaml: max_steps is 'many', which"),
        ({"freeze_vision": "perhaps"}, "recipe.yaml: Unrecognized options: perhaps;"),
        ({"epsilon": 3}, "epsilon is 3.0; allowed is between 0 and 1"),
        ({"sampling": "base-failure"}, "give its --success RUN/success.jsonl"),
    ],
)
def test_what_ms_swift_would_not_do_is_refused(
    data: Path, capsys: Any, recipe: dict[str, Any], says: str
) -> None:
    path = data.parent / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    given = ["--to", "ms-swift", "--data", str(data), "--recipe", str(path), "--model", "m/m"]
    given += ["--bias", "b/b", "--out", str(data.parent / "o")]
    assert cli.main(["export", *given]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert says in told


def test_one_of_two_things_is_exported(capsys: Any) -> None:
    assert cli.main(["export", "--out", "x"]) == 2
    assert "give one of --merge ADAPTER and --to" in capsys.readouterr().err
    assert cli.main(["export", "--out", "x", "--to", "ms-swift"]) == 2
    assert "no --data came" in capsys.readouterr().err


def test_a_folder_of_images_is_refused(data: Path, capsys: Any) -> None:
    (data / "0.mp4").unlink()
    (data / "0.mp4").mkdir()
    recipe = data.parent / "images.yaml"
    recipe.write_text("sampling: uniform")
    given = ["--to", "ms-swift", "--data", str(data), "--model", "m/m", "--bias", "b/b"]
    given += ["--recipe", str(recipe)]
    assert cli.main(["export", *given, "--out", str(data.parent / "o")]) == 2
    assert "is a folder of images" in capsys.readouterr().err


def test_transcripts_go_without_videos(data: Path) -> None:
    told = [
        Question(
            id=f"t/{n}", dataset="t", split="train", context=f"frame {n}: it moves",
            question="What?", choices=("a", "b"), answer=("A",), type="x",
        )
        for n in range(4)
    ]  # fmt: skip
    (data / "diagnosis.jsonl").unlink()
    write_jsonl(data / "questions.jsonl", told)
    row = rows_of(export(data, settings(), "--algorithm", "grpo"))[0]
    assert "videos" not in row
    assert ": it moves" in row["messages"][0]["content"]


def test_the_questions_kept_out_are_told(data: Path, capsys: Any) -> None:
    (data / "diagnosis.jsonl").unlink()
    listed = [ask_about(n, f"{n % 2}.mp4", split="train") for n in range(20)]
    write_jsonl(data / "questions.jsonl", listed)
    out = export(data, settings(eval_steps=2), "--bias", "a/bias")
    assert "kept out of them" in " ".join(capsys.readouterr().err.split())
    held_out = json.loads((out / "run.json").read_text())["facts"]["held_out"]
    assert len(held_out) == 2
    assert not {row[COLUMN]["question_id"] for row in rows_of(out)} & set(held_out)
