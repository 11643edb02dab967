"""Unparsed beside accuracies, the telling questions, unchanged weights, commands to paste."""

import json
import shlex
from pathlib import Path

import msgspec
import pytest

from tests.report.report_runs import AWAY, copied, with_truths
from videothinker.diagnosis.probes import FLAGS
from videothinker.diagnosis.rules import LogFacts, flags
from videothinker.giveaways import REST, part_of
from videothinker.records import Sample, read_jsonl, write_jsonl
from videothinker.report import terms
from videothinker.report.claim import make_claim
from videothinker.report.config import ReportConfig
from videothinker.report.overview import rows
from videothinker.report.provenance import entries, whole_script
from videothinker.report.results import Board, Method, read_boards
from videothinker.report.sources import read_runs
from videothinker.report.stage import report
from videothinker.report.tables import sheets
from videothinker.report.telling import MOST, choices, telling


def change_samples(run: Path, **fields: object) -> None:
    path = run / "samples.jsonl"
    found = [msgspec.structs.replace(s, **fields) for s in read_jsonl(path, Sample)]
    write_jsonl(path, found)


def test_unparsed_stands_beside_every_accuracy(made_runs: list[Path], tmp_path: Path) -> None:
    """Every third answer of one of two seeds is cut off: a sixth of GRPO's answers."""
    runs = copied(made_runs, tmp_path)
    path = tmp_path / "evaluate-grpo-seed0" / "samples.jsonl"
    found = read_jsonl(path, Sample)
    hard = [i for i, s in enumerate(found) if int(s.question_id[-4:]) % 3 == 0]
    cut = {i: msgspec.structs.replace(found[i], verdict="truncated", exact=0.0) for i in hard[::2]}
    write_jsonl(path, [cut.get(i, s) for i, s in enumerate(found)])
    (board,) = read_boards(read_runs(runs))
    by_name = {row.method.name: row for row in rows(board)}
    assert by_name["GRPO"].estimates["inferential"].unparsed == pytest.approx(len(cut) / 32)
    assert by_name["GRPO"].estimates["observational"].unparsed == 0
    assert by_name["GRPO"].unparsed == "unparsed 0.0 / 25.0 %"
    assert by_name["CDPO"].unparsed == "unparsed 0.0 %"
    for sheet in sheets([board], "all"):
        shown = [c for line in sheet.lines for c in line.cells if c.interval]
        assert shown
        assert all(cell.unparsed for cell in shown)
    text = report(runs, ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "unparsed 0.0 / 25.0 %" in text
    assert '<span class="unparsed">unparsed 25.0</span>' in text


def shares(board: Board, method: Method, question: str) -> float:
    scores = [one.scores()[question] for one in method.evaluations]
    return sum(scores) / len(scores)


def test_the_ten_most_telling_questions_follow_their_rule(
    made_runs: list[Path], tmp_path: Path
) -> None:
    runs = with_truths(copied(made_runs, tmp_path), AWAY)
    (board,) = read_boards(read_runs(runs))
    found = {method.name: (other.name, list(ids)) for method, other, ids in choices(board)}
    assert {name: other for name, (other, _) in found.items()} == {"GRPO": "Base", "CDPO": "GRPO"}
    cdpo, grpo = board.method("CDPO"), board.method("GRPO")
    assert cdpo is not None
    assert grpo is not None
    ids = found["CDPO"][1]
    gaps = {q: shares(board, cdpo, q) - shares(board, grpo, q) for q in board.questions}
    gained, lost = [q for q in ids if gaps[q] > 0], [q for q in ids if gaps[q] < 0]
    assert len(ids) == len(set(ids)) == MOST == len(gained) + len(lost)
    for side, sign in ((gained, 1), (lost, -1)):
        worst = min(sign * gaps[q] for q in side)
        left = [q for q in gaps if q not in ids and sign * gaps[q] > worst]
        assert left == []
        largest = [q for q in gaps if gaps[q] == gaps[side[0]]]
        parts = [part_of(board.labels[q]) for q in largest if q in board.ids("inferential")]
        if REST in parts:
            assert part_of(board.labels[side[0]]) == REST
    assert telling(board, cdpo, grpo) == ids
    assert telling(board, cdpo, cdpo) == []


def test_unchanged_weights_are_shown_as_such(made_runs: list[Path], tmp_path: Path) -> None:
    runs = copied(made_runs, tmp_path)
    change_samples(tmp_path / "evaluate-grpo-seed1", model="base")
    folders = read_runs(runs)
    claim = make_claim(read_boards(folders), folders)
    told = [note for note in claim.notes if "very weights" in note]
    sentence = (
        "The model of evaluate-grpo-seed1 (GRPO, seed 1) has the very weights of that of "
        "evaluate-base (Base, seed 0); its training changed nothing."
    )
    assert told == [sentence]
    text = report(runs, ReportConfig(out=tmp_path / "r.html")).read_text()
    assert told[0] in text


def test_commands_can_be_pasted(made_runs: list[Path], tmp_path: Path) -> None:
    """A grid starts its cells as `python -m videothinker.cli`, whose argv names a file."""
    runs = copied(made_runs, tmp_path)
    said = ["train", "grpo", "--data", "my runs/diagnosis", "--out", "runs/grpo"]
    for run, argv in (("train-grpo-seed0", ["/x/videothinker/cli.py", *said]),
                      ("evaluate-base", ["/x/notebook.py", "train"])):  # fmt: skip
        path = tmp_path / run / "run.json"
        plain = json.loads(path.read_text())
        path.write_text(json.dumps({**plain, "argv": argv}))
    folders = read_runs(runs)
    by_name = {one.run.name: one for one in entries(folders)}
    command = by_name["train-grpo-seed0"].command
    assert command == "videothinker train grpo --data 'my runs/diagnosis' --out runs/grpo"
    assert shlex.split(command)[1:] == said
    assert by_name["evaluate-base"].command is None
    assert by_name["evaluate-base"].called == "from Python, by notebook.py"
    assert whole_script(folders) == command


def test_every_rule_and_flag_has_its_meaning() -> None:
    facts = LogFacts((frozenset((1, 2)),), ("x",), (), 0, False, (True,))
    assert all(terms.meaning(rule) for rule in (*flags(facts), *FLAGS.values()))
    assert terms.meaning("of a stranger") == ""


def test_a_transcripts_letters_are_explained() -> None:
    compact = "Frame 0: red bc, blue gone.\nEvents (5% missing): red enters."
    assert terms.of_transcript([None, compact]) == terms.COMPACT
    assert terms.of_transcript(["Objects: red cube.\nFrame 0: nothing in view."]) == terms.FULL
    assert terms.of_transcript([None, "A story of one's own."]) == ""
