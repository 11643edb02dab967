"""Compact records of a grid of methods, and what can be said from them.

    python benchmarks/miniature.py collect RUNS --out benchmarks/results/miniature/NAME.json
    python benchmarks/miniature.py tables

`collect` reads a grid's folder (`videothinker reproduce GRID.yaml --out RUNS`): every evaluation
called `SET--METHOD--sSEED` (of an untrained base `SET--METHOD`) and every training run
`METHOD--sSEED`. It keeps one digit a question, so that every table can be recomputed from what is
committed; the records call the method `arm`. `tables`
writes docs/results_old_world.md, the tables of other pages and the figures from the committed
records alone; a test holds the tables to them.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import miniature_pages
from miniature_families import SHORTCUT, figures
from miniature_records import CHANGES, FOLLOWS, RIGHT, SIMULATED, VALID
from miniature_tables import old_world

from videothinker.benchmarks import jsonl
from videothinker.grids import plan
from videothinker.records import Diagnosis, Question, Sample, Step, read_jsonl

DOCS = Path(__file__).parents[1] / "docs"
EVALUATION = re.compile(r"(?P<set>[^-]+(?:-[^-]+)*)--(?P<arm>.+?)(?:--s(?P<seed>\d+))?$")
TRAINING = re.compile(r"(?P<arm>.+?)--s(?P<seed>\d+)$")
SIMULATES = "<think>Without"
"""How an answer begins that removes the object (docs/base_model.md)."""
EVERY = 10
"""Training steps averaged into one point of a kept curve."""


def digit(sample: Sample, prefill: str, *, follows: bool) -> str:
    """One answer as a digit, in base 16."""
    simulated = (prefill + sample.text).startswith(SIMULATES)
    found = RIGHT * (sample.exact == 1) + VALID * bool(sample.format) + SIMULATED * simulated
    return f"{found + FOLLOWS * follows:x}"


def following(questions: Sequence[Question], samples: Mapping[str, Sample]) -> set[str]:
    """Questions whose answer is another than that to the other question of their pair or family."""
    twos: dict[str, list[str]] = {}
    for question in questions:
        if two := pair_of(question):
            twos.setdefault(two, []).append(question.id)
    return {
        one
        for ids in twos.values()
        for one in ids
        if len({samples[other].answer for other in ids}) == len(ids) > 1
    }


def pair_of(question: Question) -> str:
    """Its family, or its minimal pair; empty where it has none."""
    return question.groups.get("family") or question.groups.get("pair", "")


def read_metadata(run: Path) -> dict[str, Any]:
    """A run's run.json."""
    return json.loads((run / "run.json").read_text())


def evaluation(run: Path, sets: dict[str, Any], found: re.Match[str]) -> dict[str, Any]:
    """The compact record of one evaluate run; describes its questions in `sets` once."""
    questions = read_jsonl(run / "questions.jsonl", Question)
    samples = {s.question_id: s for s in read_jsonl(run / "samples.jsonl", Sample)}
    found_labels = run / "diagnosis.jsonl"
    rows = read_jsonl(found_labels, Diagnosis) if found_labels.is_file() else []
    labels = {row.question_id: row.label for row in rows}
    metadata = read_metadata(run)
    prefill = metadata["facts"]["protocol"]["prefill"]
    asked = {
        "labels": "".join(labels.get(q.id, "unknown")[0] for q in questions),
        "scenes": [q.groups.get("scene", q.id) for q in questions],
        "pairs": [pair_of(q) for q in questions],
        "prefill": prefill,
        "shortcut": shortcut(Path(metadata["facts"].get("data", run))),
        "changes": "".join(CHANGES.get(q.groups.get("change", ""), "-") for q in questions),
    }
    if sets.setdefault(found["set"], asked) != asked:
        raise SystemExit(f"{run}: asks other questions than the other runs of {found['set']!r}")
    follow = following(questions, samples)
    return {
        "set": found["set"],
        "arm": found["arm"],
        "seed": None if found["seed"] is None else int(found["seed"]),
        "answers": "".join(
            digit(samples[q.id], prefill, follows=q.id in follow) for q in questions
        ),
    }


def shortcut(diagnosis: Path) -> str:
    """1 for every question that an answerer gets right which simulates nothing, else 0."""
    rows = jsonl.audited(diagnosis)
    return "".join(str(int(row.right[SHORTCUT])) for row in rows if SHORTCUT in row.right)


