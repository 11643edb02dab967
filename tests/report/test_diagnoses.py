"""A diagnosis counted: shares, give-aways, disagreements, the reason of a label."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.report.report_runs import (
    AWAY,
    copied,
    whole_line,
    with_truths,
)
from videothinker.diagnosis.summary import summarise
from videothinker.records import Diagnosis, read_jsonl, write_jsonl
from videothinker.report.browser import reason
from videothinker.report.config import ReportConfig
from videothinker.report.diagnoses import read_diagnoses
from videothinker.report.sources import read_runs
from videothinker.report.stage import report


def test_diagnosis_counts(made_runs: list[Path]) -> None:
    train = read_diagnoses(read_runs(made_runs))[0]
    assert [(s.name, s.hits, s.n) for s in train.labels] == [
        ("observational", 64, 96),
        ("inferential", 32, 96),
    ]
    flags = [row.flags for row in train.rows]
    both = [f for f in flags if f["correct_seen"] is not None]
    share = train.disagreement("untouched", "correct_seen")
    assert share is not None
    assert (share.hits, share.n) == (
        sum(f["untouched"] != f["correct_seen"] for f in both),
        len(both),
    )
    assert {s.name: s.n for s in train.by_rule}["correct_seen"] == len(both) < 96
    assert list(train.groups) == ["negated"]  # a scene has too many values to tabulate
    assert train.probes[0][1][-1].hits == 3 * 96


def test_shares_are_those_that_diagnose_prints(made_runs: list[Path], tmp_path: Path) -> None:
    """Of the questions that the rule applies to."""
    (path,) = [p for p in copied(made_runs, tmp_path) if p.name == "diagnose-train"]
    rows = read_jsonl(path / "diagnosis.jsonl", Diagnosis)
    left_out = [replace(row, label="excluded") for row in rows[:10]]
    write_jsonl(path / "diagnosis.jsonl", [*left_out, *rows[10:]])
    (one,) = read_diagnoses(read_runs([path]))
    counts = summarise(list(one.questions.values()), one.rows, one.rules)["splits"]["train"]
    assert next((s.name, s.hits, s.n) for s in one.labels) == (
        *("observational", counts["observational"]),
        counts["diagnosed"] - counts["excluded"],
    )
    assert {s.name: {"observational": s.hits, "questions": s.n} for s in one.by_rule} == {
        rule: found for rule, found in counts["rules"].items() if found["questions"]
    }
    text = report([path], ReportConfig(out=tmp_path / "r.html")).read_text()
    assert f"{100 * counts['observational'] / 86:.1f} % of 86 questions can" in text
    assert "10 more are excluded" in text


def test_a_diagnosis_says_how_many_give_themselves_away(tmp_path: Path) -> None:
    paths = with_truths(whole_line(tmp_path, n=24, seeds=(0,)), AWAY)
    (run,) = [path for path in paths if path.name == "diagnose-validation"]
    (one,) = read_diagnoses(read_runs([run]))
    assert [(s.name, s.hits, s.n) for s in one.give_aways] == [
        ("observational", 0, 16), ("inferential", 6, 8)
    ]  # fmt: skip
    text = report([run], ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "75.0 % of 8" in text


def test_a_diagnosis_alone_says_what_it_found(made_runs: list[Path], tmp_path: Path) -> None:
    (run,) = [path for path in made_runs if path.name == "diagnose-train"]
    text = report([run], ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "66.7 % of 96 questions" in text


@pytest.mark.parametrize(
    ("label", "probes", "flags", "words"),
    [
        ("observational", {"struck": (4, 4)}, {}, "keeps the right answer (4 of 4 samples)"),
        ("inferential", {"struck": (1, 4)}, {}, "loses the right answer (1 of 4 samples)"),
        ("observational", {"blind": (4, 4)}, {"survives_blindness": True}, "survives blindness"),
        ("inferential", {"blind": (0, 4)}, {"survives_blindness": False}, "survives no probe"),
    ],
)
def test_a_label_without_logs_has_its_reason(
    label: str, probes: dict[str, tuple[int, int]], flags: dict[str, bool], words: str
) -> None:
    found = Diagnosis(
        question_id="q", rule="survives_strike", label=label, probes=probes, flags=flags
    )
    assert words in reason(found)
