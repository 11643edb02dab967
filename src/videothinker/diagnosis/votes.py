"""The majority of several answers to one question."""

from collections.abc import Sequence

from videothinker.records import Letters


def majority(answers: Sequence[Letters | None]) -> Letters | None:
    """Each letter is voted on by itself: it stands where more than half of the answers hold it.

    Where no letter has a majority, the single most frequent one stands (plain plurality voting for
    single-answer questions). An answer that could not be parsed holds no letter but counts among
    the voters.

    Returns:
        Sorted letters, or None where no answer was parsed or several letters lead with no majority.
    """
    held = [letter for answer in answers if answer is not None for letter in answer]
    if not held:
        return None
    votes = {letter: held.count(letter) for letter in sorted(set(held))}
    chosen = tuple(letter for letter, count in votes.items() if 2 * count > len(answers))
    if chosen:
        return chosen
    most = max(votes.values())
    leaders = [letter for letter, count in votes.items() if count == most]
    return (leaders[0],) if len(leaders) == 1 else None
