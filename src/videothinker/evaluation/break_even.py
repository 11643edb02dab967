"""From which share of inferential questions on one way of answering earns more than another.

A policy that answers in two ways, each made by a prefill, is pulled by RL to the one that earns
more. With `obs` and `inf` their accuracies by label, way A earns more than B where the share p of
inferential training questions has p (A.inf - B.inf) > (1 - p) (B.obs - A.obs).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from videothinker.dependence import Answered
from videothinker.evaluation.metrics import scored
from videothinker.records import Diagnosis, Label, Question

LABELS: tuple[Label, Label] = ("observational", "inferential")


class Way(msgspec.Struct, frozen=True):
    """Accuracies of one way of answering, shares of 1."""

    observational: float
    inferential: float


def break_even(here: Way, there: Way) -> float | None:
    """The inferential share p, 0 to 1, at which both ways earn the same; None where one always does
    (or they never differ).
    """
    cost = there.observational - here.observational
    gain = here.inferential - there.inferential
    if cost * gain <= 0:
        return None
    return cost / (cost + gain)


def winner(here: Way, there: Way, share: float) -> str:
    """`here`, `there`, or `neither`: what earns more where `share` is inferential."""
    gap = share * (here.inferential - there.inferential)
    gap += (1 - share) * (here.observational - there.observational)
    return "neither" if gap == 0 else "here" if gap > 0 else "there"


def forecast(
    questions: Sequence[Question],
    labels: Mapping[str, Diagnosis],
    ours: Answered,
    theirs: Answered,
) -> dict[str, Any] | None:
    """The two ways on questions that both answered; None unless both labels are among them."""
    parts = [
        [q for q in questions if q.id in labels and labels[q.id].label == label] for label in LABELS
    ]
    if not all(parts):
        return None
    here, there = (
        Way(*(scored(part, answered, "exact").value for part in parts))
        for answered in (ours, theirs)
    )
    return {
        "here": msgspec.structs.asdict(here),
        "there": msgspec.structs.asdict(there),
        "break_even": break_even(here, there),
        "inferential_share": len(parts[1]) / sum(map(len, parts)),
    }


def lines(found: Mapping[str, Any], other: str) -> list[str]:
    """What a forecast says, in words."""
    here, there = Way(**found["here"]), Way(**found["there"])
    share, asked = found["break_even"], found["inferential_share"]
    told = [
        f"by label, observational / inferential: {_told(here)} here, {_told(there)} in {other}",
    ]
    if share is None:
        best = {winner(here, there, p) for p in (0.0, 0.5, 1.0)} - {"neither"}
        which = {"here": "this run", "there": other}
        if len(best) == 1:
            told.append(
                f"RL is expected to keep the way of answering of {which[best.pop()]}, however "
                "many training questions are inferential: it earns no less on either label"
            )
        else:
            told.append("both ways earn the same on both labels")
        return told
    more, less = "this run", other
    if here.inferential < there.inferential:
        more, less = less, more
    told.append(
        f"break-even: RL is expected to come to the way of answering of {more} where more than "
        f"{share:.1%} of the training questions are inferential, else to that of {less}; of those "
        f"asked here {asked:.1%} are. It is a forecast of the start: take the model before "
        "training, and answers drawn as in training (--temperature 1)"
    )
    return told


def _told(way: Way) -> str:
    return f"{100 * way.observational:.1f} / {100 * way.inferential:.1f}"
