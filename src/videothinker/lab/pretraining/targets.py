"""What a small model is taught to say, in the format that trainer and evaluator read.

Two ways of thinking about a what-if question: describe what is seen and answer from that (OBS, the
perceptual shortcut), or simulate the removal and answer from that (SIM).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from videothinker.answers import render_answer
from videothinker.clevrer.compact import AWAY, pair_word, short_names
from videothinker.clevrer.grammar import match_counterfactual, parse_option, resolve, strike
from videothinker.clevrer.questions import ANSWERS, RawQuestion
from videothinker.clevrer.scenes import Event
from videothinker.lab.pretraining.evidence import Evidence, evidence
from videothinker.lab.pretraining.pool import Facts
from videothinker.prompts import LETTERS, render
from videothinker.world import camera
from videothinker.world.families import family, single
from videothinker.world.options import Names, Pair, collide
from videothinker.world.pairs import minimal_pair
from videothinker.world.plan import drawn, drawn_family
from videothinker.world.questions import Truth, Wanted, colliding, counterfactual

Mode = Literal["track", "obs", "sim"]
OPENINGS: dict[Mode, str] = {"track": "Track:", "obs": "Seen:", "sim": "Without"}
"""How each way of thinking begins; a prefill of these words forces it."""
COLUMNS, ROWS = "abcdefgh", "abcdef"
"""Cells of the image, left to right and top to bottom, for tracking: half a video token's side."""
SLOTS = "abcdefghijklmnop"
"""Letters of the two-frame slots, for telling what happens in time."""
NONE = "none"
YES_NO = ("no", "yes")
STAYS, GONE, NEW = "stays", "gone", "new"
"""What becomes of a collision once an object is removed."""
MOVES, ASKED, SO, THEN = "Moves:", "Asked:", "So", "then"
"""How the parts of a longer thought begin."""
CROSSED = {"in": "In", "out": "Out"}
"""How an object's name ends where it enters or leaves."""


@dataclass(frozen=True)
class Asked:
    """One question about one scene, with what is true."""

    question: str
    choices: tuple[str, ...]
    gold: tuple[str, ...]
    type: str
    removed: int | None = None
    negated: bool = False
    pairs: tuple[Pair, ...] = ()
    """What each choice of a collision question says."""
    program: tuple[str, ...] = ()
    """Of a descriptive question."""

    def words(self, context: str | None = None) -> str:
        """The user's message."""
        return render(self.question, self.choices, context=context)


def letters(flags: Sequence[bool]) -> tuple[str, ...]:
    """The letters of the true ones."""
    return tuple(letter for letter, flag in zip(LETTERS, flags, strict=False) if flag)


def told(pairs: Sequence[Pair], names: Sequence[str]) -> str:
    """Collisions in order: "BlueRed, CyanGray"."""
    return ", ".join(pair_word(names[i], names[j]) for i, j in pairs) or NONE


def told_in_time(facts: Facts, names: Sequence[str], *, crossings: bool = False) -> str:
    """Collisions after the letter of the slot in which they happen: "a b BlueRed c CyanGray d".

    `crossings` also tells who enters and leaves: "a b redIn BlueRed c CyanGray d blueOut".
    """
    return _by_slot(
        [
            [event_word(event, names) for event in events if crossings or event.type == "collision"]
            for events in facts.events_by_slot()
        ]
    )


def _by_slot(words_of: Sequence[Sequence[str]]) -> str:
    slots = zip(SLOTS, words_of, strict=False)
    return " ".join(word for letter, words in slots for word in (letter, *words))


def event_word(event: Event, names: Sequence[str]) -> str:
    """One word: "BlueRed" collide, "redIn" enters, "redOut" leaves, "start"."""
    if event.type == "collision":
        return pair_word(*(names[i] for i in event.objects))
    return f"{names[event.objects[0]]}{CROSSED[event.type]}" if event.objects else event.type


def descriptive_thinking(facts: Facts, asked: Asked, names: Sequence[str]) -> str:
    """All that happens, who moves if that is asked, what the question is about, and the answer.

    "Seen: a b redIn BlueRed c d. Asked: a b 1 BlueRed c d. So 1.", or "Seen: a b redIn c d. Moves:
    a blue yes gray no. Asked: 1 blue. So yes." for the video's beginning. A model this small
    answers from what it has just said, not from what it could have looked up.
    """
    said = [f"{OPENINGS['obs']} {told_in_time(facts, names, crossings=True)}."]
    answer = asked.choices[LETTERS.index(asked.gold[0])]
    about = evidence(facts, asked.program, answer)
    if about is not None:
        if about.motion is not None:
            at = [] if about.slot is None else [SLOTS[about.slot]]
            told_so = sorted(f"{names[i]} {YES_NO[moves]}" for i, moves in about.motion)
            said.append(f"{MOVES} {' '.join([*at, *told_so])}.")
        said.append(f"{ASKED} {_pointed_at(facts, about, names)}.")
    return " ".join([*said, f"{SO} {answer}."])


