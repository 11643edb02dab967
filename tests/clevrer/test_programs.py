"""The executor: real programs, both spellings, answers worked out by hand."""

import contextlib
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videothinker.clevrer.annotations import ObjectProperty
from videothinker.clevrer.programs import (
    ALIASES,
    LITERALS,
    MODULES,
    TOKENS,
    Undefined,
    ancestors,
    execute,
    judge,
    parse,
    removed_object,
    run,
)
from videothinker.clevrer.scenes import Event, EventType, Scene
from videothinker.errors import UserError


@pytest.fixture
def scene() -> Scene:
    """The cube enters and hits the sphere, which hits the cylinder; the gray sphere only rests.

    Without the cube nothing collides in the video, but the sphere and the gray one meet.
    """
    moving_TN = np.zeros((128, 4), dtype=bool)
    moving_TN[5:, 0] = moving_TN[40:, 1] = moving_TN[70:, 2] = True
    visible_TN = np.ones((128, 4), dtype=bool)
    visible_TN[:20, 0] = visible_TN[100:, 2] = False
    return Scene(
        objects=(
            ObjectProperty(0, "red", "metal", "cube"),
            ObjectProperty(1, "blue", "rubber", "sphere"),
            ObjectProperty(2, "blue", "metal", "cylinder"),
            ObjectProperty(3, "gray", "rubber", "sphere"),
        ),
        events=(
            Event("in", 20, (0,)),
            Event("collision", 40, (0, 1)),
            Event("collision", 70, (1, 2)),
            Event("out", 100, (2,)),
        ),
        unseen=(Event("collision", 140, (1, 3)),),
        counterfactual={0: (Event("collision", 90, (1, 3)),), 3: (Event("collision", 40, (0, 1)),)},
        moving_TN=moving_TN,
        visible_TN=visible_TN,
    )


ASKED = {
    "events objects filter_collision count": "2",
    "events objects metal filter_material filter_in exist": "yes",
    "objects null filter_moving count": "3",
    "objects null filter_stationary count": "1",
    "objects start get_frame filter_moving count": "0",
    "objects end get_frame filter_moving count": "2",
    "objects sphere filter_shape end get_frame filter_stationary unique query_color": "gray",
    "events objects filter_in first filter_order get_object query_shape": "cube",
    "events objects cube filter_shape unique filter_collision unique "
    "objects cube filter_shape unique get_col_partner query_material": "rubber",
    "events objects filter_collision events objects filter_out unique filter_before count": "2",
    "events objects filter_collision events objects filter_collision first filter_order "
    "filter_after count": "1",
    "events objects filter_collision last filter_order objects cylinder filter_shape unique "
    "get_col_partner query_shape": "sphere",
}


@pytest.mark.parametrize(("program", "answer"), ASKED.items())
def test_descriptive_answers_by_hand(scene: Scene, program: str, answer: str) -> None:
    tokens = program.split()
    parse(tokens)
    assert execute(tokens, scene) == answer
    other = {new: old for old, new in ALIASES.items()}
    spelled = ["<START>", *(other.get(token, token) for token in tokens), "<END>", "junk"]
    assert execute(spelled, scene) == answer
    for mark, word in (("start", "filter_start"), ("end", "filter_end")):
        spelled = [w for t in tokens for w in (("events", word) if t == mark else (t,))]
        assert execute(spelled, scene) == answer


def test_before_and_after_leave_out_the_same_frame(scene: Scene) -> None:
    both = replace(scene, events=(*scene.events[:2], Event("collision", 40, (2, 3))))
    one = "events objects filter_collision events objects cube filter_shape unique filter_collision"
    for side in ("before", "after"):
        assert execute(f"{one} unique filter_{side} count".split(), both) == "0"
    assert execute(["events", "objects", "filter_collision", "count"], both) == "2"


def pair(first: str, second: str, source: str = "all_events") -> list[str]:
    parts = [f"objects {name} unique filter_collision" for name in (first, second)]
    return f"{source} {' '.join(parts)} unique".split()


