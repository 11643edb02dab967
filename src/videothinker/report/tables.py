"""The tables: main (models by benchmark), ablation (CDPO's variants), diagnostic (by label).

Rows of ours carry their interval, n and the runs behind them; published rows are marked as such.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from statistics import fmean

from videothinker.answering.variants import PROBES
from videothinker.benchmarks import published
from videothinker.console import count
from videothinker.dependence import chance
from videothinker.estimates import between, percent
from videothinker.evaluation import metrics
from videothinker.families import MEANING, WHOLE
from videothinker.giveaways import DEFINITION, UNKNOWN
from videothinker.report.claim import LABELS, Comparison
from videothinker.report.config import TableName
from videothinker.report.estimates import Accuracy, accuracy
from videothinker.report.results import PARTS, Board, Method
from videothinker.report.sheet import NOTHING, Sheet, SheetLine, TableCell
from videothinker.report.sources import BASE, COMPARED
from videothinker.report.terms import UNPARSED
from videothinker.report.words import points, units
from videothinker.run_file import SIMULATED

PUBLISHED = (
    f"Published rows are the paper's ({published.SOURCE}): its models, on the benchmarks' own "
    "videos under its own protocol; never averaged with ours."
)
COMPARABLE = ("clevrer", SIMULATED)
"""Datasets beside which the paper's figures on CLEVRER are worth a look."""
HEADS: dict[str | None, str] = {
    **{label: label.capitalize() for label in LABELS},
    **{part: f"Inferential, {part}" for part in PARTS},
    None: "All",
    WHOLE: WHOLE.capitalize(),
}
"""Columns of the tables by label: inferential accuracy is never shown without its split."""
NOT_KNOWN = TableCell("not known", words="nothing tells which questions give themselves away")


def _cell(estimate: Accuracy | None, column: str | None = None) -> TableCell:
    if estimate is None:
        return NOTHING
    seeds = count(len(estimate.seeds), "training seed")
    words = f"{units(estimate.n, column)}, {count(estimate.clusters, 'video')}, {seeds}"
    spread = between(estimate.low, estimate.high)
    return TableCell(percent(estimate.value), spread, words, percent(estimate.unparsed))


def _columns(board: Board) -> list[str | None]:
    """Those of HEADS that a board has: families stand where there are any."""
    return [name for name in HEADS if name != WHOLE or board.families]


def _heads(board: Board) -> tuple[str, ...]:
    return tuple(HEADS[name] for name in _columns(board))


def _by_label(board: Board, method: Method, variant: str = "full") -> list[TableCell]:
    """One cell for each column."""
    cells = []
    for column in _columns(board):
        cell = _cell(accuracy(board, method, board.units(column), variant), column)
        unknown = column in PARTS and list(board.by_part) == [UNKNOWN]
        cells.append(NOT_KNOWN if unknown else cell)
    return cells


def _about_columns(board: Board) -> str:
    """What the parts are, of how many questions they are not known, and what a family is."""
    missing = len(board.by_part.get(UNKNOWN, ()))
    ending = f"; not known of {count(missing, 'question')}" if missing else ""
    families = f" Families: {MEANING}." if board.families else ""
    return f" Give-aways: {DEFINITION}{ending}.{families}"


def _runs(method: Method) -> tuple[int, ...]:
    return tuple(one.run.number for one in method.evaluations)


def _published_lines(table: str, columns: Sequence[str]) -> list[SheetLine]:
    """The paper's rows under the given columns; a column it does not have stays empty."""
    theirs = published.columns(table)
    lines = []
    for row in published.rows(table):
        values, words = dict(zip(theirs, row.values, strict=True)), f"published in {row.source}"
        found = [values.get(column) for column in columns]
        cells = (NOTHING if one is None else TableCell(f"{one:.1f}", words=words) for one in found)
        name = f"{row.model} ({row.data})" if row.data else row.model
        if any(one is not None for one in found):
            lines.append(SheetLine(name, tuple(cells), published=row.source))
    return lines


