"""From which share of inferential questions on one way of answering earns more than another.

A policy that answers in two ways, each made by a prefill, is pulled by RL to the one that earns
more. With `obs` and `inf` their accuracies by label, way A earns more than B where the share p of
inferential training questions has p (A.inf - B.inf) > (1 - p) (B.obs - A.obs).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from videothinker.dependence import Answered, average, cluster_of
from videothinker.records import Diagnosis, Label, Question
from videothinker.seeds import numpy_generator

LABELS: tuple[Label, Label] = ("observational", "inferential")
DRAWS = 2000
"""Resamples behind an interval."""


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


def interval(
    right_CWL: np.ndarray, asked_CL: np.ndarray, seed: int = 0
) -> tuple[float, float] | None:
    """The 95 % interval of break-even over clusters drawn again.

    A draw in which the way that is better on inferential questions costs nothing counts as 0, one
    in which it is no better there as 1.

    Args:
        right_CWL: right answers of cluster c in way w (here, there) to questions of label l.
        asked_CL: how many questions of label l cluster c has.
        seed: of the draws.

    Returns:
        None where so few clusters have a label that some draw has none of it.
    """
    clusters = len(asked_CL)
    rng = numpy_generator(seed, "break-even")
    drawn_DC = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=DRAWS)
    asked_DL = drawn_DC @ asked_CL
    if not asked_DL.all():
        return None
    mean_DWL = np.tensordot(drawn_DC, right_CWL, 1) / asked_DL[:, None]
    apart_DL = mean_DWL[:, 0] - mean_DWL[:, 1]
    if right_CWL[:, 0, 1].sum() < right_CWL[:, 1, 1].sum():
        apart_DL = -apart_DL
    cost_D, gain_D = np.maximum(0, -apart_DL[:, 0]), np.maximum(0, apart_DL[:, 1])
    share_D = np.where(gain_D > 0, cost_D / np.maximum(cost_D + gain_D, 1e-9), 1.0)
    low, high = np.percentile(share_D, [2.5, 97.5])
    return float(low), float(high)


def forecast(
    questions: Sequence[Question],
    labels: Mapping[str, Diagnosis],
    ours: Answered,
    theirs: Answered,
) -> dict[str, Any] | None:
    """The two ways on questions that both answered; None unless both labels are among them."""
    known = {q.id: labels[q.id].label for q in questions if q.id in labels}
    asked = [q for q in questions if known.get(q.id) in LABELS]
    clusters = {name: at for at, name in enumerate(dict.fromkeys(map(cluster_of, asked)))}
    right_CWL, asked_CL = np.zeros((len(clusters), 2, 2)), np.zeros((len(clusters), 2))
    for question in asked:
        at, label = clusters[cluster_of(question)], LABELS.index(known[question.id])
        asked_CL[at, label] += 1
        for way, answered in enumerate((ours, theirs)):
            right_CWL[at, way, label] += average(answered[question.id])
    asked_L = asked_CL.sum(0)
    if not asked_L.all():
        return None
    here, there = (Way(*map(float, row)) for row in right_CWL.sum(0) / asked_L)
    share = break_even(here, there)
    return {
        "here": msgspec.structs.asdict(here),
        "there": msgspec.structs.asdict(there),
        "break_even": share,
        "interval": None if share is None else interval(right_CWL, asked_CL),
        "inferential_share": float(asked_L[1] / asked_L.sum()),
    }


def lines(found: Mapping[str, Any], other: str, this: str = "this run") -> list[str]:
    """What a forecast says, in words.

    Args:
        found: see `forecast`.
        other: what the second way is called.
        this: what the first is called.
    """
    here, there = Way(**found["here"]), Way(**found["there"])
    share, asked = found["break_even"], found["inferential_share"]
    both = f"{_told(here)} in {this}, {_told(there)} in {other}"
    told = [f"by label, observational / inferential: {both}"]
    if share is None:
        best = {winner(here, there, p) for p in (0.0, 0.5, 1.0)} - {"neither"}
        which = {"here": this, "there": other}
        if len(best) == 1:
            told.append(
                f"RL is expected to keep the way of answering of {which[best.pop()]}, however "
                "many training questions are inferential: it earns no less on either label"
            )
        else:
            told.append("both ways earn the same on both labels")
        return told
    more, less = this, other
    if here.inferential < there.inferential:
        more, less = less, more
    low_high = found.get("interval")
    between = f" (95 % {low_high[0]:.1%} to {low_high[1]:.1%})" if low_high else ""
    told.append(
        f"break-even: RL is expected to come to the way of answering of {more} where more than "
        f"{share:.1%}{between} of the training questions are inferential, else to that of {less}; "
        f"of those asked here {asked:.1%} are. It is a forecast of the start: take the model "
        "before training, and answers drawn as in training (--temperature 1)"
    )
    return told


def _told(way: Way) -> str:
    return f"{100 * way.observational:.1f} / {100 * way.inferential:.1f}"
