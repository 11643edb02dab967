"""The audit's table, computed from its records: answerers by label, the split, whole families."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from videothinker.benchmarks import jsonl
from videothinker.clevrer.answerers import ANSWERERS, OPTIONS, READING
from videothinker.console import columns
from videothinker.diagnosis import classifier
from videothinker.estimates import between, mean, percent
from videothinker.families import WHOLE
from videothinker.giveaways import AWAY, REST, UNKNOWN
from videothinker.records import Audited

GUESS = "a guess"
LABELS = ("observational", "inferential")


def parts(records: Sequence[Audited]) -> dict[str, list[Audited]]:
    """The table's columns but for WHOLE: by label with the split, by kind, all; no empty one."""
    columns: dict[str, list[Audited]] = {}
    for label in LABELS:
        columns[label] = [one for one in records if one.label == label]
    for part in (AWAY, REST, UNKNOWN):
        columns[f"inferential, {part}"] = [r for r in records if r.part == part]
    for kind in sorted({one.kind for one in records if one.kind is not None}):
        columns[kind] = [one for one in records if one.kind == kind]
    columns["all"] = list(records)
    return {name: mine for name, mine in columns.items() if mine}


def _mean(values: Sequence[float], records: Sequence[Audited]) -> dict[str, Any]:
    return asdict(mean(values, [one.cluster for one in records]))


def _families(records: Sequence[Audited]) -> list[list[Audited]]:
    found: dict[str, list[Audited]] = {}
    for one in records:
        if one.family is not None:
            found.setdefault(one.family, []).append(one)
    return list(found.values())


def _answerer(
    name: str, columns: Mapping[str, Sequence[Audited]], families: Sequence[Sequence[Audited]]
) -> dict[str, Any]:
    """One line: the share right of each column's questions, and of the families whole."""
    line: dict[str, Any] = {}
    for column, records in columns.items():
        known = [one for one in records if name in one.right]
        if known:
            line[column] = _mean([float(one.right[name]) for one in known], known)
    whole = [family for family in families if all(name in one.right for one in family)]
    if whole:
        right = [float(all(one.right[name] for one in family)) for family in whole]
        line[WHOLE] = _mean(right, [family[0] for family in whole])
    return line


def _ceiling(
    records: Sequence[Audited], families: Sequence[Sequence[Audited]]
) -> dict[str, Any] | None:
    """What an answerer that never reads the premise can get at most; None without a family."""
    if not families:
        return None
    inside = [one for family in families for one in family]
    most = [1.0 if one.ceiling is None else one.ceiling for one in inside]
    everywhere = [1.0 if one.ceiling is None else one.ceiling for one in records]
    whole = [float(family[0].ceiling == 1) for family in families]
    return {
        "families": len(families),
        "questions": len(inside),
        "right": _mean(most, inside),
        "whole": _mean(whole, [family[0] for family in families]),
        "of_all": _mean(everywhere, records),
    }


def table(records: Sequence[Audited]) -> dict[str, Any]:
    """Every answerer's share right in every column, with clustered 95 % intervals; JSON-ready.

    Returns:
        `questions`, `videos`, `columns` (name -> questions; WHOLE -> families), `gives_away`
        (column -> share; only where it is known), `right` (answerer -> column -> estimate) and
        `ceiling` (None where no two questions differ in their premise alone).
    """
    columns, families = parts(records), _families(records)
    names = [*ANSWERERS, classifier.NAME]
    lines = {name: _answerer(name, columns, families) for name in names}
    lines[GUESS] = {c: _mean([one.chance for one in mine], mine) for c, mine in columns.items()}
    known = {
        column: [one for one in mine if one.gives_itself_away is not None]
        for column, mine in columns.items()
    }
    counts = {name: len(mine) for name, mine in columns.items()}
    return {
        "questions": len(records),
        "videos": len({one.cluster for one in records}),
        "columns": counts | ({WHOLE: len(families)} if families else {}),
        "gives_away": {
            column: _mean([float(bool(one.gives_itself_away)) for one in mine], mine)
            for column, mine in known.items()
            if mine and column in LABELS
        },
        "right": {name: line for name, line in lines.items() if line},
        "ceiling": _ceiling(records, families),
    }


def read_audit(run: Path) -> dict[str, Any] | None:
    """The table of a diagnose run, computed anew from its records; None where it has none.

    Raises:
        UserError: a record that cannot be read.
    """
    records = jsonl.audited(run)
    return table(records) if records else None


def show(estimate: Mapping[str, Any] | None) -> str:
    """`17.3 (12.1 to 23.0)`, or a dash."""
    if estimate is None:
        return "-"
    return f"{percent(estimate['value'])} ({between(estimate['low'], estimate['high'])})"


def reads(name: str) -> str:
    """What an answerer knows, for the table's second column."""
    if name == GUESS:
        return "nothing"
    if name in OPTIONS:
        return "options"
    return "the premise too" if name in READING else "all but the premise"


def lines(found: Mapping[str, Any]) -> list[str]:
    """The table for a person."""
    grid = [["", "knows", *found["columns"]]]
    grid.append(["how many", "", *map(str, found["columns"].values())])
    for name, line in found["right"].items():
        grid.append([name, reads(name), *(show(line.get(column)) for column in found["columns"])])
    # a list of many kinds and few answerers is narrower the other way round
    wide = len(grid[0]) > len(grid)
    rows, left = ([list(row) for row in zip(*grid, strict=True)], 1) if wide else (grid, 2)
    title = (
        f"audit of {found['questions']} questions on {found['videos']} videos: percent right, all "
        "options at once, of answerers that simulate nothing (95 % intervals, by video)"
    )
    told = [title, *(f"  {line}" for line in columns(rows, left))]
    lacking = [name for name in ANSWERERS if name not in found["right"]]
    if lacking:
        told.append(
            f"not asked: {', '.join(lacking)}; they read the event log of the scene and the "
            "question's program, which CLEVRER's layout has and a list has not"
        )
    return [*told, ceiling_line(found["ceiling"])]


def ceiling_line(found: Mapping[str, Any] | None) -> str:
    """The premise-blind ceiling in one sentence."""
    if found is None:
        return (
            "premise-blind ceiling: not known, no two questions share video, options and wording "
            "and differ in their premise"
        )
    many = found["families"]
    return (
        f"premise-blind ceiling: {found['questions']} questions in {many} "
        f"{'family' if many == 1 else 'families'} "
        "share video, options and wording; an answerer that never reads the premise gets at most "
        f"{show(found['right'])} % of them, {show(found['whole'])} % of the families whole, and "
        f"{show(found['of_all'])} % of all {found['of_all']['n']} questions"
    )
