"""The page follows from the records, and from nothing else."""

from pathlib import Path

from tests.report.report_runs import (
    copied,
)
from videothinker.records import Sample, read_jsonl, write_jsonl
from videothinker.report.config import ReportConfig
from videothinker.report.results import read_boards
from videothinker.report.sources import read_runs
from videothinker.report.stage import report
from videothinker.report.tables import sheets


def test_other_records_make_another_page_and_the_same_ones_the_same(
    made_runs: list[Path], tmp_path: Path
) -> None:
    runs = copied(made_runs, tmp_path)
    first = report(runs, ReportConfig(out=tmp_path / "a.html")).read_bytes()
    assert report(runs, ReportConfig(out=tmp_path / "b.html")).read_bytes() == first
    (tmp_path / "evaluate-cdpo-seed0" / "summary.json").write_text('{"accuracy": 0.999}')
    assert report(runs, ReportConfig(out=tmp_path / "c.html")).read_bytes() == first
    path = tmp_path / "evaluate-cdpo-seed0" / "samples.jsonl"
    samples = read_jsonl(path, Sample)
    (row,) = [
        line
        for line in sheets(read_boards(read_runs(runs)), "main")[0].lines
        if line.name == "CDPO"
    ]
    write_jsonl(
        path,
        [
            Sample(**{**{f: getattr(s, f) for f in s.__struct_fields__}, "exact": 0.0})
            for s in samples
        ],
    )
    assert report(runs, ReportConfig(out=tmp_path / "d.html")).read_bytes() != first
    (now,) = [
        line
        for line in sheets(read_boards(read_runs(runs)), "main")[0].lines
        if line.name == "CDPO"
    ]
    assert float(now.cells[0].value) < float(row.cells[0].value)