RED, CYLINDER = "red filter_color", "cylinder filter_shape"
BALL, GRAY = "blue filter_color sphere filter_shape", "gray filter_color"


def test_counterfactual_predictive_and_explanatory_by_hand(scene: Scene) -> None:
    without_red = f"all_events objects {RED} unique get_counterfact belong_to".split()
    without_gray = f"all_events objects {GRAY} unique filter_counterfact belong_to".split()
    assert judge(pair(BALL, GRAY), without_red, scene)
    assert not judge(pair(BALL, CYLINDER), without_red, scene)
    assert judge(pair(BALL, CYLINDER), [*without_red, "negate"], scene)
    assert judge(pair(RED, BALL), without_gray, scene)
    assert removed_object(without_red, scene) == 0
    assert removed_object(without_gray, scene) == 3
    assert judge(pair(BALL, GRAY), ["unseen_events", "belong_to"], scene)
    assert not judge(pair(RED, BALL), ["unseen_events", "belong_to"], scene)
    left = f"events events objects {CYLINDER} unique filter_out unique filter_ancestor belong_to"
    assert judge(pair(RED, BALL, "events"), left.split(), scene)
    assert judge(f"objects {RED} unique".split(), left.split(), scene)
    assert not judge(f"objects {GRAY} unique".split(), left.split(), scene)
    entering = f"events objects {RED} unique filter_in unique".split()
    assert judge(entering, left.split(), scene)
    hit = scene.events[1]
    assert ancestors(scene, hit) == [scene.events[0]]
    assert run(entering, scene) == scene.events[0]


def test_real_programs_all_parse(shared: Path) -> None:
    scenes = json.loads((shared / "clevrer/explanatory_with_programs.json").read_text())
    count = 0
    for index, scene in scenes.items():
        for question in scene["questions"]:
            for choice in question["choices"]:
                tokens = [*choice["program"], *question["program"]]
                assert parse(tokens, where=f"{index}-{question['question_id']}") == "bool"
                count += 1
    assert len(scenes) == 564
    assert count == 2256


def test_there_are_47_tokens() -> None:
    assert len(set(TOKENS)) == len(TOKENS) == 47


def test_bad_programs_are_named(scene: Scene) -> None:
    for do in (lambda p: parse(p, where="q7"), lambda p: execute(p, scene, where="q7")):
        with pytest.raises(UserError, match=r"q7: unknown program token 'filter_size'"):
            do(["objects", "filter_size", "count"])
        with pytest.raises(UserError, match="q7"):
            do(["count"])
        with pytest.raises(UserError, match=r"q7.*leaves 2"):
            do(["objects", "count", "objects", "count"])
    with pytest.raises(UserError, match="'filter_color' takes objects, color"):
        parse(["objects", "cube", "filter_color", "count"])
    with pytest.raises(Undefined, match=r"'unique' got 2"):
        execute(["objects", "sphere", "filter_shape", "unique", "query_color"], scene)
    with pytest.raises(Undefined, match="wants the second of 1"):
        execute(
            [
                "events",
                "objects",
                "filter_in",
                "second",
                "filter_order",
                "get_object",
                "query_color",
            ],
            scene,
        )
    logs = Scene(scene.objects, scene.events)
    with pytest.raises(Undefined, match="what follows the video"):
        judge(pair(BALL, GRAY), ["unseen_events", "belong_to"], logs)
    with pytest.raises(Undefined, match="trajectories"):
        execute(["objects", "null", "filter_moving", "count"], logs)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [("in", (i,)) for i in range(4)]
            + [("collision", (i, j)) for i in range(4) for j in range(i + 1, 4)]
        ),
        max_size=9,
        unique=True,
    )
)
def test_causes_are_the_transitive_closure_of_previous_events(
    scene: Scene, drawn: list[tuple[EventType, tuple[int, ...]]]
) -> None:
    events = tuple(Event(kind, frame, things) for frame, (kind, things) in enumerate(drawn))
    count = len(events)
    direct = np.zeros((count, count), dtype=bool)  # [later, earlier]
    for thing in range(4):
        own = [k for k, event in enumerate(events) if thing in event.objects]
        for earlier, later in itertools.pairwise(own):
            direct[later, earlier] = True
    closure = direct.copy()
    for _ in range(count):
        closure |= closure @ direct
    happened = replace(scene, events=events)
    for k, event in enumerate(events):
        expected = [events[i] for i in np.flatnonzero(closure[k])]
        assert ancestors(happened, event) == expected


