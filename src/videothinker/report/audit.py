"""The audit of a diagnose run in tables: what answerers that simulate nothing get."""

from collections.abc import Mapping
from typing import Any

from videothinker.console import count
from videothinker.diagnosis.audit_table import ceiling_line, read_audit, reads
from videothinker.estimates import between, percent
from videothinker.families import WHOLE
from videothinker.report.sheet import NOTHING, Sheet, SheetLine, TableCell
from videothinker.report.sources import RunFolder


def audit_sheets(run: RunFolder) -> list[Sheet]:
    """The table of a diagnose run's audit; none where it has no record of one.

    Raises:
        UserError: a record that cannot be read.
    """
    found = read_audit(run.path)
    if found is None:
        return []
    columns = tuple(found["columns"])
    lines = [
        SheetLine(f"{name} ({reads(name)})", tuple(_cell(line, column) for column in columns))
        for name, line in found["right"].items()
    ]
    note = (
        "Percent right, all options at once, with 95 % intervals by video; in brackets what an "
        f"answerer knows. {ceiling_line(found['ceiling']).capitalize()}."
    )
    title = "How far an answerer gets that never reads the premise, or simulates nothing"
    return [Sheet("audit", title, columns, tuple(lines), note)]


def _cell(line: Mapping[str, Any], column: str) -> TableCell:
    found = line.get(column)
    if found is None:
        return NOTHING
    what = f"{found['n']:,} families" if column == WHOLE else count(found["n"], "question")
    words = f"{what}, {count(found['clusters'], 'video')}"
    return TableCell(percent(found["value"]), between(found["low"], found["high"]), words)
