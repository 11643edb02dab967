"""Every figure comes from the records: by hand, by the textbook, and by taking them away."""

import dataclasses
import itertools
import json
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.report.report_runs import copied, evaluate_run, probed_run, train_run, whole_line
from videothinker.benchmarks import published
from videothinker.records import Diagnosis, Evidence, Sample, read_jsonl, write_jsonl
from videothinker.report.browser import reason
from videothinker.report.claim import Comparison, _located, make_claim
from videothinker.report.config import ReportConfig
from videothinker.report.curves import average, bin_size, read_curves
from videothinker.report.diagnoses import read_diagnoses
from videothinker.report.estimates import SeededEstimate, accuracy, difference
from videothinker.report.overview import chart, rows, sizes
from videothinker.report.results import read_boards
from videothinker.report.sources import read_runs
from videothinker.report.stage import report
from videothinker.report.svg import ticks
from videothinker.report.tables import sheets


def textbook_error(values: dict[str, float], cluster: dict[str, str]) -> float:
    """The double sum over all pairs in one cluster, with its small-sample factor."""
    centre, m = np.mean(list(values.values())), len(set(cluster.values()))
    total = sum(
        (values[a] - centre) * (values[b] - centre)
        for a, b in itertools.product(values, values)
        if cluster[a] == cluster[b]
    )
    return math.sqrt(m / (m - 1) * total) / len(values)


def test_accuracies_and_differences_are_those_of_the_records(made_runs: list[Path]) -> None:
    (board,) = read_boards(read_runs(made_runs))
    assert [method.name for method in board.methods] == ["Base", "GRPO", "CDPO"]
    assert board.tier == "video tier"
    hard = [q for q in board.questions if int(q[-4:]) % 3 == 0]
    assert board.ids("inferential") == hard
    means = {}
    for name in ("grpo", "cdpo"):
        for seed in (0, 1):
            path = made_runs[0].parent / f"evaluate-{name}-seed{seed}" / "samples.jsonl"
            exact = {s.question_id: s.exact for s in read_jsonl(path, Sample)}
            means[name, seed] = np.array([exact[q] for q in hard])
    grpo, cdpo = board.method("GRPO"), board.method("CDPO")
    assert grpo is not None
    assert cdpo is not None
    found = accuracy(board, grpo, hard)
    assert found is not None
    assert found.value == pytest.approx(np.mean([means["grpo", 0], means["grpo", 1]]))
    assert dict(found.seeds) == pytest.approx({s: means["grpo", s].mean() for s in (0, 1)})
    gap = difference(board, cdpo, grpo, hard)
    assert gap is not None
    per_seed = [(means["cdpo", s] - means["grpo", s]).mean() for s in (0, 1)]
    assert gap.value == pytest.approx(np.mean(per_seed))
    gaps = np.mean([means["cdpo", s] - means["grpo", s] for s in (0, 1)], 0)
    values = dict(zip(hard, gaps, strict=True))
    se = textbook_error(values, {q: board.questions[q].video or q for q in hard})
    alone = np.std(list(values.values()), ddof=1) / math.sqrt(len(values))
    assert gap.clusters == 12
    questions = 2.201 * max(se, alone)  # Student's t, 11 degrees of freedom
    half = math.hypot(questions, 12.706 * np.std(per_seed, ddof=1) / math.sqrt(2))
    assert gap.low == pytest.approx(max(-1, gap.value - half), abs=1e-3)
    assert gap.high == pytest.approx(min(1, gap.value + half), abs=1e-3)


def test_small_runs_are_underpowered_and_claim_nothing(made_runs: list[Path]) -> None:
    runs = read_runs(made_runs)
    claim = make_claim(read_boards(runs), runs)
    assert not claim.drawn
    assert claim.headline == (
        "Underpowered, n = 16 inferential and 32 observational questions, "
        "2 training seeds a method: no claim is drawn from these numbers."
    )


