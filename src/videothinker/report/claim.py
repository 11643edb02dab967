"""The claim in a few sentences, or why none is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

from videothinker.console import count
from videothinker.estimates import percent
from videothinker.evaluation.metrics import random_guess
from videothinker.families import MEANING, WHOLE
from videothinker.giveaways import AWAY, DEFINITION, REST, UNKNOWN
from videothinker.report.diagnoses import Diagnosed
from videothinker.report.estimates import SeededEstimate, accuracy, difference
from videothinker.report.results import PARTS, Board, Method
from videothinker.report.sources import BASE, COMPARED, NEEDED, ROLES, RunFolder
from videothinker.report.words import interval, points, units

LABELS = ("observational", "inferential")


@dataclass(frozen=True)
class Comparison:
    """A paired difference between two methods: on a label, a part of the inferential, families."""

    left: Method
    right: Method
    label: str
    estimate: SeededEstimate

    @property
    def words(self) -> str:
        """The difference with its interval and counts."""
        e = self.estimate
        seeds = count(len(e.seeds), "training seed")
        return (
            f"{self.left.name} against {self.right.name}, {self.label}: {points(e.value)} points "
            f"({interval(e)}; {units(e.n, self.label)}, {count(e.clusters, 'video')}, {seeds})"
        )


@dataclass(frozen=True)
class Claim:
    """The page's first line, whether it claims something, and the figures it rests on."""

    headline: str
    drawn: bool
    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def warnings_of(runs: Sequence[RunFolder]) -> tuple[str, ...]:
    """What the runs warn about (facts["warnings"]), each once."""
    found: dict[str, None] = {}
    for run in runs:
        for warning in run.facts.warnings:
            found.setdefault(str(warning), None)
    return tuple(found)


def comparisons_of(board: Board) -> tuple[Comparison, ...]:
    """GRPO against its base, every other method against GRPO; by label, part and family."""
    base, grpo = board.method(BASE), board.method("GRPO")
    trained = [one for one in board.methods if one.role in COMPARED and one is not grpo]
    pairs = [(grpo, base), *((method, grpo) for method in trained)]
    found = []
    for left, right in pairs:
        for label in (*LABELS, *board.parts, WHOLE):
            if left is None or right is None:
                continue
            estimate = difference(board, left, right, board.units(label))
            if estimate is not None:
                found.append(Comparison(left, right, label, estimate))
    return tuple(found)


def _against_base(e: SeededEstimate) -> str:
    if e.verdict == "undecided":
        return "GRPO is not told from its base"
    if e.verdict == "none":
        return "GRPO stays where its base was (within 5 points)"
    verb = "gained" if e.value > 0 else "lost"
    return f"GRPO {verb} {100 * abs(e.value):.1f} points against its base"


def _against_grpo(name: str, e: SeededEstimate) -> str:
    if e.verdict == "undecided":
        return f"{name} is not told from GRPO"
    if e.verdict == "none":
        return f"{name} stands level with GRPO (within 5 points)"
    side = "above" if e.value > 0 else "below"
    return f"{name} stands {100 * abs(e.value):.1f} points {side} GRPO"


def _told(found: Sequence[Comparison]) -> str:
    """Every comparison of one label in words."""
    return "; ".join(
        _against_base(c.estimate) if c.right.role == BASE
        else _against_grpo(c.left.name, c.estimate)
        for c in found
    )  # fmt: skip


def _of_families(comparisons: Sequence[Comparison]) -> list[str]:
    """The same of families that are right as a whole, where the questions have any."""
    found = [c for c in comparisons if c.label == WHOLE]
    if not found:
        return []
    n = max(c.estimate.n for c in found)
    return [f"Of {units(n, WHOLE)} right as a whole: {_told(found)}."]


