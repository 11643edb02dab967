"""The ten most telling questions of a method, chosen by a rule that the page states."""

from collections.abc import Mapping, Sequence

from videothinker.giveaways import AWAY, part_of
from videothinker.report.results import Board, Method
from videothinker.report.sources import BASE, COMPARED, ROLES

MOST = 10
"""Questions shown a method."""
RULE = (
    "Show me: the ten questions on which a method and the one it is held against differ most, "
    "by the share of seeds with a right answer: the five most gained and the five most lost, or "
    "more of one where there are fewer of the other. Among equals inferential questions come first "
    "that do not give themselves away, then other inferential ones, then the questions' own order."
)


def against(board: Board, method: Method) -> Method | None:
    """What a method is held against: GRPO, and the base for GRPO and a bias model."""
    base, grpo = board.method(BASE), board.method("GRPO")
    if method is base or method.role not in ROLES.values():
        return None
    return base if grpo is None or method is grpo or method.role not in COMPARED else grpo


def _shares(method: Method) -> Mapping[str, float]:
    """Question -> mean exact score over seeds, of what every seed answered."""
    tables = [one.scores() for one in method.evaluations]
    common = [q for q in tables[0] if all(q in table for table in tables)]
    return {q: sum(table[q] for table in tables) / len(tables) for q in common}


def _rank(board: Board, question: str) -> int:
    label = board.labels.get(question)
    if label is None or label.label != "inferential":
        return 2
    return int(part_of(label) == AWAY)


def telling(board: Board, method: Method, other: Method) -> list[str]:
    """Ids of at most MOST questions, gained ones first, each side's largest difference first.

    Args:
        board: gives the questions' order and their labels.
        method: whose questions they are.
        other: what it is held against.
    """
    ours, theirs = _shares(method), _shares(other)
    gaps = {q: ours[q] - theirs[q] for q in board.questions if q in ours and q in theirs}
    gained = _sorted(board, {q: gap for q, gap in gaps.items() if gap > 0})
    lost = _sorted(board, {q: -gap for q, gap in gaps.items() if gap < 0})
    half = MOST // 2
    kept = min(len(gained), max(half, MOST - len(lost)))
    return [*gained[:kept], *lost[: MOST - kept]]


def _sorted(board: Board, gaps: Mapping[str, float]) -> list[str]:
    """Largest first; of equals what reasons most; a stable sort keeps the questions' order."""
    return sorted(gaps, key=lambda q: (-gaps[q], _rank(board, q)))


def choices(board: Board) -> list[tuple[Method, Method, Sequence[str]]]:
    """Every trained method of a board, what it is held against, and its telling questions."""
    found = []
    for method in board.methods:
        other = against(board, method)
        if other is not None and (ids := telling(board, method, other)):
            found.append((method, other, ids))
    return found