def test_large_runs_claim_and_a_warning_takes_it_back(tmp_path: Path) -> None:
    paths = whole_line(tmp_path, n=360, seeds=(0, 1, 2))
    runs = read_runs(paths)
    claim = make_claim(read_boards(runs), runs)
    assert claim.drawn
    assert claim.headline.startswith("GRPO lost 21.7 points on inferential questions")
    assert "CDPO stands 30.0 points above GRPO" in claim.headline
    assert claim.headline.endswith("No inferential question gives itself away.")
    run_json = tmp_path / "pretrain" / "run.json"
    plain = json.loads(run_json.read_text())
    plain["facts"]["warnings"] = ["perception is at chance"]
    run_json.write_text(json.dumps(plain))
    runs = read_runs(paths)
    claim = make_claim(read_boards(runs), runs)
    assert not claim.drawn
    assert claim.headline.startswith("Perception is at chance. No claim is drawn")
    page = report(paths, ReportConfig(out=tmp_path / "r.html"))
    assert page.stat().st_size < 5_000_000


Truths = dict[int, tuple[bool, ...]]


def told_anew(paths: list[Path], truths: Truths) -> list[Path]:
    """The k-th inferential question's options happen in the video as `truths[k % len]` says."""
    for path in (run / "diagnosis.jsonl" for run in paths):
        rows = read_jsonl(path, Diagnosis) if path.is_file() else []
        hard = [row.question_id for row in rows if row.label == "inferential"]
        place = {name: k for k, name in enumerate(hard)}
        changed = [
            msgspec.structs.replace(
                row, evidence=Evidence(truth_video=truths[place[row.question_id] % len(truths)])
            )
            if row.question_id in place
            else row
            for row in rows
        ]
        if rows:
            write_jsonl(path, changed)
    return paths


def answered_right(paths: list[Path], method: str, right: tuple[bool, ...]) -> None:
    """A method answers the k-th inferential question as `right[k % len]` says, with every seed."""
    for run in paths:
        if not run.name.startswith(f"evaluate-{method}"):
            continue
        rows = read_jsonl(run / "diagnosis.jsonl", Diagnosis)
        hard = [row.question_id for row in rows if row.label == "inferential"]
        place = {name: k for k, name in enumerate(hard)}
        samples = [
            msgspec.structs.replace(s, exact=float(right[place[s.question_id] % len(right)]))
            if s.question_id in place
            else s
            for s in read_jsonl(run / "samples.jsonl", Sample)
        ]
        write_jsonl(run / "samples.jsonl", samples)


AWAY = {0: (False, False), 1: (True, True), 2: (False, False), 3: (True, False)}
"""Three inferential questions of four give themselves away."""


@pytest.mark.parametrize(
    ("cdpo", "words"),
    [
        # right where the question gives itself away, and nowhere else
        (
            (True, True, True, False),
            "in these alone, CDPO's gain is shown in these alone.",
        ),
        (
            (True, True, True, True),
            "in these alone, CDPO's gain is shown on the rest too.",
        ),
    ],
)
def test_the_claim_says_where_a_gain_sits(
    tmp_path: Path, cdpo: tuple[bool, ...], words: str
) -> None:
    paths = told_anew(whole_line(tmp_path, n=360), AWAY)
    answered_right(paths, "base", (False, True, False, False))
    answered_right(paths, "grpo", (False, False, False, False))
    answered_right(paths, "cdpo", cdpo)
    runs = read_runs(paths)
    (board,) = read_boards(runs)
    claim = make_claim([board], runs)
    assert claim.drawn
    assert claim.headline.endswith(
        f"90 of the 120 inferential questions give themselves away: GRPO's loss is shown {words}"
    )
    assert claim.notes[-1] == (
        "Questions give themselves away where none or all of their options happen in the video; "
        "a guess has 50.0 % of the rest."
    )
    gaps = {c.label: c.estimate for c in claim.comparisons if c.left.name == "CDPO"}
    assert (gaps["give-aways"].n, gaps["the rest"].n) == (90, 30)
    assert gaps["give-aways"].value == pytest.approx(1.0)
    (row,) = [row for row in rows(board) if row.method.name == "CDPO"]
    assert row.estimates["the rest"].value == pytest.approx(float(cdpo[3]))
    assert sizes(rows(board)) == (
        "n = 240 observational and 120 inferential (90 give-aways, 30 the rest)"
    )
    for narrow in (False, True):
        drawn = str(chart(board, rows(board), narrow=narrow))
        assert drawn.count("mark part") == 3
        assert "CDPO, give-aways: 100.0 %" in drawn
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
    assert found == "where CDPO's gain sits cannot be said"
    level = dataclasses.replace(whole, value=0.0, low=-0.01, high=0.01)
    found = _located(Comparison(cdpo, base, "inferential", level), parts)
    assert found == "on the rest CDPO is not told from Base"
    parts = [Comparison(cdpo, base, name, whole) for name in ("give-aways", "the rest")]
    found = _located(Comparison(cdpo, base, "inferential", level), parts)
    assert found == "on the rest CDPO is above Base"
    assert _located(Comparison(cdpo, base, "inferential", whole), parts[:1]).startswith(
        "of CDPO nothing"
    )


