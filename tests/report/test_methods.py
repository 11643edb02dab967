"""Which runs are one method, and what the methods and boards are called."""

import dataclasses
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.report.report_runs import (
    copied,
    evaluate_run,
    train_run,
)
from videothinker.errors import UserError
from videothinker.records import Question, read_jsonl, write_jsonl
from videothinker.report.methods import find_metadata
from videothinker.report.results import read_boards
from videothinker.report.sources import read_runs
from videothinker.report.tables import sheets
from videothinker.run_file import SIMULATED


def test_methods_of_one_kind_are_told_apart_by_what_differs(
    made_runs: list[Path], tmp_path: Path
) -> None:
    runs = copied(made_runs, tmp_path)
    held = tmp_path / "diagnose-validation"
    for seed in (0, 1):
        settings = {"divergence": "js", "repulsion": 0.3, "bias": str(tmp_path / "pretrain")}
        other = train_run(tmp_path, "train-cdpo", seed, **settings)
        points = {"observational": 0.9, "inferential": 0.5}
        name = f"js-seed{seed}"
        runs += [other, evaluate_run(tmp_path, held, other / "model", accuracy=points, name=name)]
    (board,) = read_boards(read_runs(runs))
    assert [method.name for method in board.methods] == [
        *("Base", "GRPO"),
        "CDPO (divergence k3, repels bias model, repulsion 0.01)",
        "CDPO (divergence js, repels base, repulsion 0.3)",
    ]
    assert [len(method.evaluations) for method in board.methods] == [1, 2, 2, 2]
    every = [s.id for s in sheets([board], "all")]
    assert every == ["main", "diagnostic", "ablation"]
    assert [s.id for s in sheets([board], "ablation")] == ["ablation"]
    clevrer = dataclasses.replace(board, dataset="clevrer")
    assert [s.id for s in sheets([clevrer], "ablation")] == ["ablation", "published"]


def test_a_model_that_cannot_be_seen_from_here_is_that_of_the_run_whose_path_ends_alike(
    tmp_path: Path,
) -> None:
    """Not of the first whose folder has its name."""
    made: list[Path] = []
    for seed in (1, 2):
        (tmp_path / f"s{seed}").mkdir()
        run = train_run(tmp_path / f"s{seed}", "train-grpo", seed)
        made.append(run.rename(run.with_name("grpo")))
    runs = read_runs(made)
    for place in ("s2/grpo", "s2/grpo/model", "elsewhere/s2/grpo/checkpoints/step-4"):
        found = find_metadata(place, runs)
        assert found is not None
        assert found.seed == 2
    assert find_metadata("s2/other/model", runs) is None
    with pytest.raises(UserError, match="s1/grpo or .*s2/grpo"):
        find_metadata("grpo/model", runs)


def test_models_trained_on_other_data_are_other_methods(
    made_runs: list[Path], tmp_path: Path
) -> None:
    runs = copied(made_runs, tmp_path)
    for name, data in (("train-grpo-seed0", "f" * 64), ("train-grpo-seed1", "0" * 64)):
        digest = json.loads((tmp_path / name / "run.json").read_text())
        digest["inputs"]["data"] = data
        (tmp_path / name / "run.json").write_text(json.dumps(digest))
    for run in runs:
        run_json = run / "run.json"
        run_json.write_text(run_json.read_text().replace(str(made_runs[0].parent), str(tmp_path)))
    (board,) = read_boards(read_runs(runs))
    called = [method.name for method in board.methods]
    assert called == ["Base", "GRPO (data ffffffff)", "GRPO (data 00000000)", "CDPO"]


def test_a_simulated_world_is_not_called_clevrer(made_runs: list[Path], tmp_path: Path) -> None:
    runs = copied(made_runs, tmp_path)
    root = runs[0].parent
    (root / "run.json").write_text('{"stage": "world"}')
    for run in runs:
        run_json = run / "run.json"
        run_json.write_text(run_json.read_text().replace(str(made_runs[0].parent), str(root)))
    (board,) = read_boards(read_runs(runs))
    assert board.title == "simulated world validation · protocol demo · video tier"
    (sheet,) = sheets([board], "diagnostic")
    paper = next(line for line in sheet.lines if line.name == "Qwen2.5-VL-GRPO (1K RL)")
    assert [cell.value for cell in paper.cells[:2]] == ["76.4", "63.1"]


def test_a_set_asked_at_home_and_from_a_published_copy_is_one_set(
    made_runs: list[Path], tmp_path: Path
) -> None:
    """At home they say CLEVRER, whose layout they have; a copy says what they are."""
    runs = copied(made_runs, tmp_path)
    evaluated = [run for run in runs if run.name.startswith("evaluate-")]
    for run in evaluated:
        told = json.loads((run / "run.json").read_text())
        told["facts"]["simulated"] = True
        (run / "run.json").write_text(json.dumps(told))
    listed = evaluated[0] / "questions.jsonl"
    questions = read_jsonl(listed, Question)
    write_jsonl(listed, [replace(question, dataset=SIMULATED) for question in questions])
    (board,) = read_boards(read_runs(runs))
    assert sum(len(method.evaluations) for method in board.methods) == len(evaluated) > 1
