"""What probing a model found, in tables: computed anew from the diagnose run's samples."""

import math
from collections.abc import Mapping
from typing import Any

from videothinker.console import count
from videothinker.diagnosis.effects import HAPPENS
from videothinker.diagnosis.insight import INTERVENTIONS, read_insight
from videothinker.estimates import between, percent
from videothinker.report.sheet import NOTHING, Sheet, SheetLine, TableCell
from videothinker.report.sources import RunFolder
from videothinker.report.words import points

Findings = Mapping[str, Any]
EFFECTS = {
    "reasoning": "truth after the removal (reasoning)",
    "observation": "what the video shows (observation)",
}


def probing_sheets(run: RunFolder) -> list[Sheet]:
    """The tables of a diagnose run that probed a model; none where it did not.

    Raises:
        UserError: a record that cannot be read.
    """
    found = read_insight(run.path, run.seed)
    if found is None:
        return []
    sheets = [_video(found["video"])] if found.get("video") else []
    if "agreement" in found:
        sheets.append(_agreement(found))
    if any(name in found for name in INTERVENTIONS):
        sheets.append(_reliance(found))
    if found.get("causal"):
        sheets += [_cells(found["causal"]["reasoning"]["adjusted"]), _effects(found["causal"])]
    return sheets


def _video(found: Findings) -> Sheet:
    names = ("blind_gap", "visual_gain")
    lines = [
        SheetLine(part, tuple(_estimate(row[name], signed=True) for name in names))
        for part, row in found.items()
    ]
    note = (
        "Points, with 95 % intervals by video. Blind Gap: right without the video, minus a guess "
        "of one option, or of any set of them where questions have several right ones. "
        "Visual Gain: right with the video, minus right without it."
    )
    title = "Does the model need the video?"
    return Sheet("video", title, ("Blind Gap", "Visual Gain"), tuple(lines), note)


def _percent(value: float | None, n: int) -> TableCell:
    return NOTHING if value is None else TableCell(percent(value), words=f"n = {n:,}")


def _f1(row: Findings) -> TableCell:
    if row["f1"] is None:
        return NOTHING
    kappa = NOTHING.value if row["kappa"] is None else f"{row['kappa']:.2f}"
    words = f"F1 on {count(row['n'], 'question')}; in brackets Cohen's kappa"
    return TableCell(percent(row["f1"]), f"({kappa})", words)


def _agreement(found: Findings) -> Sheet:
    by_size = found["agreement_by_samples"]
    lines = []
    for rule, row in found["agreement"].items():
        if row["n"] == 0:
            continue
        cells = [
            *(_percent(row[key], row["n"]) for key in ("precision", "recall")),
            *(_f1(rows[rule]) for rows in by_size.values()),
            *(_percent(row["all_f1"], row["n"]), _f1(found["agreement_shuffled"][rule])),
        ]
        lines.append(SheetLine(rule, tuple(cells)))
    sizes = [f"F1, {count(int(size), 'sample')}" for size in by_size]
    columns = ("precision", "recall", *sizes, "F1, all observational", "F1, shuffled answers")
    note = (
        "Percent, all samples voting unless it is said; in brackets Cohen's kappa, 0 where a label "
        "knows nothing. Two floors: every question called observational, and the right answers "
        "shuffled among alike questions."
    )
    title = "Labels by probing against the rules of the event logs"
    return Sheet("agreement", title, columns, tuple(lines), note)


def _share(row: Findings) -> TableCell:
    if row["value"] is None:
        return NOTHING
    words = f"{row['count']:,} of {row['n']:,}"
    return TableCell(percent(row["value"]), between(row["low"], row["high"]), words)


def _reliance(found: Findings) -> Sheet:
    keys = ("stays_when_should_change", "changes_when_should_stay", "both_right")
    lines = [
        SheetLine(
            words,
            (
                *(_share(found[name][key]) for key in keys),
                TableCell(f"{found[name]['unanswered']:,}"),
            ),
        )
        for name, words in INTERVENTIONS.items()
        if name in found
    ]
    note = (
        "Video and options stay, the premise changes; percent of the questions whose right answer "
        "changes, of those whose right answer stays, and of all, with 95 % intervals. An answer "
        "that stays where it should change is the shortcut."
    )
    columns = ("stays, should change", "changes, should stay", "both right", "unanswered")
    return Sheet("reliance", "What the answer does with the premise", columns, tuple(lines), note)


def _estimate(row: Findings, *, signed: bool = False) -> TableCell:
    show = points if signed else percent
    known = math.isfinite(row["low"]) and math.isfinite(row["high"])
    return TableCell(
        show(row["value"]), f"{show(row['low'])} to {show(row['high'])}" if known else ""
    )


def _cells(rows: list[Findings]) -> Sheet:
    lines = []
    for row in rows:
        seen = {cell["observation"]: cell for cell in row["cells"]}
        cells = [_estimate(row["conditional"]), _estimate(row["adjusted"])]
        for name in HAPPENS.values():
            cell = seen.get(name)
            if cell is None or cell["rate"] is None:
                cells.append(TableCell("no case", words="positivity fails here"))
            else:
                words = f"n = {cell['n']:,}; P(seen | question) = {cell['weight']:.3f}"
                cells.append(TableCell(percent(cell["rate"]), f"n = {cell['n']:,}", words))
        lines.append(
            SheetLine(f"{row['query']}: {row['treatment']} after the removal", tuple(cells))
        )
    note = (
        "Percent of answers to options, with 95 % intervals over videos. The adjusted column sums "
        "P(A | T, O, Q) P(O | Q) over what the video shows (the two columns on the right)."
    )
    columns = (
        *("P(A | T, Q)", "adjusted, P(A | do(T), Q)"),
        *(f"where it {name} in the video" for name in HAPPENS.values()),
    )
    title = "How often the model says that an option's event happens"
    return Sheet("causal", title, columns, tuple(lines), note)


def _effects(causal: Findings) -> Sheet:
    queries = dict.fromkeys(row["query"] for told in causal.values() for row in told["effect"])
    lines = []
    for name, words in EFFECTS.items():
        effect = {row["query"]: row["effect"] for row in causal[name]["effect"]}
        cells = [
            _estimate(effect[query], signed=True) if query in effect else NOTHING
            for query in queries
        ]
        lines.append(SheetLine(words, tuple(cells)))
    note = (
        "Points, the other of the two held fixed: 0 and 100 for a model that only describes, "
        "100 and 0 for one that only reasons."
    )
    columns = tuple(f"{query} questions" for query in queries)
    return Sheet("effects", "What moves the answer", columns, tuple(lines), note)
