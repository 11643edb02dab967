"""What the page's words mean, told where they stand."""

import re
from collections.abc import Sequence

from videothinker.algorithms.catalog import ALGORITHMS
from videothinker.answering.variants import PROBES
from videothinker.clevrer.compact import CELL, LETTERS
from videothinker.diagnosis.config import Rule
from videothinker.report.sources import BASE

LABELS = {
    "observational": "a description of what the video shows answers the question",
    "inferential": "the premise changes the answer, so that describing is not enough",
    "excluded": "the rule does not apply to the question, and it is left out",
}
RULES: dict[Rule, str] = {
    "untouched": "the removed object takes part in no collision that the video shows",
    "no_path": "no chain of collisions leads from the removed object to an option's event",
    "same_truth": "every option is as true in the video as after the removal",
    "correct_seen": "every right option is right of the video as shown, too",
    "any_correct_seen": "at least one right option is right of the video as shown, too",
}
"""Rule of the event logs -> when it calls a question observational."""
FLAGS = {
    probe.flag: f"a probed model's majority answer stays right; shown: {probe.about}"
    for probe in PROBES.values()
    if probe.flag is not None
}
"""Flag of a probe -> when it is set."""
METHODS = {BASE: "the model before any of the trainings below"} | {
    kind.role: kind.meaning for kind in ALGORITHMS.values()
}
UNPARSED = (
    "Unparsed: percent of answers that no letter could be read from: in another form, cut off, or "
    "without a readable video; they count as wrong."
)
FULL = "Reading it: positions are (x, y) in metres, velocities in metres a second."
COMPACT = (
    f"Reading it: a place is two letters, first the column from the left ({LETTERS[0]} to "
    f"{LETTERS[-1]}), then the row from the front; a cell is {CELL:g} metres wide, and gone means "
    "out of view. Two names run together, as in BlueRed, are a pair that collides."
)


def meaning(rule: str) -> str:
    """When a rule or a probe's flag calls a question observational; "" for an unknown one."""
    return {**RULES, **FLAGS}.get(rule, "")


def of_transcript(contexts: Sequence[str | None]) -> str:
    """How the transcripts among `contexts` are read; "" where they are in another form."""
    text = next((one for one in contexts if one), "")
    if re.match(r"Frame \d+: .* (gone|[a-t]{2})[,.]", text):
        return COMPACT
    return FULL if text.startswith("Objects: ") else ""
