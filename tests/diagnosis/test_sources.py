"""No question of a list is left out of a diagnosis without a word."""

from pathlib import Path

from videothinker.diagnosis.config import DiagnoseConfig
from videothinker.diagnosis.sources import Source, read_list, read_source
from videothinker.diagnosis.summary import lines, summarise
from videothinker.records import Diagnosis, Question, write_jsonl


def one(number: int, **changes: object) -> Question:
    values = {
        "id": f"q{number}",
        "dataset": "d",
        "split": "train",
        "video": "a.mp4",
        "question": "Which?",
        "choices": ("x", "y"),
        "answer": ("A",),
        "type": "counterfactual",
    }
    return Question(**{**values, **changes})


def read(path: Path, config: DiagnoseConfig) -> Source:
    return read_source(path, config, read_list(path, config))


def test_other_splits_are_noted(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "q.jsonl", [one(0), one(1, split="test"), one(2, split="test")])
    source = read(path, DiagnoseConfig(probe="m", split="train"))
    assert [q.id for q in source.questions] == ["q0"]
    assert source.notes == ("2 questions of split test",)
    assert read(path, DiagnoseConfig(probe="m")).notes == ()


def test_questions_without_a_diagnosis_are_counted_by_type() -> None:
    questions = [one(0), one(1), one(2, type="descriptive"), one(3, type="explanatory")]
    known = [Diagnosis(question_id="q0", rule="same_truth", label="inferential")]
    summary = summarise(questions, known, [])
    assert summary["not_diagnosed"] == {"counterfactual": 1, "descriptive": 1, "explanatory": 1}
    said = "\n".join(lines(summary, "same_truth"))
    assert "1 counterfactual, 1 descriptive, 1 explanatory" in said.split("not diagnosed")[1]
    whole = summarise(questions[:1], known, [])
    assert "not diagnosed" not in "\n".join(lines(whole, "same_truth"))
