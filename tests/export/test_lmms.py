"""`export --to lmms-eval`: its scores on stored answers are those of our own evaluation."""

import json
import re
import sys
from collections import defaultdict
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml

from tests.answering_toys import ask_about, write_video
from videothinker import answers, cli
from videothinker.benchmarks import jsonl
from videothinker.evaluation.summary import summarise
from videothinker.prompts import render
from videothinker.records import Diagnosis, Evidence, Question, Sample, write_jsonl

TEXTS = (
    "<think>So.</think><answer>A, C</answer>",
    "<answer>A,C</answer>",
    "<think>So.</think><answer>B</answer>",
    "<answer>A</answer> or <answer>C</answer>",
    "A, C",
    "<think>cut off in the middle",
    "<think>A</think><answer>(A) and (C)</answer>",
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "diagnosed"
    folder.mkdir()
    write_video(folder / "a.mp4", 0)
    questions = [ask_about(n, "a.mp4") for n in range(14)]
    write_jsonl(folder / "questions.jsonl", questions)
    labels = ("inferential", "inferential", "observational", "excluded")
    write_jsonl(
        folder / "diagnosis.jsonl",
        [
            Diagnosis(
                question_id=q.id,
                rule="same_truth",
                label=labels[n % 4],
                evidence=Evidence(truth_video=(True, n % 3 == 0)),
            )
            for n, q in enumerate(questions)
        ],
    )
    return folder


def load_utils(folder: Path) -> Any:
    """As lmms-eval loads what `!function` names."""
    spec = spec_from_file_location("utils", folder / "utils.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop("utils", None)
    return module


def read_task(path: Path) -> dict[str, Any]:
    """The YAML, with `!function x` as the text x."""
    return yaml.safe_load(re.sub(r"!function (\S+)", r"\1", path.read_text()))


def test_scores_are_ours_by_label(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a task"
    assert cli.main(["export", "--to", "lmms-eval", "--data", str(data), "--out", str(out)]) == 0
    assert f"--include_path '{out}' --tasks" in capsys.readouterr().err
    task = read_task(out / "videothinker_toy_validation.yaml")
    utils = load_utils(out)
    written = Path(task["dataset_kwargs"]["data_files"]["test"]).read_text()
    rows = [json.loads(line) for line in written.splitlines()]
    assert len(rows) == 11  # those that the diagnosis does not exclude
    assert utils.doc_to_visual(rows[0]) == [str((data / "a.mp4").resolve())]
    questions = [ask_about(n, "a.mp4") for n in range(14) if n % 4 != 3]
    assert utils.doc_to_text(rows[0]) == render(questions[0].question, questions[0].choices)
    texts = {q.id: TEXTS[n % len(TEXTS)] for n, q in enumerate(questions)}
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for metric, value in utils.process_results(row, [texts[row["question_id"]]]).items():
            found[metric].append(value)
    named = [metric["metric"] for metric in task["metric_list"]]
    assert all(metric["aggregation"] == "mean" for metric in task["metric_list"])
    assert sorted(found) == sorted(named)
    ours = {line["group"]: line["exact"] for line in summary(data, questions, texts)["lines"]}
    for metric, group in {
        "exact": "all",
        "observational": "observational",
        "inferential": "inferential",
        "inferential_give_aways": "inferential, give-aways",
        "inferential_the_rest": "inferential, the rest",
    }.items():
        assert (len(found[metric]), fmean(found[metric])) == (
            ours[group]["n"],
            pytest.approx(ours[group]["value"]),
        )
    assert 0 < fmean(found["exact"]) < 1


def summary(data: Path, questions: list[Question], texts: dict[str, str]) -> dict[str, Any]:
    """Our own evaluation of the same answers."""
    samples = []
    for q in questions:
        cut = texts[q.id].endswith("middle")
        said = answers.parse(texts[q.id], q.choices, truncated=cut)
        right = answers.exact(said.answer, q.answer)
        samples.append(
            Sample(question_id=q.id, model="m", protocol="p", verdict=said.verdict, exact=right)
        )
    labels = {row.question_id: row for row in jsonl.labels(data)}
    return summarise(questions, samples, labels, (), several=True)


def test_a_set_without_labels_or_videos_is_refused(data: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["export", "--to", "lmms-eval", "--data", str(data), "--out", str(tmp_path / "task")]
    (data / "a.mp4").unlink()
    assert cli.main(words) == 2
    assert "of 11 questions" in capsys.readouterr().err
    write_video(data.parent / "private.mp4", 0)
    (data / "a.mp4").symlink_to(data.parent / "private.mp4")
    assert cli.main([*words[:-1], str(tmp_path / "third")]) == 2
    assert "of 11 questions" in capsys.readouterr().err
    (data / "diagnosis.jsonl").unlink()
    assert cli.main([*words[:-1], str(tmp_path / "other")]) == 2
    assert "no question is labelled" in capsys.readouterr().err