def _part_of(
    whole: Comparison, comparisons: Sequence[Comparison], part: str
) -> SeededEstimate | None:
    """The same two methods on one part of the inferential questions."""
    same = (whole.left.name, whole.right.name, part)
    found = (c.estimate for c in comparisons if (c.left.name, c.right.name, c.label) == same)
    return next(found, None)


def _same_way(e: SeededEstimate | None, whole: SeededEstimate) -> bool:
    """Does the interval lie on the side of zero where the whole difference lies?"""
    return e is not None and (e.low > 0 if whole.value > 0 else e.high < 0)


def _located(whole: Comparison, comparisons: Sequence[Comparison]) -> str:
    """Where a difference sits: in give-aways alone, on the rest too, or nobody can say."""
    away, rest = (_part_of(whole, comparisons, part) for part in PARTS)
    name, e = whole.left.name, whole.estimate
    if rest is None:
        return f"of {name} nothing is known on {REST}"
    if e.verdict == "none":
        told = rest.low > 0 or rest.high < 0
        where = f"{'above' if rest.value > 0 else 'below'}" if told else "not told from"
        return f"on {REST} {name} is {where} {whole.right.name}"
    what = f"{name}'s {'gain' if e.value > 0 else 'loss'}"
    if _same_way(rest, e):
        return f"{what} is shown on {REST} too"
    if _same_way(away, e):
        return f"{what} is shown in these alone"
    return f"where {what} sits cannot be said"


def _where(board: Board, wholes: Sequence[Comparison], comparisons: Sequence[Comparison]) -> str:
    """How many inferential questions give themselves away, and what is shown on the others."""
    split = {part: len(ids) for part, ids in board.by_part.items()}
    total = sum(split.values())
    if UNKNOWN in split:
        which = "all" if split[UNKNOWN] == total else f"{split[UNKNOWN]:,}"
        return (
            f"Whether inferential questions give themselves away is not known of {which} of them."
        )
    if AWAY not in split:
        return "No inferential question gives itself away."
    begin = f"{split[AWAY]:,} of the {total:,} inferential questions give themselves away"
    if REST not in split:
        return f"{begin}: nothing is measured beyond them."
    return f"{begin}: {', '.join(_located(c, comparisons) for c in wholes)}."


def _about_parts(board: Board) -> list[str]:
    """What a family and a give-away are, and what a guess has of the rest: a describer is wrong on
    all of it.
    """
    families = [f"A family is {MEANING}."] if board.families else []
    split = board.by_part
    if AWAY not in split:
        return families
    others = [board.questions[q] for q in split.get(REST, ())]
    guess = random_guess(others, several=board.several) if others else 0.0
    ending = f"; a guess has {percent(guess)} % of {REST}" if others else ""
    return [*families, f"Questions give themselves away where {DEFINITION}{ending}."]


def _seeds(methods: Sequence[Method]) -> int:
    """Training seeds of the method with the fewest; a base is the same for all of them."""
    return min(len(method.evaluations) for method in methods if method.role != BASE)


def _sizes(board: Board, methods: Sequence[Method]) -> str:
    n = dict.fromkeys(LABELS, 0)
    for label in LABELS:
        for e in (accuracy(board, method, board.units(label)) for method in methods):
            n[label] = max(n[label], e.n if e else 0)
    seeds = _seeds(methods)
    return (
        f"n = {n['inferential']} inferential and {n['observational']} observational questions, "
        f"{count(seeds, 'training seed')} a method"
    )


