"""The audit on the report's page, of a labelled run and of a list that is only audited."""

from tests.diagnosis.made_questions import asks, without
from videothinker.diagnosis.config import DiagnoseConfig
from videothinker.diagnosis.stage import diagnose
from videothinker.records import write_jsonl
from videothinker.report.config import ReportConfig
from videothinker.report.stage import report


def test_a_list_without_labels_has_a_page(tmp_path):
    questions = [asks("a", without("gray cube"), "A"), asks("b", without("red cube"), "B")]
    data = write_jsonl(tmp_path / "mine.jsonl", questions)
    run = diagnose(data, DiagnoseConfig(out=tmp_path / "run"))
    page = report([run], ReportConfig(out=tmp_path / "page.html")).read_text()
    assert "2 questions are audited, none is labelled" in page
    assert "never reads the premise" in page
    assert "whole families" in page
    assert "2 questions in 1 family share video" in page
