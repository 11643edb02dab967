"""The words of a thought: what happens, what the question is about, what becomes of each pair.

Two ways of thinking about a what-if question: describe what is seen and answer from that (OBS, the
perceptual shortcut), or simulate the removal and answer from that (SIM).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from videothinker.clevrer import compact
from videothinker.clevrer.compact import HIT, pair_word
from videothinker.clevrer.scenes import Event
from videothinker.lab.pretraining.grounding import Grounding, grounding
from videothinker.lab.pretraining.pool import SceneFacts
from videothinker.lab.pretraining.questions import TaughtQuestion
from videothinker.prompts import LETTERS
from videothinker.world.options import Pair

Mode = Literal["track", "obs", "sim"]
OPENINGS: dict[Mode, str] = {"track": "Track:", "obs": "Seen:", "sim": "Without"}
"""How each way of thinking begins; a prefill of these words makes a model take it."""
SLOTS = "abcdefghijklmnop"
"""Letters of the two-frame slots, for telling what happens in time."""
NONE = "none"
YES_NO = ("no", "yes")
MISS = "miss"
"""A choice that is no collision of the video."""
STAYS, GONE, NEW, NEVER = "stays", "gone", "new", "never"
FATES = {(True, True): STAYS, (True, False): GONE, (False, True): NEW, (False, False): NEVER}
"""What becomes of a collision once an object is removed: in the video, without the object."""
HAPPENS = (HIT, STAYS, NEW)
MOVES, ASKED, SO, THEN = "Moves:", "Asked:", "So", "then"
"""How the parts of a longer thought begin."""
CROSSED = {"in": "In", "out": "Out"}
"""How an object's name ends where it enters or leaves."""


def pairs_in_words(pairs: Sequence[Pair], names: Sequence[str]) -> str:
    """Collisions in order: "BlueRed, CyanGray"."""
    return ", ".join(pair_word(names[i], names[j]) for i, j in pairs) or NONE


def events_in_words(facts: SceneFacts, names: Sequence[str], *, crossings: bool = False) -> str:
    """Collisions after the letter of the slot in which they happen: "a b BlueRed hit c d".

    `crossings` also tells who enters and leaves: "a b redIn BlueRed hit c d blueOut".
    """
    return _by_slot(
        [
            [word for event in events for word in _said(event, names, crossings=crossings)]
            for events in facts.events_by_slot()
        ]
    )


def _said(event: Event, names: Sequence[str], *, crossings: bool) -> list[str]:
    word = event_word(event, names)
    if event.type == "collision":
        return [word, HIT]  # so that a choice is held against the list by the word that follows
    return [word] if crossings else []


def _by_slot(words_of: Sequence[Sequence[str]]) -> str:
    slots = zip(SLOTS, words_of, strict=False)
    return " ".join(word for letter, words in slots for word in (letter, *words))


def event_word(event: Event, names: Sequence[str]) -> str:
    """One word: "BlueRed" collide, "redIn" enters, "redOut" leaves, "start"."""
    if event.type == "collision":
        return pair_word(*(names[i] for i in event.objects))
    return f"{names[event.objects[0]]}{CROSSED[event.type]}" if event.objects else event.type


def descriptive_thinking(facts: SceneFacts, asked: TaughtQuestion, names: Sequence[str]) -> str:
    """All that happens, who moves if that is asked, what the question is about, and the answer.

    "Seen: a b redIn BlueRed hit c d. Asked: a b 1 BlueRed c d. So 1.", or for the video's beginning
    "Seen: a b redIn c d. Moves: a blue yes gray no. Asked: 1 blue. So yes.". A model this small
    answers from what it has just said, not from what it could have looked up.
    """
    said = [f"{OPENINGS['obs']} {events_in_words(facts, names, crossings=True)}."]
    answer = asked.choices[LETTERS.index(asked.gold[0])]
    about = grounding(facts, asked.program, answer)
    if about is not None:
        if about.motion is not None:
            at = [] if about.slot is None else [SLOTS[about.slot]]
            told_so = sorted(f"{names[i]} {YES_NO[moves]}" for i, moves in about.motion)
            said.append(f"{MOVES} {' '.join([*at, *told_so])}.")
        said.append(f"{ASKED} {_pointed_at(facts, about, names)}.")
    return " ".join([*said, f"{SO} {answer}."])