def _sentence(board: Board, comparisons: Sequence[Comparison]) -> tuple[str, bool]:
    methods = [method for method in board.methods if method.role in (BASE, *COMPARED)]
    hard = [c for c in comparisons if c.label == "inferential"]
    first = next((c for c in hard if c.right.role == BASE), None)
    others = [c for c in hard if c.right.role == "GRPO"]
    roles = {method.role for method in methods}
    if others:
        roles.add("CDPO")  # another trained method does as well
    missing = [role for role in (BASE, "GRPO", "CDPO") if role not in roles]
    if missing or first is None or not others:
        what = f"an evaluation of {' and '.join(missing)}" if missing else "labelled questions"
        return f"Nothing is compared yet: {what} is not among these runs.", False
    sizes = _sizes(board, methods)
    verdicts = [c.estimate.verdict for c in others]
    if first.estimate.verdict == "undecided" or set(verdicts) == {"undecided"}:
        return f"Underpowered, {sizes}: no claim is drawn from these numbers.", False
    one = _seeds(methods) == 1
    scope = "; one training seed speaks for these models, not for the method" if one else ""
    told = f"On inferential questions {_told(hard)} ({sizes}{scope})."
    where = _where(board, (first, *others), comparisons)
    return " ".join([told, where, *_of_families(comparisons)]), True


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _coverage(boards: Sequence[Board]) -> list[str]:
    """Methods that did not answer the whole board: pairs are then made on what both answered."""
    notes = []
    for board in boards:
        for method in board.methods:
            for one in method.evaluations:
                n = len(one.samples.get("full", {}))
                if n < len(board.questions):
                    whole = f"{n:,} of {len(board.questions):,} questions of {board.title}"
                    notes.append(f"{one.run.name} answers {whole}; pairs use what both answered.")
    return notes


def _notes(runs: Sequence[RunFolder]) -> list[str]:
    notes = [
        f"{run.path.name} ({run.stage}) is {run.metadata.status}: its figures may still move."
        for run in runs
        if not run.done and run.stage in NEEDED
    ]
    for run in runs:
        failures = run.metadata.failures
        if failures and run.stage not in ROLES:  # what training failed at is in its warnings
            notes.append(
                f"{run.path.name} ({run.stage}) recorded {count(failures, 'failure')}; "
                "they stay in the denominator."
            )
    return notes


def _diagnosed(found: Diagnosed) -> str:
    if not found.used:
        asked = count(len(found.questions), "question")
        state = "audited, none is labelled" if not found.rows else "excluded, all of them"
        return f"{asked} are {state}; no model is evaluated here."
    share = next((s for s in found.labels if s.name == "observational"), None)
    value = percent(share.value) if share else "0.0"
    away = next((s for s in found.give_aways if s.name == "inferential"), None)
    told = "is not known" if away is None else f"holds for {percent(away.value)} % of {away.n:,}"
    return (
        f"{value} % of {count(len(found.used), 'question')} can be answered by describing the "
        f"video (rule {', '.join(found.chosen)}); that {DEFINITION}, which gives an inferential "
        f"question away, {told}; no model is evaluated here."
    )


def make_claim(
    boards: Sequence[Board], runs: Sequence[RunFolder], diagnoses: Sequence[Diagnosed] = ()
) -> Claim:
    """The claim of the first labelled board; a run's own warnings come before it.

    Without an evaluation it is what the first diagnosis found.
    """
    warnings = warnings_of(runs)
    told = [_sentence_case(w) for w in warnings if ": " in w]
    same = [words for board in boards for words in board.unchanged]
    notes = (*told, *same, *_notes(runs), *_coverage(boards))
    labelled = [board for board in boards if board.labels]
    if not boards and diagnoses:
        return Claim(_diagnosed(diagnoses[0]), False, (), warnings, notes)
    if not labelled:
        without = (
            "No question here has a diagnosis: accuracies stand in the tables, no claim is drawn."
        )
        headline = without if boards else "Nothing is evaluated here, and nothing diagnosed."
        return Claim(headline, False, (), warnings, notes)
    notes = (*notes, *_about_parts(labelled[0]))
    comparisons = comparisons_of(labelled[0])
    sentence, drawn = _sentence(labelled[0], comparisons)
    if drawn and warnings:
        sentence, drawn = f"No claim is drawn; measured: {sentence}", False
    leads = [_sentence_case(w.split(": ")[0]) for w in warnings]
    return Claim(" ".join([*leads, sentence]), drawn, comparisons, warnings, notes)
