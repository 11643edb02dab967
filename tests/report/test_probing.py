"""What probing found, counted anew from the samples."""

from pathlib import Path

import msgspec

from tests.report.report_runs import (
    probed_run,
)
from videothinker.records import Diagnosis, Evidence, read_jsonl, write_jsonl
from videothinker.report.config import ReportConfig
from videothinker.report.diagnoses import read_diagnoses
from videothinker.report.sources import read_runs
from videothinker.report.stage import report


def test_what_probing_found_is_counted_from_the_samples(tmp_path: Path) -> None:
    run, n = probed_run(tmp_path), 60
    (run / "summary.json").write_text('{"probing": {"agreement": {}}}')  # is not read
    (one,) = read_diagnoses(read_runs([run]))
    tables = {sheet.id: {line.name: line.cells for line in sheet.lines} for sheet in one.probing}
    assert list(tables) == ["agreement", "reliance", "causal", "effects"]
    hard = {i for i in range(n) if i % 3 == 0}
    wrong = {i for i in range(n) if i % 5 == 0}  # of the struck ones
    both, called = n - len(hard | wrong), n - len(hard ^ wrong)
    there = n - len(hard)
    row = tables["agreement"]["same_truth"]
    expected = [both / called, both / there, 2 * both / (called + there)]
    assert [cell.value for cell in row[:3]] == [f"{100 * value:.1f}" for value in expected]
    neither = len(hard - wrong)
    chance = (called * there + (n - called) * (n - there)) / n**2
    kappa = ((both + neither) / n - chance) / (1 - chance)
    # one, two and four samples vote alike here, for the answers mean the same in every turn
    assert {(cell.value, cell.interval) for cell in row[2:5]} == {(row[2].value, f"({kappa:.2f})")}
    assert row[5].value == f"{200 * there / (n + there):.1f}"
    assert float(row[6].value) < float(row[2].value) - 10  # shuffled right answers
    stays, changes, right, unanswered = tables["reliance"]["premise removed"]
    assert (stays.value, stays.words) == ("80.0", f"{len(hard - wrong)} of {len(hard)}")
    assert (changes.value, changes.words) == ("20.0", f"{len(wrong - hard)} of {n - len(hard)}")
    assert (right.value, unanswered.value) == (f"{100 * both / n:.1f}", "0")
    yes = tables["causal"]["plain: happens after the removal"]
    assert [cell.value for cell in yes] == ["66.7", "50.0", "100.0", "0.0"]
    no = tables["causal"]["plain: does not happen after the removal"]
    assert [cell.value for cell in no] == ["33.3", "50.0", "100.0", "0.0"]
    assert yes[2].interval == f"n = {4 * (n - len(hard))}"
    effects = [cells[0].value for cells in tables["effects"].values()]
    assert effects == ["+0.0", "+100.0"]
    text = report([run], ReportConfig(out=tmp_path / "r.html")).read_text()
    for sheet in tables:
        assert text.count(f'<table class="sheet" data-sheet="{sheet}">') == 1
    assert f'title="{len(hard - wrong)} of {len(hard)}">80.0' in text


def test_a_cell_without_a_case_says_so(tmp_path: Path) -> None:
    run = probed_run(tmp_path)
    found = read_jsonl(run / "diagnosis.jsonl", Diagnosis)
    alike = [d for d in found if d.evidence.truth_video == d.evidence.truth_counterfactual]
    write_jsonl(run / "diagnosis.jsonl", alike)  # truth and observation go together in all
    (one,) = read_diagnoses(read_runs([run]))
    (cells,) = [sheet for sheet in one.probing if sheet.id == "causal"]
    told = [[cell.value for cell in line.cells[2:]] for line in cells.lines]
    assert told == [["no case", "0.0"], ["100.0", "no case"]]


def test_a_diagnosis_without_samples_or_logs_has_no_such_tables(
    made_runs: list[Path], tmp_path: Path
) -> None:
    assert all(one.probing == () for one in read_diagnoses(read_runs(made_runs)))
    run = probed_run(tmp_path)
    found = read_jsonl(run / "diagnosis.jsonl", Diagnosis)
    bare = [
        msgspec.structs.replace(
            d, evidence=Evidence(), flags={"survives_strike": d.flags["survives_strike"]}
        )
        for d in found
    ]
    write_jsonl(run / "diagnosis.jsonl", bare)
    (one,) = read_diagnoses(read_runs([run]))
    assert [sheet.id for sheet in one.probing] == []
    report([run], ReportConfig(out=tmp_path / "r.html"))