def _pointed_at(facts: SceneFacts, about: Grounding, names: Sequence[str]) -> str:
    """The evidence in words: "1 blue 2 gray", or in time: "a b 1 BlueRed then BlueRed blue".

    A question about events goes through the slots again, all of them or up to a border or the event
    chosen, and keeps what it is about: "a b redIn c 1 BlueRed d" after the red object's entry. So
    the next word stands where the last one was found.
    """
    if about.motion is not None:
        things = enumerate(about.things, start=1)
        return " ".join(f"{n} {names[k]}" for n, k in things) or NONE
    words = _second_pass(facts, about, names)
    if about.chosen is not None:
        event, thing = about.chosen
        words += [THEN, event_word(event, names), names[thing]]
    return " ".join(words)


def _second_pass(facts: SceneFacts, about: Grounding, names: Sequence[str]) -> list[str]:
    """The slots' letters, the border, and with its number whatever counts."""
    words: list[str] = []
    count = 0
    for letter, events in zip(SLOTS, facts.events_by_slot(), strict=False):
        words.append(letter)
        for event in events:
            if event in about.events:
                count += 1
                words += [str(count), event_word(event, names)]
            elif event in (about.since, about.until):
                words.append(event_word(event, names))
            if event == about.until:
                return words
    return words


def seen_thinking(facts: SceneFacts, names: Sequence[str], *, timed: bool) -> str:
    """OBS: what happens in the video, slot by slot if `timed`, else as a transcript says it."""
    return f"{OPENINGS['obs']} {_list(facts, names, timed=timed)}."


def _list(facts: SceneFacts, names: Sequence[str], *, timed: bool) -> str:
    return events_in_words(facts, names) if timed else compact.list_collisions(facts.events, names)


def simulated_thinking(
    facts: SceneFacts, removed: int, names: Sequence[str], *, timed: bool
) -> str:
    """SIM: the collisions of the object that is gone: "Without red: BlueRed GreenRed gone.".

    What becomes of the others is said of each choice. A transcript lists the video's collisions;
    from frames (`timed`) they are listed first: "Without red: a b BlueRed hit c d. BlueRed gone.".
    """
    met = [pairs_in_words([pair], names) for pair in facts.collisions() if removed in pair]
    said = f"{OPENINGS['sim']} {names[removed]}: "
    if timed:
        said += f"{_list(facts, names, timed=True)}. "
    return f"{said}{' '.join([*met, GONE])}."


def verdicts(asked: TaughtQuestion, fates: Mapping[Pair, str], names: Sequence[str]) -> str:
    """Each choice, what becomes of it, and whether it happens: " A BlueRed gone no, B ..."."""
    said = []
    for letter, pair in zip(LETTERS, asked.pairs, strict=False):
        fate = fates[pair]
        said.append(f"{letter} {pairs_in_words([pair], names)} {fate} {YES_NO[fate in HAPPENS]}")
    return f" {', '.join(said)}." if said else ""


def fates_of(
    chosen: Iterable[Pair], video: Sequence[Pair], without: Sequence[Pair] | None
) -> dict[Pair, str]:
    """What becomes of pairs: of the video's (`hit`, `miss`), or in the world without an object."""
    seen = {frozenset(pair) for pair in video}
    if without is None:
        return {pair: HIT if frozenset(pair) in seen else MISS for pair in chosen}
    happen = {frozenset(pair) for pair in without}
    return {pair: FATES[frozenset(pair) in seen, frozenset(pair) in happen] for pair in chosen}