def main_sheet(boards: Sequence[Board], tier: str, *, whole: bool) -> Sheet:
    """Exact accuracy of every method on every board of one tier, all questions.

    Published rows stand below ours, in the video tier, under the benchmarks they are about; with
    `whole`, every published benchmark has a column.
    """
    names = list(dict.fromkeys(method.name for board in boards for method in board.methods))
    extra = [name for name in published.columns("main") if name not in {b.dataset for b in boards}]
    extra = extra if whole and tier == "video tier" else []
    lines = []
    for name in names:
        cells, runs = [], []
        for board in boards:
            method = next((method for method in board.methods if method.name == name), None)
            cells.append(_cell(method and accuracy(board, method, board.units())))
            runs += [] if method is None else _runs(method)
        lines.append(SheetLine(name, (*cells, *(NOTHING for _ in extra)), tuple(runs)))
    if tier == "video tier":
        lines += _published_lines("main", [*(board.dataset for board in boards), *extra])
    columns = (*(f"{b.dataset} {b.split} ({b.protocol})" for b in boards), *extra)
    note = "Exact accuracy in percent over all questions, failures included, with 95 % intervals. "
    note += UNPARSED
    if any(line.published for line in lines):
        note += f" {PUBLISHED}"
    return Sheet("main", f"Main table: {tier}", columns, tuple(lines), note)


def own_rule_sheet(board: Board) -> Sheet | None:
    """Exact and soft beside the benchmark's own rule; None where its authors publish none."""
    own = board.own
    if own is None or own.rule is None:
        return None
    lines = []
    for method in board.methods:
        answers = [one.samples["full"] for one in method.evaluations if "full" in one.samples]
        if not answers:
            continue
        ours = [_cell(accuracy(board, method, board.units(), metric=m)) for m in ("exact", "soft")]
        theirs = [
            metrics.own_score([board.questions[q] for q in found], found, own.rule)
            for found in answers
        ]
        lines.append(SheetLine(method.name, (*ours, _own_cell(theirs)), _runs(method)))
    note = f"Percent; the benchmark's own rule, applied to the recorded texts: {own.words}. "
    note += UNPARSED
    columns = ("Exact", "Soft", "Own rule")
    return Sheet(
        "own-rule", f"The benchmark's own rule: {board.title}", columns, tuple(lines), note
    )


def _own_cell(scores: Sequence[metrics.OwnScore]) -> TableCell:
    """The mean over seeds, and what the rule leaves to a judge or out of the denominator."""
    values = [score.value for score in scores if score.value is not None]
    judge = fmean(score.judge for score in scores)
    left_out = fmean(score.left_out for score in scores)
    words = f"a judge would be asked of {percent(judge)} %, left out are {percent(left_out)} %"
    return TableCell(percent(fmean(values)) if values else NOTHING.value, words=words)


def ablation_sheet(board: Board) -> Sheet:
    """Every variant of the trained methods, by label."""
    lines = []
    for method in board.methods:
        if method.role not in (BASE, *COMPARED):
            continue
        lines.append(SheetLine(method.name, tuple(_by_label(board, method)), _runs(method)))
    note = "What sets two methods apart stands in their names; all else is equal between them."
    note += f"{_about_columns(board)} {UNPARSED}"
    return Sheet("ablation", f"Ablation: {board.title}", _heads(board), tuple(lines), note)


def _floors(board: Board) -> list[SheetLine]:
    """What needs no model: always A, a random guess, and, where audited, rules for the premise."""
    always_cells, guess_cells, rule_cells = [], [], []
    known = board.without_simulating
    for column in _columns(board):
        asked = [[board.questions[q] for q in unit] for unit in board.units(column)]
        audited = [unit for unit in board.units(column) if all(q in known for q in unit)]
        right = [all(known[q] for q in unit) for unit in audited]
        words = units(len(audited), column)
        rule_cells.append(TableCell(percent(fmean(right)), words=words) if right else NOTHING)
        if not asked:
            always_cells.append(NOTHING)
            guess_cells.append(NOTHING)
            continue
        words = units(len(asked), column)
        always = fmean(all(q.answer == ("A",) for q in unit) for unit in asked)
        guess = fmean(prod(chance(q, several=board.several) for q in unit) for unit in asked)
        always_cells.append(TableCell(percent(always), words=words))
        guess_cells.append(TableCell(percent(guess), words=words))
    letters = "any letters" if board.several else "one letter"  # as the prompt allows
    lines = [
        SheetLine("Floor: always A", tuple(always_cells)),
        SheetLine(f"Floor: random guess of {letters}", tuple(guess_cells)),
    ]
    if known:
        words = "Floor: reads the premise, simulates nothing"
        lines.append(SheetLine(words, tuple(rule_cells)))
    return lines