def _pointed_at(facts: Facts, about: Evidence, names: Sequence[str]) -> str:
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


def _second_pass(facts: Facts, about: Evidence, names: Sequence[str]) -> list[str]:
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


def seen_thinking(facts: Facts, names: Sequence[str], *, timed: bool) -> str:
    """OBS: what happens in the video; `timed` goes through it slot by slot."""
    told_so = told_in_time(facts, names) if timed else told(facts.collisions(), names)
    return f"{OPENINGS['obs']} {told_so}."


def simulated_thinking(
    facts: Facts, removed: int, pairs: Sequence[Pair], names: Sequence[str], *, timed: bool
) -> str:
    """SIM: what becomes of each collision of the video without the object, then what is new.

    "Without red: red BlueRed gone, red CyanGray stays, red BlueCyan new." A bare list of what
    happens was learned without ever looking at the removed object, and so was one of fates alone;
    with its name beside each collision the two stand side by side. `timed` goes through the video
    slot by slot, as describing does: "Without red: a b BlueRed red gone c d then BlueCyan red new."
    """
    happen, happened = ({frozenset(pair) for pair in some} for some in (pairs, facts.collisions()))
    name = names[removed]
    new = [told([pair], names) for pair in pairs if frozenset(pair) not in happened]
    fates = [
        [(told([pair], names), STAYS if frozenset(pair) in happen else GONE) for pair in slot]
        for slot in facts.collisions_by_slot()
    ]
    if timed:
        said = _by_slot([[f"{word} {name} {fate}" for word, fate in slot] for slot in fates])
        said += f" {THEN} {', '.join(f'{word} {name} {NEW}' for word in new)}" if new else ""
        return f"{OPENINGS['sim']} {name}: {said}."
    flat = [fate for slot in fates for fate in slot] + [(word, NEW) for word in new]
    said = ", ".join(f"{name} {word} {fate}" for word, fate in flat)
    return f"{OPENINGS['sim']} {name}: {said or NONE}."


def verdicts(asked: Asked, pairs: Sequence[Pair], names: Sequence[str]) -> str:
    """Each choice held against the list: " A BlueRed yes, B CyanGray no."."""
    happen = {frozenset(pair) for pair in pairs}
    said = [
        f"{letter} {told([pair], names)} {YES_NO[frozenset(pair) in happen]}"
        for letter, pair in zip(LETTERS, asked.pairs, strict=False)
    ]
    return f" {', '.join(said)}." if said else ""


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


