"""Frame 127 is the last of the video; what comes later decides no counterfactual answer."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.world.written_worlds import full_scene, read_worlds
from videothinker.clevrer.annotations import annotation_path, read_annotation
from videothinker.clevrer.grammar import parse_counterfactual, parse_option, resolve
from videothinker.clevrer.questions import read_questions
from videothinker.clevrer.scenes import from_annotation
from videothinker.errors import UserError
from videothinker.world.config import WorldConfig
from videothinker.world.scenes import SceneConfig
from videothinker.world.stage import world
from videothinker.world.view import annotation, scene_view, worlds_file
from videothinker.world.worlds import make_world


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("worlds") / "a"
    return world(
        WorldConfig(
            out=out,
            scenes=0,
            validation_scenes=20,
            frames=0,
            descriptive=0,
            seed=8,
            give_aways="allowed",
            workers=1,
        )
    )


def test_what_happens_after_the_video_is_never_an_option(made: Path) -> None:
    late = 0
    for file in ("validation", "minimal_pairs"):
        for entry in read_questions(made / f"{file}.json"):
            worlds = read_worlds(made, "validation", entry.scene_index)
            path = annotation_path(made, "validation", entry.scene_index)
            things = read_annotation(path).object_property
            for question in entry.questions:
                if question.question_type != "counterfactual":
                    continue
                removed = resolve(parse_counterfactual(question.question).removed, things)
                (without,) = (w for w in worlds.without if w.object_id == removed)
                after = {
                    frozenset(e.object_ids)
                    for e in (*worlds.events, *without.events)
                    if e.type == "collision" and e.frame_id > 127
                }
                late += len(after)
                for choice in question.choices:
                    pair = frozenset(resolve(p, things) for p in parse_option(choice.choice))
                    assert pair not in after
    assert late > 40


@pytest.mark.parametrize("length", [128, 192])
def test_the_written_files_give_back_the_scene_the_answers_came_from(length: int) -> None:
    late = 0
    for index in range(4):
        one = make_world(0, index, SceneConfig(length=length))
        ours, written = scene_view(one), full_scene(annotation(one), worlds_file(one))
        assert ours.events == written.events
        assert ours.unseen == written.unseen
        assert ours.counterfactual is not None
        assert written.counterfactual is not None
        for removed, events in ours.counterfactual.items():
            assert list(events) == list(written.counterfactual[removed])
            assert all(event.frame < length for event in events)
        np.testing.assert_array_equal(ours.moving_TN, written.moving_TN)
        np.testing.assert_array_equal(ours.visible_TN, written.visible_TN)
        assert all(event.frame < length for event in ours.events)
        assert all(event.frame >= length for event in ours.unseen or ())
        late += sum(hit.frame >= length for run in one.without for hit in run.collisions)
    assert late > 4


def test_a_length_that_the_trajectories_do_not_have_is_refused() -> None:
    written = annotation(make_world(0, 0, SceneConfig(length=192)))
    with pytest.raises(UserError, match="length says 160, motion_trajectory has 192 frames"):
        from_annotation(msgspec.structs.replace(written, length=160))