def _said(variant: str) -> str:
    return variant.replace("_", " ")


def diagnostic_sheet(board: Board) -> Sheet:
    """Observational against inferential accuracy of every method, for each way of asking."""
    variants = dict.fromkeys(
        variant for method in board.methods for one in method.evaluations for variant in one.samples
    )
    lines = []
    for method in board.methods:
        for variant in variants:
            cells = _by_label(board, method, variant)
            if any(cell not in (NOTHING, NOT_KNOWN) for cell in cells):
                name = method.name if variant == "full" else f"{method.name}, {_said(variant)}"
                lines.append(SheetLine(name, tuple(cells), _runs(method)))
    floors = _floors(board)
    taken = [
        f"{_said(name)}: {probe.about}"
        for name, probe in PROBES.items()
        if name in variants and name != "full"
    ]
    note = f"{'; '.join(('A row without a further word is the question as it is', *taken))}."
    note += f"{_about_columns(board)} {UNPARSED}"
    if board.tier == "video tier" and board.dataset in COMPARABLE:
        theirs = _published_lines("diagnostic", LABELS)
        rest = [name for name in _columns(board) if name not in LABELS]
        empty = tuple(NOT_KNOWN if name in PARTS else NOTHING for name in rest)
        floors += [replace(line, cells=(*line.cells, *empty)) for line in theirs]
        note += f" {PUBLISHED}"
    title = f"Diagnostic: {board.title}"
    return Sheet("diagnostic", title, _heads(board), (*lines, *floors), note)


def differences_sheet(comparisons: Sequence[Comparison]) -> Sheet | None:
    """What the claim rests on: a line for each two methods that are held against each other."""
    if not comparisons:
        return None
    found = {(c.left.name, c.right.name, c.label): c for c in comparisons}
    labels = [name for name in HEADS if any(c.label == name for c in comparisons)]
    pairs = dict.fromkeys((c.left.name, c.right.name) for c in comparisons)
    lines = [
        SheetLine(f"{left} against {right}",
             tuple(_gap(found.get((left, right, name))) for name in labels if name))
        for left, right in pairs
    ]  # fmt: skip
    seeds = comparisons[0].estimate.seeds
    over = " and training seeds" if len(seeds) > 1 else ""
    alone = "" if over else "; one training seed, so its spread is not in them"
    note = (
        "Exact accuracy, in points, with 95 % intervals over questions (clustered by video)"
        f"{over}{alone}."
    )
    columns = tuple(HEADS[name] for name in labels)
    return Sheet("differences", "Paired differences", columns, tuple(lines), note)


def _gap(found: Comparison | None) -> TableCell:
    if found is None:
        return NOTHING
    e = found.estimate
    return TableCell(points(e.value), f"{points(e.low)} to {points(e.high)}", found.words)


def published_ablation() -> Sheet:
    """The paper's ablation: other columns than ours, so a table of its own."""
    lines = _published_lines("ablation", published.columns("ablation"))
    title = "Ablation as published: accuracy over all questions"
    return Sheet("published", title, published.columns("ablation"), tuple(lines), PUBLISHED)


def sheets(boards: Sequence[Board], table: TableName) -> list[Sheet]:
    """The tables asked for; labelled boards have the diagnostic and the ablation."""
    labelled = [board for board in boards if board.labels]
    tiers = dict.fromkeys(board.tier for board in boards) if table in ("all", "main") else {}
    whole = table == "main" or any(b.dataset in published.columns("main") for b in boards)
    found = [main_sheet([b for b in boards if b.tier == tier], tier, whole=whole) for tier in tiers]
    if table in ("all", "main"):
        found += [sheet for board in boards if (sheet := own_rule_sheet(board)) is not None]
    if table in ("all", "diagnostic"):
        found += [diagnostic_sheet(board) for board in labelled]
    varied = [b for b in labelled if len({method.role for method in b.methods}) < len(b.methods)]
    if table in ("all", "ablation"):
        shown = varied if table == "all" else labelled
        found += [ablation_sheet(board) for board in shown]
        found += [published_ablation()] if any(b.dataset in COMPARABLE for b in shown) else []
    return found
