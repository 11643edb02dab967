"""What a small model is taught to say, in the format that trainer and evaluator read."""

import itertools
from collections.abc import Sequence

import numpy as np

from videothinker.answers import render_answer
from videothinker.clevrer.compact import AWAY, short_names
from videothinker.clevrer.questions import ANSWERS
from videothinker.lab.pretraining.pool import SceneFacts
from videothinker.lab.pretraining.questions import TaughtQuestion, answer_from, letters
from videothinker.lab.pretraining.thinking import (
    GONE,
    NEW,
    OPENINGS,
    Mode,
    descriptive_thinking,
    fates_of,
    pairs_in_words,
    seen_thinking,
    simulated_thinking,
    verdicts,
)
from videothinker.world import camera
from videothinker.world.options import Names, Pair

COLUMNS, ROWS = "abcdefgh", "abcdef"
"""Cells of the image, left to right and top to bottom, for tracking: half a video token's side."""
CHANGES = ("nothing", "something")
"""What one may say of a removal as a whole."""


def corrupted(
    pairs: Sequence[Pair], removed: int, count: int, rng: np.random.Generator
) -> list[Pair]:
    """A simulation gone wrong: one event dropped, or one that does not happen added."""
    wrong = list(pairs)
    every = [(i, j) for i in range(count) for j in range(i + 1, count) if removed not in (i, j)]
    absent = [pair for pair in every if pair not in {tuple(sorted(p)) for p in pairs}]
    if wrong and (not absent or rng.random() < 0.5):
        wrong.pop(int(rng.integers(len(wrong))))
    elif absent:
        wrong.insert(int(rng.integers(len(wrong) + 1)), absent[int(rng.integers(len(absent)))])
    return wrong


def respond(
    facts: SceneFacts,
    asked: TaughtQuestion,
    mode: Mode,
    rng: np.random.Generator,
    corrupted_share: float,
    *,
    timed: bool,
) -> str:
    """The completion that is taught for a question thought about in one way."""
    names = short_names(facts.objects)
    pairs = video = facts.collisions()
    without = None
    if mode == "sim" and asked.removed is not None:
        without = pairs = facts.collisions(without=asked.removed)
        if rng.random() < corrupted_share:
            without = pairs = corrupted(pairs, asked.removed, len(names), rng)
        thinking = simulated_thinking(facts, asked.removed, names, timed=timed)
    elif timed and asked.type == "descriptive":
        thinking = descriptive_thinking(facts, asked, names)
    else:
        thinking = seen_thinking(facts, names, timed=timed)
    letters_said = answer_from(asked, pairs) if asked.pairs else asked.gold
    said = verdicts(asked, fates_of(asked.pairs, video, without), names)
    return render_answer(letters_said, thinking + said)


def every_fate(
    facts: SceneFacts, rng: np.random.Generator, *, timed: bool
) -> tuple[TaughtQuestion, str]:
    """Does anything else change without an object? The thinking goes through every other pair."""
    names = short_names(facts.objects)
    video = facts.collisions()
    removable = sorted({one for pair in video for one in pair})
    removed = removable[int(rng.integers(len(removable)))]
    others = [thing for thing in range(len(names)) if thing != removed]
    every = list(itertools.combinations(others, 2))
    every = [every[i] for i in rng.permutation(len(every))]
    fates = fates_of(every, video, facts.collisions(without=removed))
    changed = not {GONE, NEW}.isdisjoint(fates.values())
    asked = TaughtQuestion(
        f"Without the {Names(facts.objects, rng)(removed).text}, what becomes of the others?",
        CHANGES,
        letters([not changed, changed]),
        "fates",
        removed=removed,
    )
    said = ", ".join(f"{pairs_in_words([pair], names)} {fate}" for pair, fate in fates.items())
    thinking = simulated_thinking(facts, removed, names, timed=timed)
    return asked, render_answer(asked.gold, f"{thinking} {said}.")


def image_cells(facts: SceneFacts, radius: float, *, flipped: bool) -> list[list[str]]:
    """For each object, the image cell of its centre at each sampled frame, or `gone`."""
    places = np.array(facts.positions)
    heights = np.full((*places.shape[:2], 1), radius)
    seen = camera.project(np.concatenate([places, heights], axis=-1), len(COLUMNS), len(ROWS))
    column_FN = np.clip(seen.columns, 0, len(COLUMNS) - 1).astype(int)
    row_FN = np.clip(seen.rows, 0, len(ROWS) - 1).astype(int)
    if flipped:
        column_FN = len(COLUMNS) - 1 - column_FN
    return [
        [
            COLUMNS[column] + ROWS[row] if inside else AWAY
            for column, row, inside in zip(*of_one, strict=True)
        ]
        for of_one in zip(
            column_FN.T.tolist(), row_FN.T.tolist(), np.array(facts.inside).T.tolist(), strict=True
        )
    ]


def tracking(
    facts: SceneFacts, rng: np.random.Generator, radius: float, every: int, *, flipped: bool = False
) -> tuple[TaughtQuestion, str]:
    """Which colors are there? The thinking follows each object through every `every`-th frame."""
    names = short_names(facts.objects)
    colors = list(ANSWERS["query_color"])
    offered = [colors[i] for i in rng.permutation(len(colors))[:4]]
    present = {thing.color for thing in facts.objects}
    if not present & set(offered):
        offered[0] = facts.objects[0].color
    asked = TaughtQuestion(
        "Which of these colors are in the video?",
        tuple(offered),
        letters([color in present for color in offered]),
        "objects",
    )
    cells = image_cells(facts, radius, flipped=flipped)
    order = sorted(range(len(names)), key=lambda k: names[k])
    lines = [f"{names[k]} {' '.join(cells[k][::every])}" for k in order]
    return asked, render_answer(asked.gold, f"{OPENINGS['track']} {', '.join(lines)}.")
