"""Labels on a simulated world, against its re-simulated other worlds."""

import json

import pytest

from videothinker.clevrer.annotations import list_annotations, read_annotation
from videothinker.clevrer.grammar import parse_option, resolve
from videothinker.diagnosis.config import DiagnoseConfig
from videothinker.diagnosis.sources import label_pairs
from videothinker.diagnosis.stage import diagnose
from videothinker.records import Diagnosis, Question, read_jsonl
from videothinker.training.data import ROLES
from videothinker.world.config import WorldConfig
from videothinker.world.stage import world


@pytest.fixture(scope="module", params=[128, 192])
def length(request):
    """CLEVRER's videos, and longer ones."""
    return request.param


@pytest.fixture(scope="module")
def made(length, tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    config = WorldConfig(
        out=root / "world",
        give_aways="allowed",
        scenes=16,
        validation_scenes=10,
        workers=1,
        frames=0,
        length=length,
        descriptive=0,
        seed=5,
    )
    data = world(config)
    return data, diagnose(data, DiagnoseConfig(out=root / "out"))


def test_the_dial_is_met_under_same_truth(made):
    found = read_jsonl(made[1] / "diagnosis.jsonl", Diagnosis)
    used = [d for d in found if d.label != "excluded"]
    share = sum(d.label == "observational" for d in used) / len(used)
    assert abs(share - 0.74) <= 1 / len(used)


def test_an_untouched_object_changes_nothing(made):
    untouched = [
        d for d in read_jsonl(made[1] / "diagnosis.jsonl", Diagnosis) if d.flags["untouched"]
    ]
    assert len(untouched) > 5
    assert all(d.flags["no_path"] and d.flags["same_truth"] for d in untouched)


def test_a_minimal_pair_is_one_observational_and_one_inferential_question(made):
    """Training takes a pair's labels from its roles; the logs must say the same."""
    data, out = made
    pairs = read_jsonl(out / "minimal_pairs.jsonl", Question)
    found = label_pairs(data, pairs, "same_truth", None)
    assert [d.question_id for d in found] == [q.id for q in pairs]
    assert [d.label for d in found] == [ROLES[q.groups["role"]] for q in pairs]
    told = json.loads((out / "summary.json").read_text())["minimal_pairs"]
    assert len(pairs) > 10
    assert told["same_truth"] == {"observational": len(pairs) // 2, "questions": len(pairs)}
    assert told["untouched"]["observational"] == sum(d.flags["untouched"] for d in found)


def test_truths_are_those_of_the_simulated_worlds(made, length):
    data, out = made
    objects = {}
    for path in (*list_annotations(data, "train"), *list_annotations(data, "validation")):
        told = read_annotation(path)
        objects[str(told.scene_index)] = told.object_property
    worlds = {}
    for path in (data / "counterfactual").rglob("*.json"):
        told = json.loads(path.read_text())
        worlds[str(told["scene_index"])] = told
    questions = {q.id: q for q in read_jsonl(out / "questions.jsonl", Question)}

    def collisions(events):
        shown = [e for e in events if e["type"] == "collision" and e["frame_id"] < length]
        return {frozenset(e["object_ids"]) for e in shown}

    checked = 0
    for d in read_jsonl(out / "diagnosis.jsonl", Diagnosis):
        question = questions[d.question_id]
        scene = question.groups["scene"]
        things = objects[scene]
        removed = resolve(d.evidence.removed, things)
        without = next(w for w in worlds[scene]["without"] if w["object_id"] == removed)
        before, after = collisions(worlds[scene]["events"]), collisions(without["events"])
        for i, choice in enumerate(question.choices):
            pair = frozenset(resolve(name, things) for name in parse_option(choice))
            assert d.evidence.truth_video[i] == (pair in before)
            assert d.evidence.truth_counterfactual[i] == (pair in after)
            checked += 1
    assert checked > 80
