"""When a claim is drawn, what takes it back, and where a gain sits."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from tests.report.report_runs import (
    AWAY,
    answered_right,
    whole_line,
    with_truths,
)
from videothinker.estimates import percent
from videothinker.families import WHOLE
from videothinker.report.claim import Comparison, _located, make_claim
from videothinker.report.config import ReportConfig
from videothinker.report.diagnoses import read_diagnoses
from videothinker.report.estimates import SeededEstimate
from videothinker.report.overview import chart, rows, sizes
from videothinker.report.results import read_boards
from videothinker.report.sources import read_runs
from videothinker.report.stage import report
from videothinker.report.tables import sheets


def test_small_runs_are_underpowered_and_claim_nothing(made_runs: list[Path]) -> None:
    runs = read_runs(made_runs)
    claim = make_claim(read_boards(runs), runs)
    assert not claim.drawn
    assert claim.headline.startswith("Underpowered")
    assert re.findall(r"\d+", claim.headline) == ["16", "32", "2"]  # each label's n, and the seeds


def test_large_runs_claim_and_a_warning_takes_it_back(tmp_path: Path) -> None:
    paths = whole_line(tmp_path, n=360, seeds=(0, 1, 2))
    runs = read_runs(paths)
    claim = make_claim(read_boards(runs), runs)
    assert claim.drawn
    assert claim.headline.index("lost 21.7 points") < claim.headline.index("30.0 points above")
    assert "gives itself away" in claim.headline
    whole = {c.left.name: c.estimate for c in claim.comparisons if c.label == WHOLE}
    told = claim.headline.partition("Of 120 families")[2]
    assert "GRPO is not told from its base" in told
    assert f"CDPO stands {100 * whole['CDPO'].value:.1f} points above GRPO" in told
    assert claim.notes[-1].startswith("A family is one video")
    run_json = tmp_path / "pretrain" / "run.json"
    plain = json.loads(run_json.read_text())
    plain["facts"]["warnings"] = ["perception is at chance"]
    run_json.write_text(json.dumps(plain))
    runs = read_runs(paths)
    claim = make_claim(read_boards(runs), runs)
    assert not claim.drawn
    assert claim.headline.startswith("Perception is at chance.")
    assert "No claim is drawn" in claim.headline
    page = report(paths, ReportConfig(out=tmp_path / "r.html"))
    assert page.stat().st_size < 5_000_000


@pytest.mark.parametrize(
    ("cdpo", "where"),
    [
        ((True, True, True, False), "in these alone"),
        ((True, True, True, True), "on the rest too"),
    ],
)
def test_the_claim_says_where_a_gain_sits(
    tmp_path: Path, cdpo: tuple[bool, ...], where: str
) -> None:
    paths = with_truths(whole_line(tmp_path, n=360), AWAY)
    answered_right(paths, "base", (False, True, False, False))
    answered_right(paths, "grpo", (False, False, False, False))
    answered_right(paths, "cdpo", cdpo)
    runs = read_runs(paths)
    (board,) = read_boards(runs)
    claim = make_claim([board], runs)
    assert claim.drawn
    assert "90 of the 120 inferential questions" in claim.headline
    located = claim.headline.partition("give themselves away: ")[2].partition(". ")[0]
    loss, gain = located.split(", ")
    assert "loss is shown in these alone" in loss
    assert where in gain
    assert "50.0 %" in claim.notes[-1]  # what a guess has of the rest
    gaps = {c.label: c.estimate for c in claim.comparisons if c.left.name == "CDPO"}
    assert (gaps["give-aways"].n, gaps["the rest"].n) == (90, 30)
    assert gaps["give-aways"].value == pytest.approx(1.0)
    (row,) = [row for row in rows(board) if row.method.name == "CDPO"]
    assert row.estimates["the rest"].value == pytest.approx(float(cdpo[3]))
    told = ("240 observational", "120 inferential", "90 give-aways", "30 the rest", "120 families")
    assert all(part in sizes(rows(board)) for part in told)
    for narrow in (False, True):
        drawn = str(chart(board, rows(board), narrow=narrow))
        assert drawn.count("mark part") == 3
        assert "CDPO, give-aways: 100.0 %" in drawn
        assert drawn.count("mark family") == 3
        assert f"CDPO, {WHOLE}: {percent(row.estimates[WHOLE].value)} %" in drawn
    (sheet,) = sheets([board], "ablation")
    (line,) = [line for line in sheet.lines if line.name == "CDPO"]
    cells = dict(zip(sheet.columns, line.cells, strict=True))
    assert cells["Inferential, give-aways"].value == "100.0"
    assert cells["Inferential, the rest"].value == f"{100 * cdpo[3]:.1f}"


def test_a_gain_within_chance_on_both_parts_is_not_located(tmp_path: Path) -> None:
    whole = SeededEstimate(
        value=0.2, error=None, low=0.1, high=0.3, n=120, clusters=24, seeds=((0, 0.2),)
    )
    part = dataclasses.replace(whole, low=-0.1)
    paths = whole_line(tmp_path, n=12, seeds=(0,))
    (board,) = read_boards(read_runs(paths))
    base, cdpo = board.methods[0], board.methods[-1]
    parts = [Comparison(cdpo, base, name, part) for name in ("give-aways", "the rest")]
    found = _located(Comparison(cdpo, base, "inferential", whole), parts)
    assert "cannot be said" in found
    level = dataclasses.replace(whole, value=0.0, low=-0.01, high=0.01)
    found = _located(Comparison(cdpo, base, "inferential", level), parts)
    assert "not told from Base" in found
    parts = [Comparison(cdpo, base, name, whole) for name in ("give-aways", "the rest")]
    found = _located(Comparison(cdpo, base, "inferential", level), parts)
    assert "above Base" in found
    assert _located(Comparison(cdpo, base, "inferential", whole), parts[:1]).startswith(
        "of CDPO nothing"
    )


def test_without_logs_the_split_is_not_known_and_said_so(tmp_path: Path) -> None:
    paths = with_truths(whole_line(tmp_path, n=360), {0: ()})
    runs = read_runs(paths)
    (board,) = read_boards(runs)
    claim = make_claim([board], runs)
    assert "not known of all of them" in claim.headline
    (sheet,) = sheets([board], "diagnostic")
    cells = dict(zip(sheet.columns, sheet.lines[0].cells, strict=True))
    assert cells["Inferential, the rest"].value == "not known"
    text = report(paths, ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "which of them give themselves away" in text
    (bare,) = [one for one in read_diagnoses(runs) if one.run.name == "diagnose-validation"]
    assert [share.name for share in bare.give_aways] == ["observational"]
    one = with_truths(paths, {0: (), 1: (True, False)})
    claim = make_claim(read_boards(read_runs(one)), read_runs(one))
    assert "not known of 60 of them" in claim.headline
