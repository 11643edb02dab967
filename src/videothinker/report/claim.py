"""The claim in one sentence, or why none is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

from videothinker.evaluation.metrics import random_guess
from videothinker.giveaways import AWAY, DEFINITION, REST, UNKNOWN
from videothinker.report.diagnoses import Diagnosed
from videothinker.report.estimates import Measured, accuracy, difference
from videothinker.report.results import PARTS, Arm, Board
from videothinker.report.sources import TRAINING, RunFolder
from videothinker.report.words import count, interval, percent, points

LABELS = ("observational", "inferential")


@dataclass(frozen=True)
class Contrast:
    """A paired difference between two arms on one label, or on one part of the inferential."""

    left: Arm
    right: Arm
    label: str
    estimate: Measured

    @property
    def words(self) -> str:
        """The difference with its interval and counts."""
        e = self.estimate
        seeds = count(len(e.seeds), "training seed")
        return (
            f"{self.left.name} against {self.right.name}, {self.label}: {points(e.value)} points "
            f"({interval(e)}; {count(e.n, 'question')}, {count(e.clusters, 'video')}, {seeds})"
        )


@dataclass(frozen=True)
class Claim:
    """The page's first line, whether it claims something, and the figures it rests on."""

    headline: str
    drawn: bool
    contrasts: tuple[Contrast, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def warnings_of(runs: Sequence[RunFolder]) -> tuple[str, ...]:
    """What the runs warn about (facts["warnings"]), each once."""
    found: dict[str, None] = {}
    for run in runs:
        for warning in run.facts.get("warnings", []):
            found.setdefault(str(warning), None)
    return tuple(found)


def contrasts_of(board: Board) -> tuple[Contrast, ...]:
    """GRPO against its base, and every other trained arm against GRPO, for each label and part."""
    base, grpo = board.arm("Base"), board.arm("GRPO")
    trained = [arm for arm in board.arms if arm.role in ("GRPO", "CDPO") and arm is not grpo]
    pairs = [(grpo, base), *((arm, grpo) for arm in trained)]
    found = []
    for left, right in pairs:
        for label in (*LABELS, *PARTS):
            if left is None or right is None:
                continue
            estimate = difference(board, left, right, board.column(label))
            if estimate is not None:
                found.append(Contrast(left, right, label, estimate))
    return tuple(found)


def _against_base(e: Measured) -> str:
    if e.verdict == "none":
        return "GRPO left inferential accuracy where its base was (within 5 points)"
    verb = "gained" if e.value > 0 else "lost"
    return f"GRPO {verb} {100 * abs(e.value):.1f} points on inferential questions against its base"


def _against_grpo(name: str, e: Measured) -> str:
    if e.verdict == "none":
        return f"{name} stands level with GRPO there (within 5 points)"
    side = "above" if e.value > 0 else "below"
    return f"{name} stands {100 * abs(e.value):.1f} points {side} GRPO"


def _part_of(whole: Contrast, contrasts: Sequence[Contrast], part: str) -> Measured | None:
    """The same two arms on one part of the inferential questions."""
    same = (whole.left.name, whole.right.name, part)
    found = (c.estimate for c in contrasts if (c.left.name, c.right.name, c.label) == same)
    return next(found, None)


def _same_way(e: Measured | None, whole: Measured) -> bool:
    """Does the interval lie on the side of zero where the whole difference lies?"""
    return e is not None and (e.low > 0 if whole.value > 0 else e.high < 0)


def _seat(whole: Contrast, contrasts: Sequence[Contrast]) -> str:
    """Where a difference sits: in give-aways alone, on the rest too, or nobody can say."""
    away, rest = (_part_of(whole, contrasts, part) for part in PARTS)
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


def _where(board: Board, wholes: Sequence[Contrast], contrasts: Sequence[Contrast]) -> str:
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
    return f"{begin}: {', '.join(_seat(c, contrasts) for c in wholes)}."


def _about_parts(board: Board) -> list[str]:
    """What a give-away is, and what a guess has of the rest: a describer is wrong on all of it."""
    split = board.by_part
    if AWAY not in split:
        return []
    others = [board.questions[q] for q in split.get(REST, ())]
    guess = random_guess(others, several=board.several) if others else 0.0
    ending = f"; a guess has {percent(guess)} % of {REST}" if others else ""
    return [f"Questions give themselves away where {DEFINITION}{ending}."]


def _seeds(arms: Sequence[Arm]) -> int:
    """Training seeds of the arm with the fewest; a base is the same for all of them."""
    return min(len(arm.answered) for arm in arms if arm.role != "Base")


def _sizes(board: Board, arms: Sequence[Arm]) -> str:
    found = [accuracy(board, arm, board.ids(label)) for label in LABELS for arm in arms]
    n = [
        max((e.n for e in found[i * len(arms) : (i + 1) * len(arms)] if e), default=0)
        for i in range(2)
    ]
    seeds = _seeds(arms)
    return (
        f"n = {n[1]} inferential and {n[0]} observational questions, "
        f"{count(seeds, 'training seed')} an arm"
    )


def _sentence(board: Board, contrasts: Sequence[Contrast]) -> tuple[str, bool]:
    arms = [arm for arm in board.arms if arm.role in ("Base", "GRPO", "CDPO")]
    hard = [c for c in contrasts if c.label == "inferential"]
    first = next((c for c in hard if c.right.role == "Base"), None)
    then = next((c for c in hard if c.left.role == "CDPO"), None)
    roles = {arm.role for arm in arms}
    missing = [role for role in ("Base", "GRPO", "CDPO") if role not in roles]
    if missing or first is None or then is None:
        what = f"an evaluation of {' and '.join(missing)}" if missing else "labelled questions"
        return f"Nothing is compared yet: {what} is not among these runs.", False
    sizes = _sizes(board, arms)
    if "undecided" in (first.estimate.verdict, then.estimate.verdict):
        return f"Underpowered, {sizes}: no claim is drawn from these numbers.", False
    one = _seeds(arms) == 1
    scope = "; one training seed speaks for these models, not for the method" if one else ""
    words = f"{_against_base(first.estimate)}; {_against_grpo(then.left.name, then.estimate)}"
    return f"{words} ({sizes}{scope}). {_where(board, (first, then), contrasts)}", True


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _coverage(boards: Sequence[Board]) -> list[str]:
    """Arms that did not answer the whole board: pairs are then made on what both answered."""
    notes = []
    for board in boards:
        for arm in board.arms:
            for one in arm.answered:
                n = len(one.samples.get("full", {}))
                if n < len(board.questions):
                    whole = f"{n:,} of {len(board.questions):,} questions of {board.title}"
                    notes.append(f"{one.run.name} answers {whole}; pairs use what both answered.")
    return notes


def _notes(runs: Sequence[RunFolder]) -> list[str]:
    notes = [
        f"{run.path.name} ({run.stage}) is {run.book.get('status')}: its figures may still move."
        for run in runs
        if not run.done
    ]
    for run in runs:
        failures = int(run.book.get("failures") or 0)
        if failures and run.stage not in TRAINING:  # what training failed at is in its warnings
            notes.append(
                f"{run.path.name} ({run.stage}) recorded {count(failures, 'failure')}; "
                "they stay in the denominator."
            )
    return notes


def _diagnosed(found: Diagnosed) -> str:
    if not found.rows:
        asked = count(len(found.questions), "question")
        return f"{asked} are audited, none is labelled; no model is evaluated here."
    share = next((s for s in found.labels if s.name == "observational"), None)
    value = percent(share.value) if share else "0.0"
    away = next((s for s in found.give_aways if s.name == "inferential"), None)
    told = "is not known" if away is None else f"holds for {percent(away.value)} % of {away.n:,}"
    return (
        f"{value} % of {count(len(found.rows), 'question')} can be answered by describing the "
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
    notes = (*told, *_notes(runs), *_coverage(boards))
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
    contrasts = contrasts_of(labelled[0])
    sentence, drawn = _sentence(labelled[0], contrasts)
    if drawn and warnings:
        sentence, drawn = f"No claim is drawn; measured: {sentence}", False
    leads = [_sentence_case(w.split(": ")[0]) for w in warnings]
    return Claim(" ".join([*leads, sentence]), drawn, contrasts, warnings, notes)
