"""What a small model is taught to say, in the format that trainer and evaluator read.

Two ways of thinking about a what-if question: describe what is seen and answer from that (OBS, the
perceptual shortcut), or simulate the removal and answer from that (SIM).
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from videothinker.answers import render_answer
from videothinker.clevrer import compact
from videothinker.clevrer.compact import AWAY, HIT, pair_word, short_names
from videothinker.clevrer.grammar import match_counterfactual, parse_option, resolve, strike
from videothinker.clevrer.questions import ANSWERS, RawQuestion
from videothinker.clevrer.scenes import Event
from videothinker.lab.pretraining.grounding import Grounding, grounding
from videothinker.lab.pretraining.pool import SceneFacts
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
MISS = "miss"
"""A choice that is no collision of the video."""
STAYS, GONE, NEW, NEVER = "stays", "gone", "new", "never"
FATES = {(True, True): STAYS, (True, False): GONE, (False, True): NEW, (False, False): NEVER}
"""What becomes of a collision once an object is removed: in the video, without the object."""
HAPPENS = (HIT, STAYS, NEW)
CHANGES = ("nothing", "something")
"""What one may say of a removal as a whole."""
MOVES, ASKED, SO, THEN = "Moves:", "Asked:", "So", "then"
"""How the parts of a longer thought begin."""
CROSSED = {"in": "In", "out": "Out"}
"""How an object's name ends where it enters or leaves."""


@dataclass(frozen=True)
class TaughtQuestion:
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
    return events_in_words(facts, names) if timed else compact.told(facts.events, names)


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


def answer_from(asked: TaughtQuestion, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The letters that follow from a list of collisions; where none does, the first letter.

    A shortcut that finds nothing to choose still has to choose: an empty answer is not a format.
    """
    happen = {frozenset(pair) for pair in pairs}
    flags = [(frozenset(pair) in happen) != asked.negated for pair in asked.pairs]
    return letters(flags) or (LETTERS[0],)


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


def what_if(
    facts: SceneFacts, rng: np.random.Generator, inferential_share: float
) -> TaughtQuestion | None:
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


def paired_what_if(
    facts: SceneFacts, rng: np.random.Generator
) -> tuple[TaughtQuestion, TaughtQuestion] | None:
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


def from_raw(facts: SceneFacts, raw: RawQuestion) -> TaughtQuestion:
    """A question of the world's generator, with the indices behind its words."""
    if raw.question_type == "descriptive":
        options = ANSWERS[raw.question_subtype or ""]
        gold = (LETTERS[options.index(raw.answer or "")],)
        return TaughtQuestion(raw.question, options, gold, "descriptive", program=raw.program)
    premise = match_counterfactual(raw.question)
    objects = facts.objects
    pairs = []
    for choice in raw.choices:
        a, b = parse_option(choice.choice)
        pairs.append((resolve(a, objects), resolve(b, objects)))
    return TaughtQuestion(
        raw.question,
        tuple(choice.choice for choice in raw.choices),
        letters([choice.answer == "correct" for choice in raw.choices]),
        raw.question_type,
        removed=None if premise is None else resolve(premise.removed, objects),
        negated=premise is not None and premise.negated,
        pairs=tuple(pairs),
    )


def premise_removed(asked: TaughtQuestion, facts: SceneFacts) -> TaughtQuestion:
    """The question without its premise: what is right is then what the video shows."""
    bare = TaughtQuestion(
        strike(asked.question) or asked.question,
        asked.choices,
        (),
        "premise_removed",
        negated=asked.negated,
        pairs=asked.pairs,
    )
    return TaughtQuestion(
        bare.question, bare.choices, answer_from(bare, facts.collisions()), "premise_removed",
        negated=bare.negated, pairs=bare.pairs,
    )  # fmt: skip


def which_collide(facts: SceneFacts, rng: np.random.Generator) -> TaughtQuestion:
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
    return TaughtQuestion(
        "Which of the following happens in the video?",
        tuple(collide(names, pair, 0).choice for pair in chosen),
        letters([pair in yes for pair in chosen]),
        "collisions",
        pairs=tuple(chosen),
    )


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
