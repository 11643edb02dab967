"""What a thought says: in time, about the question, and of each pair."""

import itertools
import operator
import re
from collections import Counter

import numpy as np

from tests.lab.pretraining.toy_pretraining import POOL
from videothinker import answers
from videothinker.clevrer.compact import pair_word, short_names
from videothinker.lab.pretraining.grounding import grounding, seen_scene
from videothinker.lab.pretraining.measure import PAIR
from videothinker.lab.pretraining.pool import SLOT
from videothinker.lab.pretraining.questions import from_raw, what_if, which_collide
from videothinker.lab.pretraining.targets import every_fate, respond
from videothinker.lab.pretraining.thinking import (
    FATES,
    GONE,
    NEVER,
    NEW,
    SLOTS,
    STAYS,
    events_in_words,
)
from videothinker.world.objects import SHOWN_FRAMES
from videothinker.world.physics import MOVING_SPEED

SIDES = {"before": operator.lt, "after": operator.gt}


def _words(text):
    return text.replace("?", "").replace(",", "").split()


def test_each_collision_is_told_in_its_slot(pretraining_scenes, rng):
    for one in pretraining_scenes:
        said = events_in_words(one, [f"n{k}" for k in range(len(one.looks))]).split()
        letters = [word for word in said if len(word) == 1]
        assert letters == list("ab")[: POOL.frames // SLOT]
        assert said.count("hit") == len(one.collisions())
        assert len(said) - len(letters) == 2 * len(one.collisions())
        asked = which_collide(one, rng)
        assert respond(one, asked, "obs", rng, 0.0, timed=True).startswith("<think>Seen: a")
        assert "Seen: a" not in respond(one, asked, "obs", rng, 0.0, timed=False)


def test_a_descriptive_question_is_answered_from_what_was_just_told(pretraining_scenes, rng):
    checked = 0
    for one in pretraining_scenes:
        names = short_names(one.objects)
        crossings = [event for event in one.events if event.type != "collision"]
        for raw in one.descriptive:
            asked = from_raw(one, raw)
            told = respond(one, asked, "obs", rng, 0.0, timed=True)
            said = told.partition(".")[0]
            assert all(f" {names[e.objects[0]]}{e.type.capitalize()}" in said for e in crossings)
            about_motion = {"moving", "stationary"} & set(_words(raw.question))
            shown = grounding(one, raw.program, raw.answer) is not None
            assert ("Moves: " in told) == bool(about_motion and shown)
            assert f" So {raw.answer}.</think>" in told
            assert answers.parse(told, asked.choices, truncated=False).answer == asked.gold
            assert "So " not in respond(one, asked, "obs", rng, 0.0, timed=False)
            if raw.question == "How many collisions happen?":
                assert len(PAIR.findall(said)) == int(raw.answer)
            checked += 1
    assert checked > 5


def test_an_answer_is_pointed_at_before_it_is_given(pretraining_scenes, rng):
    """What is pointed at decides, and it is what happens, or is there, in the scene."""
    checked = Counter()
    for one in pretraining_scenes:
        names = short_names(one.objects)
        when = {_word(event, names): event.frame for event in one.events}
        for raw in one.descriptive:
            if grounding(one, raw.program, raw.answer) is None:
                continue
            told = respond(one, from_raw(one, raw), "obs", rng, 0.0, timed=True)
            words = told.partition(" Asked: ")[2].partition(".")[0].split()
            last = words[-1]
            if "then" in words:
                checked["then"] += 1
                event, color = words[words.index("then") + 1 :]
                words = words[: words.index("then")]
                assert color in event.lower()
                assert event == max(_shown(words), key=when.get)
            side = next((w for w in SIDES if f" {w} the " in raw.question), None)
            if side is not None:
                word = _shown(words)[0 if side == "after" else -1]
                border = when[word]
                words.remove(word)
            shown = _shown(words)
            assert all(w in when or w in names for w in shown)
            assert [w for w in words if w.isdigit()] == [str(k + 1) for k in range(len(shown))]
            if raw.question_subtype == "count":
                assert len(shown) == int(raw.answer)
            elif raw.question_subtype == "exist":
                assert bool(shown) == (raw.answer == "yes")
            else:
                thing = one.objects[names.index(last)]
                assert getattr(thing, raw.question_subtype.partition("_")[2]) == raw.answer
            if "collisions" in raw.question:
                wanted = [w for w in when if PAIR.fullmatch(w)]
                if side is not None:
                    wanted = [w for w in wanted if SIDES[side](when[w], border)]
                assert shown == wanted
            checked[raw.question_subtype, side] += 1
    assert {("count", "before"), ("count", "after"), ("exist", None), ("query_color", None)} <= set(
        checked
    )
    assert checked["then"]


def test_a_question_about_events_goes_through_the_slots_once_more(pretraining_scenes, rng):
    """All of them, or up to a border's slot or that of the first or second event."""
    every = list(SLOTS)[: POOL.frames // SLOT]
    checked = Counter()
    for one in pretraining_scenes:
        names = short_names(one.objects)
        slot = {_word(event, names): one.slot_of(event.frame) for event in one.events}
        for raw in one.descriptive:
            if {"moving", "stationary"} & set(_words(raw.question)):
                continue
            told = respond(one, from_raw(one, raw), "obs", rng, 0.0, timed=True)
            words = told.partition(" Asked: ")[2].partition(".")[0].partition(" then ")[0].split()
            ends = {"before", "first", "second"} & {*raw.program, *_words(raw.question)}
            wanted = every[: slot[_shown(words)[-1]] + 1] if ends else every
            assert [w for w in words if w in every] == wanted
            after = "after" in _words(raw.question)
            checked["after" if after else "until" if ends else "all"] += 1
    assert set(checked) == {"after", "until", "all"}


def _shown(words):
    """What is pointed at: all but slots, numbers and "none"."""
    return [w for w in words if w not in list(SLOTS) and not w.isdigit() and w != "none"]


def _word(event, names):
    if event.type == "collision":
        return pair_word(*(names[i] for i in event.objects))
    return f"{names[event.objects[0]]}{event.type.capitalize()}"


def test_who_moves_is_told_for_the_moment_that_is_asked(pretraining_scenes):
    one = pretraining_scenes[0]
    speeds_FN = np.linalg.norm(np.array(one.velocities), axis=-1)
    moving_FN = (speeds_FN > MOVING_SPEED) & np.array(one.inside)
    for moment, frames, slot in (
        (["null"], slice(None), None),
        (["start", "get_frame"], slice(0, 1), 0),
        (["end", "get_frame"], slice(-1, None), POOL.frames // SLOT - 1),
    ):
        movers = tuple(np.flatnonzero(moving_FN[frames].any(axis=0)).tolist())
        program = ["objects", *moment, "filter_moving", "count"]
        about = grounding(one, program, str(len(movers)))
        assert about is not None
        assert tuple(sorted(thing for thing, moves in about.motion if moves)) == movers
        in_view_N = seen_scene(one).visible_TN[:: SHOWN_FRAMES - 1][frames].any(axis=0)
        if slot is None:
            in_view_N = seen_scene(one).visible_TN.any(axis=0)
        assert {thing for thing, _ in about.motion} == set(np.flatnonzero(in_view_N))
        assert about.slot == slot
        assert grounding(one, program, str(len(movers) + 1)) is None


def test_simulating_from_frames_lists_the_video_then_says_what_becomes_of_the_choices(
    pretraining_scenes, rng
):
    checked = Counter()
    for one, inferential in itertools.product(pretraining_scenes, (0.0, 1.0)):
        asked = what_if(one, rng, inferential)
        if asked is None:
            continue
        names = short_names(one.objects)
        words = {pair: pair_word(*(names[i] for i in pair)) for pair in asked.pairs}
        said_of = [[pair_word(*(names[i] for i in p)) for p in some]
                   for some in (one.collisions(), one.collisions(asked.removed))]  # fmt: skip
        before, happen = said_of
        met = [pair_word(*(names[i] for i in p)) for p in one.collisions() if asked.removed in p]
        opening = f"<think>Without {names[asked.removed]}:"
        gone = f"{' '.join([*met, 'gone'])}."
        timed = respond(one, asked, "sim", rng, 0.0, timed=True)
        assert timed.startswith(f"{opening} {events_in_words(one, names)}. {gone} A ")
        for word in words.values():
            fate = FATES[word in before, word in happen]
            assert f" {word} {fate} {'yes' if word in happen else 'no'}" in timed
            checked[fate] += 1
        told = respond(one, asked, "sim", rng, 0.0, timed=False)
        assert told == timed.replace(f" {events_in_words(one, names)}.", "")
    assert set(checked) == {STAYS, GONE, NEW, NEVER}


def test_a_drill_tells_what_becomes_of_every_other_pair(pretraining_scenes, rng):
    checked = Counter()
    for one in pretraining_scenes:
        asked, said = every_fate(one, rng, timed=False)
        names = short_names(one.objects)
        others = [n for k, n in enumerate(names) if k != asked.removed]
        told = said.partition(" gone. ")[2]
        fates = dict(re.findall(rf"({PAIR.pattern}) (stays|gone|new|never)(?=[,.])", told))
        met = len([pair for pair in one.collisions() if asked.removed in pair])
        assert met
        assert said.partition(" gone.")[0].count(" ") == met + 1
        assert set(fates) == {pair_word(a, b) for a, b in itertools.combinations(others, 2)}
        happen = [pair_word(*(names[i] for i in p)) for p in one.collisions(asked.removed)]
        assert {word for word, fate in fates.items() if fate in (STAYS, NEW)} == set(happen)
        changes = bool({GONE, NEW} & set(fates.values()))
        assert said.endswith(f"<answer>{'B' if changes else 'A'}</answer>")
        checked[changes] += 1
    assert set(checked) == {True, False}