def fitting(stack: list[str]) -> list[str]:
    """Tokens whose arguments lie on top of the stack; any literal and source where it is short."""
    found = [
        token
        for token, module in MODULES.items()
        if 0 < len(module.takes) <= len(stack)
        and all(
            given in takes
            for given, takes in zip(stack[-len(module.takes) :], module.takes, strict=True)
        )
    ]
    if len(stack) < 3:
        found += [*LITERALS, *(token for token, module in MODULES.items() if not module.takes)]
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_what_parses_runs_or_is_undefined(scene: Scene, data: st.DataObject) -> None:
    program: list[str] = []
    stack: list[str] = []
    for _ in range(12):
        tokens = fitting(stack)
        if not tokens:
            break
        program.append(data.draw(st.sampled_from(tokens)))
        module = MODULES.get(program[-1])
        if module is None:
            stack.append(LITERALS[program[-1]])
            continue
        given_ = stack[len(stack) - len(module.takes) :]
        del stack[len(stack) - len(module.takes) :]
        stack.append(given_[0].removesuffix("s") if module.gives == "same" else module.gives)
    if len(stack) != 1:
        with pytest.raises(UserError, match="leaves"):
            parse(program)
        return
    assert parse(program) == stack[0]
    try:
        found = run(program, scene)
    except Undefined:
        return
    kinds = {"objects": list, "events": list, "event": Event, "object": int}
    if stack[0] == "frame":
        assert found is None or isinstance(found, int)
    else:
        assert isinstance(found, kinds.get(stack[0], str))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(TOKENS), max_size=12), st.booleans())
def test_any_tokens_run_to_a_value_or_a_sentence(
    scene: Scene, tokens: list[str], closed: bool
) -> None:
    """Also on a scene of which nothing is known but its objects and events."""
    known = replace(scene, unseen=None, counterfactual=None, moving_TN=None, visible_TN=None)
    for one in (scene, known):
        for what in (run, removed_object):
            with contextlib.suppress(UserError):
                what([*tokens, "get_counterfact"] if closed else tokens, one)


@pytest.mark.parametrize(
    "program",
    [
        ["events", "unique", "filter_color"],
        ["start", "query_color"],
        ["objects", "count", "count"],
        ["objects", "red"],
        ["all_events", "red", "filter_order"],
    ],
)
def test_a_value_of_another_kind_is_refused_before_anything_runs(
    scene: Scene, program: list[str]
) -> None:
    with pytest.raises(UserError, match="q7: "):
        run(program, scene, where="q7")


def test_a_frame_outside_the_video_has_no_answer(scene: Scene) -> None:
    """The first collision to come is at frame 140 of 128; a possible one at none (-1)."""
    for events in ("unseen_events", "all_events"):
        program = [
            "objects",
            events,
            "first",
            "filter_order",
            "get_frame",
            "filter_moving",
            "count",
        ]
        with pytest.raises(Undefined, match="none of the video's 128"):
            run(program, scene)


def test_a_counterfactual_without_its_object_is_refused(scene: Scene) -> None:
    for before in ("events", "objects"):
        with pytest.raises(UserError, match="q7: 'get_counterfact' follows no object"):
            removed_object([before, "get_counterfact"], scene, where="q7")
