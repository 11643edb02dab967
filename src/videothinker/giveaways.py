"""Which what-if questions give themselves away: the video shows none of their options, or all."""

from collections.abc import Iterable, Mapping

from videothinker.records import Diagnosis, Evidence

AWAY, REST, UNKNOWN = "give-aways", "the rest", "give-aways not known"
"""The parts into which `split` divides questions."""
DEFINITION = "none or all of their options happen in the video"


def gives_itself_away(evidence: Evidence) -> bool | None:
    """Does the video show none of a question's options, or all of them?

    Who describes and never reads the premise says of each option whether it happens in the video
    (whether it does not, where the question is negated: that only swaps none and all). Where this
    picks nothing or everything there is no choice left to make, and so the question itself tells
    that describing is wrong and something must be changed, whatever object is removed.

    Args:
        evidence: what the logs say; `truth_video` is of the options' events, negated or not.

    Returns:
        None where the logs say nothing of the video (labels made without logs).
    """
    if not evidence.truth_video:
        return None
    return len(set(evidence.truth_video)) == 1


def part_of(diagnosis: Diagnosis | None) -> str:
    """AWAY, REST or UNKNOWN."""
    found = None if diagnosis is None else gives_itself_away(diagnosis.evidence)
    return UNKNOWN if found is None else AWAY if found else REST


def split(ids: Iterable[str], labels: Mapping[str, Diagnosis]) -> dict[str, list[str]]:
    """Question ids by part, in their order; a part that holds none is left out.

    Args:
        ids: of questions, usually the inferential ones.
        labels: question id -> its diagnosis.
    """
    found: dict[str, list[str]] = {AWAY: [], REST: [], UNKNOWN: []}
    for name in ids:
        found[part_of(labels.get(name))].append(name)
    return {part: names for part, names in found.items() if names}
