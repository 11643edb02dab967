"""docs/your_data.md, block by block, as a reader would paste it."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.docs.docs_blocks import blocks, toy_model
from tests.warm import Warm
from videothinker.records import Diagnosis, Question, Sample, read_jsonl

NO_MORE: Mapping[str, str] = MappingProxyType({})
MANY, FEW = "--scenes 20 --validation-scenes 10", "--scenes 6 --validation-scenes 3"
"""A scene takes a quarter second."""


@pytest.mark.slow
def test_the_page_on_your_own_data_runs_as_it_stands(warm: Warm, tmp_path: Path) -> None:
    model = toy_model(tmp_path / "base")
    work = tmp_path / "work"
    work.mkdir()
    for language, code in blocks("your_data.md", "python", "bash"):
        paste(warm, language, code, cwd=work, env={"MODEL": str(model)})
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


def test_the_quick_starts_first_stages_run_as_they_stand(warm: Warm, tmp_path: Path) -> None:
    ((language, code),) = blocks("quickstart.md", "bash")
    assert MANY in code
    paste(warm, language, code.replace(MANY, FEW), cwd=tmp_path)
    assert "can be answered by describing the video" in (tmp_path / "diagnosis.html").read_text()


def paste(
    warm: Warm, language: str, code: str, *, cwd: Path, env: Mapping[str, str] = NO_MORE
) -> None:
    """Run a block as a reader would; in it every command must succeed."""
    if language == "python":
        done = warm.run("-c", code, cwd=cwd, env=env)
    else:
        done = subprocess.run(
            ["bash", "-euc", code],
            cwd=cwd, env=warm.environment | dict(env), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
