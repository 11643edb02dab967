"""The tables: floors, minimal pairs, published rows, a benchmark's own rule."""

import json
import shutil
from pathlib import Path

import msgspec

from tests.report.report_runs import (
    copied,
)
from videothinker.benchmarks import published
from videothinker.clevrer.answerers import HANDED_ON
from videothinker.records import AUDIT, Audited, Question, Sample, read_jsonl, write_jsonl
from videothinker.report.config import ReportConfig
from videothinker.report.results import read_boards
from videothinker.report.sources import read_runs
from videothinker.report.stage import report
from videothinker.report.tables import sheets


def test_floors_and_families_stand_in_the_diagnostic(made_runs: list[Path]) -> None:
    (board,) = read_boards(read_runs(made_runs))
    (sheet,) = sheets([board], "diagnostic")
    rows = {line.name: dict(zip(sheet.columns, line.cells, strict=True)) for line in sheet.lines}
    hits = {
        s.question_id: s.exact
        for s in read_jsonl(made_runs[0].parent / "evaluate-base" / "samples.jsonl", Sample)
    }
    ids = sorted(hits)
    both = sum(hits[a] * hits[b] for a, b in zip(ids[::3], ids[1::3], strict=True)) / 16
    whole = rows["Base"]["Whole families"]
    assert whole.value == f"{100 * both:.1f}"
    assert whole.words == "16 families, 12 videos, 1 training seed"
    always = {"Observational": "100.0", "Inferential": "0.0", "Inferential, give-aways": "–",
              "Inferential, the rest": "0.0", "All": "66.7", "Whole families": "0.0"}  # fmt: skip
    assert {k: cell.value for k, cell in rows["Floor: always A"].items()} == always
    guessed = [cell.value for cell in rows["Floor: random guess of one letter"].values()]
    assert guessed == ["50.0", "50.0", "–", "50.0", "50.0", "25.0"]


def test_where_questions_were_audited_rules_for_the_premise_are_a_floor(
    made_runs: list[Path], tmp_path: Path
) -> None:
    run = tmp_path / "evaluate-base"
    shutil.copytree(made_runs[0].parent / "evaluate-base", run)
    ids = [q.id for q in read_jsonl(run / "questions.jsonl", Question)]
    audited = [
        Audited(question_id=name, cluster=name, right={HANDED_ON: place % 3 > 0}, chance=0.5)
        for place, name in enumerate(sorted(ids))
    ]
    write_jsonl(run / AUDIT, audited)
    (board,) = read_boards(read_runs([run]))
    (sheet,) = sheets([board], "diagnostic")
    rows = {line.name: dict(zip(sheet.columns, line.cells, strict=True)) for line in sheet.lines}
    floor = rows["Floor: reads the premise, simulates nothing"]
    right = sum(one.right[HANDED_ON] for one in audited) / len(audited)
    assert floor["All"].value == f"{100 * right:.1f}"
    assert floor["Whole families"].value == "0.0"  # the first question of each is wrong


def test_published_rows_are_marked_and_never_ours(made_runs: list[Path], tmp_path: Path) -> None:
    boards = read_boards(read_runs(made_runs))
    (main,) = sheets(boards, "main")
    ours = [line for line in main.lines if line.published is None]
    theirs = [line for line in main.lines if line.published is not None]
    assert all(line.runs for line in ours)
    assert not any(line.runs for line in theirs)
    assert main.columns[1:] == published.columns("main")
    best = next(line for line in theirs if line.name == "VideoThinker-R1 3B (1K RL)")
    assert [cell.value for cell in best.cells] == [
        "\N{EN DASH}",
        *(["79.1", "56.8", "34.3", "60.9", "63.5", "52.4"]),
    ]
    assert not any(line.published for line in sheets(boards, "all")[0].lines)
    text = report(made_runs, ReportConfig(out=tmp_path / "r.html", table="main")).read_text()
    assert text.count('<span class="tag">published</span>') == len(theirs) == 5


def test_the_benchmarks_own_rule_stands_beside_exact_and_soft(
    made_runs: list[Path], tmp_path: Path
) -> None:
    """Video-MME's rule takes the first capital from A to D and leaves out a text without any."""
    texts = ("Answer: B", "B", "none", "none")  # A (of "Answer"), B, and two that are left out
    runs = copied(made_runs, tmp_path)
    for run in (run for run in runs if run.name.startswith("evaluate")):
        path = run / "samples.jsonl"
        said = [
            msgspec.structs.replace(s, text=texts[i % 4], exact=float(i % 2), soft=0.25)
            for i, s in enumerate(read_jsonl(path, Sample))
        ]
        write_jsonl(path, said)
        plain = json.loads((run / "run.json").read_text())
        plain["facts"]["protocol"] = {"name": "official", "benchmark": "videomme"}
        (run / "run.json").write_text(json.dumps(plain))
    (board,) = read_boards(read_runs(runs))
    (sheet,) = [sheet for sheet in sheets([board], "main") if sheet.id == "own-rule"]
    base = next(line for line in sheet.lines if line.name == "Base")
    (run,) = [run for run in runs if run.name == "evaluate-base"]
    counted = [
        board.questions[s.question_id].answer == ("A" if i % 4 == 0 else "B",)
        for i, s in enumerate(read_jsonl(run / "samples.jsonl", Sample))
        if i % 4 < 2
    ]
    own = f"{100 * sum(counted) / len(counted):.1f}"
    assert [cell.value for cell in base.cells] == ["50.0", "25.0", own]
    assert "left out are 50.0 %" in base.cells[2].words
    text = report(runs, ReportConfig(out=tmp_path / "r.html", table="main")).read_text()
    assert text.count('data-sheet="own-rule"') == 1


def test_without_an_official_protocol_there_is_no_own_rule(made_runs: list[Path]) -> None:
    boards = read_boards(read_runs(made_runs))
    assert "own-rule" not in [sheet.id for sheet in sheets(boards, "all")]
