"""docs/your_data.md, block by block, as a reader would paste it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.docs_blocks import blocks, toy_model
from tests.docs.warm_commands import warm_commands
from videothinker.records import Diagnosis, Question, Sample, read_jsonl


@pytest.mark.slow
def test_the_page_on_your_own_data_runs_as_it_stands(tmp_path: Path) -> None:
    model = toy_model(tmp_path / "base")
    work = tmp_path / "work"
    work.mkdir()
    with warm_commands() as env:
        for language, code in blocks("your_data.md", "python", "bash"):
            words = [sys.executable, "-c", code] if language == "python" else ["bash", "-euc", code]
            done = subprocess.run(
                words,
                cwd=work,
                env=env | {"MODEL": str(model)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    ((_, line),) = blocks("your_data.md", "json")
    assert (work / "mydata" / "questions.jsonl").read_text().splitlines()[0] == line.strip()
    questions = read_jsonl(work / "runs" / "diagnosis" / "questions.jsonl", Question)
    labels = read_jsonl(work / "runs" / "diagnosis" / "diagnosis.jsonl", Diagnosis)
    assert len(questions) == len(labels) == 24
    assert {label.label for label in labels} & {"observational", "inferential"}
    samples = read_jsonl(work / "runs" / "evaluate-cdpo" / "samples.jsonl", Sample)
    assert {s.question_id for s in samples} == {q.id for q in questions if q.split == "test"}
    text = (work / "report.html").read_text()
    assert "Underpowered, n = " in text
    assert text.count('class="fold"') > 5


def test_the_quick_starts_first_stages_run_as_they_stand(tmp_path: Path) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    for _, code in blocks("quickstart.md", "bash"):
        subprocess.run(["bash", "-euc", code], cwd=tmp_path, env=env, check=True)
    assert "can be answered by describing the video" in (tmp_path / "diagnosis.html").read_text()