def answer_from(asked: Asked, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The letters that follow from a list of collisions; where none does, the first letter.

    A shortcut that finds nothing to choose still has to choose: an empty answer is not a format.
    """
    happen = {frozenset(pair) for pair in pairs}
    flags = [(frozenset(pair) in happen) != asked.negated for pair in asked.pairs]
    return letters(flags) or (LETTERS[0],)


def respond(
    facts: Facts,
    asked: Asked,
    mode: Mode,
    rng: np.random.Generator,
    corrupted_share: float,
    *,
    timed: bool,
) -> str:
    """The completion that is taught for a question thought about in one way."""
    names = short_names(facts.objects)
    pairs = facts.collisions()
    if mode == "sim" and asked.removed is not None:
        pairs = facts.collisions(without=asked.removed)
        if rng.random() < corrupted_share:
            pairs = corrupted(pairs, asked.removed, len(names), rng)
        thinking = simulated_thinking(facts, asked.removed, pairs, names, timed=timed)
    elif timed and asked.type == "descriptive":
        thinking = descriptive_thinking(facts, asked, names)
    else:
        thinking = seen_thinking(facts, names, timed=timed)
    letters_said = answer_from(asked, pairs) if asked.pairs else asked.gold
    return render_answer(letters_said, thinking + verdicts(asked, pairs, names))


def what_if(facts: Facts, rng: np.random.Generator, inferential_share: float) -> Asked | None:
    """A counterfactual question as the world asks it; None if the scene gives none."""
    scene = facts.scene()
    truth, names = Truth(scene, facts.late, facts.fragile), Names(scene.objects, rng)
    observational = bool(rng.random() >= inferential_share)
    if facts.fragile is None:
        raw = counterfactual(truth, names, Wanted(observational, bool(rng.random() < 0.5)), set())
    else:
        wanted = drawn(rng, len(scene.objects), observational=observational)
        raw = single(truth, names, wanted, set())
    return None if raw is None else from_raw(facts, raw)


def paired_what_if(facts: Facts, rng: np.random.Generator) -> tuple[Asked, Asked] | None:
    """The same words and choices about two objects: a family, or a minimal pair in the old world.

    The first removal changes nothing, the second does. Elsewhere the choices give away much of the
    answer, where none names the removed object; here it must be read. None if the scene has none.
    """
    scene = facts.scene()
    truth, names = Truth(scene, facts.late, facts.fragile), Names(scene.objects, rng)
    if facts.fragile is None:
        pair = minimal_pair(truth, names, 0, set())
    else:
        pair = family(truth, names, drawn_family(rng, len(scene.objects)))
    return None if pair is None else (from_raw(facts, pair[0]), from_raw(facts, pair[1]))


def from_raw(facts: Facts, raw: RawQuestion) -> Asked:
    """A question of the world's generator, with the indices behind its words."""
    if raw.question_type == "descriptive":
        options = ANSWERS[raw.question_subtype or ""]
        gold = (LETTERS[options.index(raw.answer or "")],)
        return Asked(raw.question, options, gold, "descriptive", program=raw.program)
    premise = match_counterfactual(raw.question)
    objects = facts.objects
    pairs = []
    for choice in raw.choices:
        a, b = parse_option(choice.choice)
        pairs.append((resolve(a, objects), resolve(b, objects)))
    return Asked(
        raw.question,
        tuple(choice.choice for choice in raw.choices),
        letters([choice.answer == "correct" for choice in raw.choices]),
        raw.question_type,
        removed=None if premise is None else resolve(premise.removed, objects),
        negated=premise is not None and premise.negated,
        pairs=tuple(pairs),
    )


def struck(asked: Asked, facts: Facts) -> Asked:
    """The question without its premise: what is right is then what the video shows."""
    bare = Asked(
        strike(asked.question) or asked.question,
        asked.choices,
        (),
        "struck",
        negated=asked.negated,
        pairs=asked.pairs,
    )
    return Asked(
        bare.question, bare.choices, answer_from(bare, facts.collisions()), "struck",
        negated=bare.negated, pairs=bare.pairs,
    )  # fmt: skip


def which_collide(facts: Facts, rng: np.random.Generator) -> Asked:
    """Which of two to four pairs collide in the video?"""
    count = len(facts.looks)
    every = [(i, j) for i in range(count) for j in range(i + 1, count)]
    happen = colliding(facts.scene().events)
    yes = [pair for pair in every if frozenset(pair) in happen]
    no = [pair for pair in every if frozenset(pair) not in happen]
    chosen = [yes[int(rng.integers(len(yes)))]]
    rest = [pair for pair in [*yes, *no] if pair not in chosen]
    more = int(rng.integers(1, 4))
    chosen += [rest[i] for i in rng.permutation(len(rest))[:more]]
    chosen = [chosen[i] for i in rng.permutation(len(chosen))]
    names = Names(facts.objects, rng)
    return Asked(
        "Which of the following happens in the video?",
        tuple(collide(names, pair, 0).choice for pair in chosen),
        letters([pair in yes for pair in chosen]),
        "collisions",
        pairs=tuple(chosen),
    )


def image_cells(facts: Facts, radius: float, *, flipped: bool) -> list[list[str]]:
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
    facts: Facts, rng: np.random.Generator, radius: float, every: int, *, flipped: bool = False
) -> tuple[Asked, str]:
    """Which colors are there? The thinking follows each object through every `every`-th frame."""
    names = short_names(facts.objects)
    colors = list(ANSWERS["query_color"])
    offered = [colors[i] for i in rng.permutation(len(colors))[:4]]
    present = {thing.color for thing in facts.objects}
    if not present & set(offered):
        offered[0] = facts.objects[0].color
    asked = Asked(
        "Which of these colors are in the video?",
        tuple(offered),
        letters([color in present for color in offered]),
        "objects",
    )
    cells = image_cells(facts, radius, flipped=flipped)
    order = sorted(range(len(names)), key=lambda k: names[k])
    lines = [f"{names[k]} {' '.join(cells[k][::every])}" for k in order]
    return asked, render_answer(asked.gold, f"{OPENINGS['track']} {', '.join(lines)}.")