def test_without_logs_the_split_is_not_known_and_said_so(tmp_path: Path) -> None:
    paths = told_anew(whole_line(tmp_path, n=360), {0: ()})
    runs = read_runs(paths)
    (board,) = read_boards(runs)
    claim = make_claim([board], runs)
    assert "give themselves away is not known of all of them" in claim.headline
    (sheet,) = sheets([board], "diagnostic")
    cells = dict(zip(sheet.columns, sheet.lines[0].cells, strict=True))
    assert cells["Inferential, the rest"].value == "not known"
    text = report(paths, ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "which of them give themselves away" in text
    (bare,) = [one for one in read_diagnoses(runs) if one.run.name == "diagnose-validation"]
    assert [share.name for share in bare.give_aways] == ["observational"]
    one = told_anew(paths, {0: (), 1: (True, False)})
    claim = make_claim(read_boards(read_runs(one)), read_runs(one))
    assert "give themselves away is not known of 60 of them" in claim.headline


def test_a_diagnosis_says_how_many_give_themselves_away(tmp_path: Path) -> None:
    paths = told_anew(whole_line(tmp_path, n=24, seeds=(0,)), AWAY)
    (run,) = [path for path in paths if path.name == "diagnose-validation"]
    (one,) = read_diagnoses(read_runs([run]))
    assert [(s.name, s.hits, s.n) for s in one.give_aways] == [
        ("observational", 0, 16), ("inferential", 6, 8)
    ]  # fmt: skip
    text = report([run], ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "which gives an inferential question away, holds for 75.0 % of 8" in text


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


def test_arms_of_one_kind_are_told_apart_by_what_differs(
    made_runs: list[Path], tmp_path: Path
) -> None:
    runs = copied(made_runs, tmp_path)
    held = tmp_path / "diagnose-validation"
    for seed in (0, 1):
        settings = {"divergence": "js", "repulsion": 0.3, "bias": str(tmp_path / "pretrain")}
        other = train_run(tmp_path, "train-cdpo", seed, **settings)
        points = {"observational": 0.9, "inferential": 0.5}
        name = f"js-seed{seed}"
        runs += [other, evaluate_run(tmp_path, held, other / "model", accuracy=points, name=name)]
    (board,) = read_boards(read_runs(runs))
    assert [method.name for method in board.methods] == [
        *("Base", "GRPO"),
        "CDPO (divergence k3, repels bias model, repulsion 0.01)",
        "CDPO (divergence js, repels base, repulsion 0.3)",
    ]
    assert [len(method.evaluations) for method in board.methods] == [1, 2, 2, 2]
    every = [s.id for s in sheets([board], "all")]
    assert every == ["main", "diagnostic", "ablation"]
    assert [s.id for s in sheets([board], "ablation")] == ["ablation"]
    clevrer = dataclasses.replace(board, dataset="clevrer")
    assert [s.id for s in sheets([clevrer], "ablation")] == ["ablation", "published"]


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
    stays, changes, right, unanswered = tables["reliance"]["premise struck out"]
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


def test_curves_keep_their_mean(made_runs: list[Path]) -> None:
    curves = read_curves(read_runs(made_runs))
    assert {curve.role for curve in curves} == {"Base", "Bias model", "GRPO", "CDPO"}
    assert bin_size(80) == 1
    assert bin_size(500) == 7
    assert average([[(1.0, 2.0), (2.0, 3.0)], [(1.0, 4.0)]]) == [(1.0, 3.0)]


def test_a_diagnosis_alone_says_what_it_found(made_runs: list[Path], tmp_path: Path) -> None:
    (run,) = [path for path in made_runs if path.name == "diagnose-train"]
    text = report([run], ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "66.7 % of 96 questions can be answered by describing the video" in text


def test_floors_and_minimal_pairs_stand_in_the_diagnostic(
    made_runs: list[Path], tmp_path: Path
) -> None:
    runs = copied(made_runs, tmp_path)
    for run in runs:
        if not run.name.startswith("evaluate"):
            continue
        plain = [json.loads(line) for line in (run / "questions.jsonl").read_text().splitlines()]
        for i, one in enumerate(plain):
            one["groups"]["pair"] = str(i // 2)
        (run / "questions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in plain))
    (board,) = read_boards(read_runs(runs))
    (sheet,) = sheets([board], "diagnostic")
    assert sheet.columns[-1] == "Minimal pairs"
    rows = {line.name: line.cells for line in sheet.lines}
    hits = {
        s.question_id: s.exact
        for s in read_jsonl(tmp_path / "evaluate-base" / "samples.jsonl", Sample)
    }
    ids = sorted(hits)
    both = sum(hits[a] * hits[b] for a, b in zip(ids[::2], ids[1::2], strict=True)) / 24
    assert rows["Base"][-1].value == f"{100 * both:.1f}"
    always = {"Observational": "100.0", "Inferential": "0.0", "Inferential, give-aways": "–",
              "Inferential, the rest": "0.0", "All": "66.7"}  # fmt: skip
    floor = [cell.value for cell in rows["Floor: always A"][:5]]
    assert dict(zip(sheet.columns, floor, strict=False)) == always
    guessed = [cell.value for cell in rows["Floor: random guess"][:5]]
    assert guessed == ["50.0", "50.0", "–", "50.0", "50.0"]


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


def test_a_simulated_world_is_not_called_clevrer(made_runs: list[Path], tmp_path: Path) -> None:
    runs = copied(made_runs, tmp_path)
    root = runs[0].parent
    (root / "run.json").write_text('{"stage": "world"}')
    for run in runs:
        run_json = run / "run.json"
        run_json.write_text(run_json.read_text().replace(str(made_runs[0].parent), str(root)))
    (board,) = read_boards(read_runs(runs))
    assert board.title == "simulated world validation · protocol demo · video tier"
    (sheet,) = sheets([board], "diagnostic")
    paper = next(line for line in sheet.lines if line.name == "Qwen2.5-VL-GRPO (1K RL)")
    assert [cell.value for cell in paper.cells[:2]] == ["76.4", "63.1"]


def test_models_trained_on_other_data_are_other_arms(made_runs: list[Path], tmp_path: Path) -> None:
    runs = copied(made_runs, tmp_path)
    for name, data in (("train-grpo-seed0", "f" * 64), ("train-grpo-seed1", "0" * 64)):
        digest = json.loads((tmp_path / name / "run.json").read_text())
        digest["inputs"]["data"] = data
        (tmp_path / name / "run.json").write_text(json.dumps(digest))
    for run in runs:
        run_json = run / "run.json"
        run_json.write_text(run_json.read_text().replace(str(made_runs[0].parent), str(tmp_path)))
    (board,) = read_boards(read_runs(runs))
    called = [method.name for method in board.methods]
    assert called == ["Base", "GRPO (data ffffffff)", "GRPO (data 00000000)", "CDPO"]


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


def test_ticks_cover_what_is_drawn() -> None:
    assert ticks(0.0, 0.0)[0] == 0
    assert ticks(0.0, 0.0)[-1] == 1
    assert ticks(0.0, 0.83)[0] == 0
    assert ticks(0.0, 0.83)[-1] >= 0.83
    assert ticks(-3.2, 7.0)[0] <= -3.2
    steps = np.diff(ticks(-3.2, 7.0))
    assert np.allclose(steps, steps[0])


@pytest.mark.parametrize(
    ("low", "high", "n", "verdict"),
    [
        (0.10, 0.30, 100, "up"),
        (-0.30, -0.10, 100, "down"),
        (-0.04, 0.03, 100, "none"),
        (0.01, 0.04, 100, "none"),  # real, perhaps, and too small to matter
        (-0.10, 0.30, 100, "undecided"),
        (0.10, 0.30, 99, "undecided"),
    ],
)
def test_a_difference_is_decided_by_its_interval_and_its_n(
    low: float, high: float, n: int, verdict: str
) -> None:
    found = SeededEstimate(
        value=(low + high) / 2, error=None, low=low, high=high, n=n, clusters=n, seeds=((0, 0.0),)
    )
    assert found.verdict == verdict