def training(run: Path, found: re.Match[str]) -> dict[str, Any]:
    """The compact record of one training run: its settings that differ, and its curves.

    Other cells of the grid are named by their folders in it, wherever the grid lies.
    """
    metadata = read_metadata(run)
    steps = read_jsonl(run / "metrics.jsonl", Step)
    chunks = [steps[i : i + EVERY] for i in range(0, len(steps), EVERY)]

    def curve(values: Sequence[Sequence[float | None]]) -> list[float | None]:
        kept = [[v for v in some if v is not None] for some in values]
        return [round(math.fsum(some) / len(some), 4) if some else None for some in kept]

    def metric(name: str) -> list[float | None]:
        return curve([[s.metrics.get(name) for s in chunk] for chunk in chunks])

    root = f"{run.parent}/"
    config = {
        k: v.removeprefix(root) if isinstance(v, str) else v
        for k, v in metadata["config"].items()
        if k not in ("out", "model", "bias", "seed")
    }
    bias, measured = metadata["config"].get("bias"), run / "success.jsonl"
    words = metadata["argv"]
    probed = Path(words[words.index("--data") + 1]) / "samples.jsonl"
    return {
        "arm": found["arm"],
        "seed": int(found["seed"]),
        "completions": round(math.fsum(s.metrics["completions"] for s in steps)),
        "measured": len(read_jsonl(measured, Sample)) if measured.is_file() else 0,
        "probed": len(read_jsonl(probed, Sample)) if probed.is_file() else 0,
        "bias": None if bias is None else bias.removeprefix(root),
        "config": config,
        "commit": metadata.get("commit"),
        "seconds": metadata["facts"].get("training_seconds"),
        "guarded_steps": sum(s.guard is not None for s in steps),
        "curves": {
            "divergence": curve([[s.divergence for s in chunk] for chunk in chunks]),
            "entropy": curve([[s.entropy for s in chunk] for chunk in chunks]),
            "valid": curve([[s.valid for s in chunk] for chunk in chunks]),
            "repulsion": curve([[s.repulsion for s in chunk] for chunk in chunks]),
            "inferential_share": metric("share/inferential"),
            "reward_inferential": metric("reward/inferential"),
            "reward_observational": metric("reward/observational"),
        },
    }


def collect(root: Path) -> dict[str, Any]:
    """All finished runs of a grid, in its order; the others are named."""
    sets: dict[str, Any] = {}
    evaluations, trainings, unfinished = [], [], []
    for cell in plan(root / "grid.yaml", root):
        run = cell.out
        metadata = read_metadata(run) if (run / "run.json").is_file() else {"status": "not started"}
        if metadata["status"] != "done":
            unfinished.append(run.name)
        elif metadata["stage"] == "evaluate" and (found := EVALUATION.match(run.name)):
            evaluations.append(evaluation(run, sets, found))
        elif metadata["stage"].startswith("train_") and (found := TRAINING.match(run.name)):
            trainings.append(training(run, found))
    return {
        "sets": sets,
        "evaluations": evaluations,
        "trainings": trainings,
        "unfinished": unfinished,
    }


def main(words: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    verbs = parser.add_subparsers(dest="verb", required=True)
    gather = verbs.add_parser("collect", help="a grid's folder -> compact records")
    gather.add_argument("runs", type=Path)
    gather.add_argument("--out", type=Path, required=True)
    verbs.add_parser("tables", help="committed records -> the tables and figures of the pages")
    arguments = parser.parse_args(words)
    if arguments.verb == "tables":
        (DOCS / "results_old_world.md").write_text(old_world())
        miniature_pages.main()
        for path, drawn in figures().items():
            path.write_text(drawn)
            sys.stderr.write(f"wrote {path}\n")
        return
    found = collect(arguments.runs)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(dumps(found))
    count = f"{len(found['evaluations'])} evaluations and {len(found['trainings'])} trainings"
    sys.stderr.write(f"wrote {arguments.out}: {count}\n")


def dumps(found: dict[str, Any]) -> str:
    """JSON with one record a line, so that a diff shows which run changed."""
    lines = []
    for key, value in found.items():
        rows = value if isinstance(value, list) else [{name: value[name]} for name in value]
        body = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        lines.append(f'"{key}": [\n{body}\n]' if rows else f'"{key}": []')
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()
