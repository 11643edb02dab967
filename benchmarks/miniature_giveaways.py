"""Which questions of the committed test sets give themselves away, and what that does.

    python benchmarks/miniature_giveaways.py mark [--cache FOLDER]
    python benchmarks/miniature_giveaways.py tables [--sets test | all]

`mark` makes every question that a committed grid asked again, from the grid's recipe: its world,
its labels and its selection, in one process on a CPU (two minutes). Labels, scenes and pairs
must be those of the committed records, in their order; then one mark a question and its number
of options are kept in benchmarks/results/miniature/giveaways.json, with a digest of the words.
It needs the question writer of the commit named there. `tables` prints the split of every
committed answer, method by method and seed by seed, from the committed files alone.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from miniature import EVALUATION, dumps
from miniature_records import GIVEAWAYS, MAIN, RECORDS, Grid, marked
from miniature_split import printed

from videothinker.benchmarks.base import Benchmark
from videothinker.cell import Cell
from videothinker.cli import parse
from videothinker.diagnosis.sources import read_source
from videothinker.evaluation.selection import select
from videothinker.giveaways import gives_itself_away
from videothinker.grids import plan
from videothinker.records import Diagnosis, Question
from videothinker.world.stage import world

RECIPES = {
    "headline": "miniature",
    "confirmation": "miniature-confirmation",
    "development": "miniature-development",
    "video": "miniature-video",
    "video_before": "miniature-video",
}
"""Committed grid -> the recipe that made its questions."""
FOLDER = Path(__file__).parents[1] / "recipes"
PAIRS = "minimal_pairs"
HALVES = {"irrelevant": "n", "causal": "c"}
"""Role in a minimal pair -> its letter: not needed, causal."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """The questions of one set, as an evaluation selected them."""

    questions: tuple[Question, ...]
    logs: dict[str, Diagnosis]
    commit: str | None
    """Of the code that wrote the questions."""

    @property
    def labels(self) -> str:
        """One letter a question, as the committed records have it: u for minimal pairs."""
        return "".join(
            "u" if q.split == PAIRS else self.logs[q.id].label[0] for q in self.questions
        )

    @property
    def marks(self) -> str:
        """1 where a question gives itself away, else 0."""
        found = [gives_itself_away(self.logs[q.id].evidence) for q in self.questions]
        return "".join("1" if one else "0" for one in found)

    @property
    def choices(self) -> str:
        """One digit a question: how many options it has."""
        return "".join(str(len(q.choices)) for q in self.questions)

    @property
    def halves(self) -> str:
        """One letter a question of a minimal pair; empty for ordinary questions."""
        return "".join(HALVES[q.groups["role"]] for q in self.questions if q.split == PAIRS)

    @property
    def digest(self) -> str:
        """SHA-256 of what was asked, word for word."""
        words = [[q.question, q.choices, q.answer] for q in self.questions]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def asked_by(cell: Cell, cells: Sequence[Cell]) -> Asked:
    """What an evaluate cell asks: its world is made, its questions are labelled and selected."""
    made_by = {cell.out: cell for cell in cells}
    _, [data, config], _ = parse(cell.words)
    labelled = made_by[data if data in made_by else data.parent]
    _, [folder, diagnosis], _ = parse(labelled.words)
    _, [scenes], _ = parse(made_by[folder].words)
    world(scenes)
    source = read_source(folder, diagnosis, None)
    pairs = config.split == PAIRS
    questions = source.pairs if pairs else source.questions
    logs = {one.question_id: one for one in (source.pair_logs if pairs else source.logs)}
    benchmark = Benchmark("jsonl", tuple(q for q in questions if q.split == config.split), ())
    metadata = json.loads((folder / "run.json").read_text())
    return Asked(select(benchmark, config, logs).questions, logs, metadata.get("commit"))


def check(found: Asked, recorded: dict[str, Any], where: str) -> None:
    """The made questions are those of the committed answers, in their order.

    Their words are compared where a digest of them is recorded.
    """
    ours = {
        "labels": found.labels,
        "scenes": [q.groups["scene"] for q in found.questions],
        "pairs": [q.groups.get("pair", "") for q in found.questions],
        "words": found.digest,
    }
    for name, values in ours.items():
        if name in recorded and list(values) != list(recorded[name]):
            raise SystemExit(
                f"{where}: the {name} of its questions are not those of the committed answers: the "
                f"question writer has changed since; run this at a commit named in {GIVEAWAYS}"
            )


def mark(grid: Grid, cache: Path) -> list[dict[str, Any]]:
    """One row for each set of a grid."""
    recipe = RECIPES[grid.name]
    cells = plan(FOLDER / f"{recipe}.yaml", cache / recipe)
    by_set: dict[str, Cell] = {}
    for cell in cells:
        if cell.words[0] == "evaluate" and (match := EVALUATION.match(cell.name)):
            by_set.setdefault(match["set"], cell)
    rows = []
    known = {row["set"]: {"words": row["questions"]} for row in marked(grid.name)}
    for where, recorded in grid.sets.items():
        found = asked_by(by_set[where], cells)
        check(found, recorded | known.get(where, {}), f"{grid.name}, {where}")
        rows.append(
            {
                "grid": grid.name,
                "set": where,
                "commit": found.commit,
                "questions": found.digest,
                "marks": found.marks,
                "choices": found.choices,
                "halves": found.halves,
            }
        )
        sys.stderr.write(f"{grid.name}, {where}: {found.marks.count('1')} of {len(found.marks)}\n")
    return rows


def main(words: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    verbs = parser.add_subparsers(dest="verb", required=True)
    marking = verbs.add_parser("mark", help="make the questions again and keep one mark each")
    marking.add_argument("--cache", type=Path, default=Path("/tmp/videothinker-giveaways"))
    showing = verbs.add_parser("tables", help="committed records -> the split, to standard output")
    showing.add_argument("--sets", choices=(MAIN, "all"), default=MAIN)
    arguments = parser.parse_args(words)
    if arguments.verb == "tables":
        sys.stdout.write("\n".join(printed(every=arguments.sets == "all")) + "\n")
        return
    os.nice(10)
    rows = [row for name in RECIPES for row in mark(Grid.raw(name), arguments.cache)]
    (RECORDS / GIVEAWAYS).write_text(dumps({"sets": rows}))
    sys.stderr.write(f"wrote {RECORDS / GIVEAWAYS}: {len(rows)} sets\n")


if __name__ == "__main__":
    main()
