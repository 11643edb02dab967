"""The written folder is checked from its files alone, by code that generated none of it."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.world.written_worlds import full_scene, read_worlds
from videothinker.clevrer.annotations import annotation_path, read_annotation
from videothinker.clevrer.grammar import parse_counterfactual, parse_option, resolve
from videothinker.clevrer.programs import execute, judge, parse, removed_object
from videothinker.clevrer.questions import (
    ANSWERS,
    RawQuestion,
    SceneQuestions,
    load,
    load_minimal_pairs,
    load_split,
    read_questions,
)
from videothinker.clevrer.scenes import Scene
from videothinker.runs import digest_path
from videothinker.world.config import WorldConfig
from videothinker.world.stage import world

SCENES, HELD_OUT, SHARE = 12, 6, 0.74
LENGTHS = {"allowed": 128, "allowed, longer": 192, "none": 128}


def config(out: Path, kind: str, **changes: Any) -> WorldConfig:
    """With and without give-aways, CLEVRER's videos and longer ones."""
    given: dict[str, Any] = {
        "scenes": SCENES,
        "validation_scenes": HELD_OUT,
        "frames": 0,
        "observational_share": SHARE,
        "length": LENGTHS[kind],
        "give_aways": kind.partition(",")[0],
        "seed": 5,
        "workers": 1,
    }
    return WorldConfig(out=out, **given | changes)


@pytest.mark.parametrize("kind", LENGTHS)
def test_a_written_folder_is_right(tmp_path: Path, kind: str) -> None:
    """One world a kind, which takes longer to make than to check."""
    made = world(config(tmp_path / "a", kind))
    every_answer_is_what_its_program_says_of_the_written_events(made, kind)
    the_dial_and_the_text_agree_with_the_raw_events(made)
    options_and_kinds_are_balanced(made, kind)
    phrases_are_the_shortest_that_identify(made)
    minimal_pairs_differ_in_the_premise_and_in_the_answer(made, kind)
    it_is_a_clevrer_folder(made, LENGTHS[kind])


def scene_of(root: Path, split: str, index: int) -> Scene:
    path = annotation_path(root, split, index)
    annotation = read_annotation(path, trajectories=True)
    return full_scene(annotation, read_worlds(root, split, index))


def every(root: Path, kind: str) -> list[tuple[str, SceneQuestions, RawQuestion]]:
    return [
        (split, scene, question)
        for split in ("train", "validation")
        for scene in read_questions(root / f"{split}.json")
        for question in scene.questions
        if question.question_type == kind
    ]


def every_answer_is_what_its_program_says_of_the_written_events(made: Path, kind: str) -> None:
    count = 0
    files = (("train", "train"), ("validation", "validation"), ("minimal_pairs", "validation"))
    for file, split in files:
        if not (made / f"{file}.json").exists():
            continue
        for entry in read_questions(made / f"{file}.json"):
            scene = scene_of(made, split, entry.scene_index)
            for question in entry.questions:
                where = f"{file} {entry.scene_index}-{question.question_id}"
                if question.question_type == "descriptive":
                    parse(question.program, where=where)
                    assert execute(question.program, scene, where=where) == question.answer
                    assert question.answer in ANSWERS[question.question_subtype or ""]
                for choice in question.choices:
                    assert parse((*choice.program, *question.program), where=where) == "bool"
                    yes = judge(choice.program, question.program, scene, where=where)
                    assert choice.answer == ("correct" if yes else "wrong"), where
                count += 1
    least = 14 if kind == "none" else 15  # these have minimal pairs as well
    assert count > least * (SCENES + HELD_OUT)


def plain_truth(root: Path, split: str, index: int) -> tuple[Any, Any, Any]:
    """Pairs by name: in the video, and without each object; from raw JSON, without our readers."""
    notes = json.loads(annotation_path(root, split, index).read_text())
    thousand = f"counterfactual_{index // 1000 * 1000:05d}-{index // 1000 * 1000 + 1000:05d}"
    path = root / "counterfactual" / split / thousand / f"counterfactual_{index:05d}.json"
    others = json.loads(path.read_text())
    seen = {frozenset(hit["object_ids"]) for hit in notes["collision"]}
    without = {
        other["object_id"]: {
            frozenset(e["object_ids"])
            for e in other["events"]
            if e["type"] == "collision" and e["frame_id"] < len(notes["motion_trajectory"])
        }
        for other in others["without"]
    }
    return notes["object_property"], seen, without


def the_dial_and_the_text_agree_with_the_raw_events(made: Path) -> None:
    for split, scenes in (("train", SCENES), ("validation", HELD_OUT)):
        labels: list[bool] = []
        for of, entry, question in every(made, "counterfactual"):
            if of != split:
                continue
            looks, seen, without = plain_truth(made, split, entry.scene_index)
            scene = scene_of(made, split, entry.scene_index)
            premise = parse_counterfactual(question.question)
            removed = resolve(premise.removed, scene.objects)
            assert looks[removed]["object_id"] == removed == removed_object(question.program, scene)
            same = True
            for choice in question.choices:
                pair = frozenset(resolve(p, scene.objects) for p in parse_option(choice.choice))
                assert removed not in pair
                happens = pair in without[removed]
                assert choice.answer == ("correct" if happens != premise.negated else "wrong")
                same = same and happens == (pair in seen)
            labels.append(same)
        assert len(labels) == 2 * scenes
        assert abs(sum(labels) - SHARE * len(labels)) <= 1


def options_and_kinds_are_balanced(made: Path, give_aways: str) -> None:
    for kind in ("explanatory", "predictive", "counterfactual"):
        answers = [c.answer for _, _, q in every(made, kind) for c in q.choices]
        assert abs(answers.count("correct") / len(answers) - 0.5) < 0.12, kind
    what_if = [question for _, _, question in every(made, "counterfactual")]
    assert all(any(c.answer == "correct" for c in question.choices) for question in what_if)
    assert abs(sum("negate" in q.program for q in what_if) - len(what_if) / 2) <= 2
    share = 0.35 if give_aways == "none" else 0.7  # fewer scenes have a late mover
    assert len(every(made, "predictive")) >= share * (SCENES + HELD_OUT)
    assert len(every(made, "explanatory")) >= SCENES + HELD_OUT
    exist = [q.answer for _, _, q in every(made, "descriptive") if q.question_subtype == "exist"]
    assert 0.35 < exist.count("yes") / len(exist) < 0.65
    assert {q.question_subtype for _, _, q in every(made, "descriptive")} == set(ANSWERS)


def phrases_are_the_shortest_that_identify(made: Path) -> None:
    for split, entry, question in every(made, "counterfactual"):
        objects = scene_of(made, split, entry.scene_index).objects
        phrase = parse_counterfactual(question.question).removed
        words = [word for word in phrase.split() if word != "object"]
        resolve(phrase, objects)
        for fewer in range(1, len(words)):
            for some in itertools.combinations(("color", "material", "shape"), fewer):
                thing = objects[resolve(phrase, objects)]
                alike = [
                    o for o in objects if all(getattr(o, p) == getattr(thing, p) for p in some)
                ]
                assert len(alike) > 1, phrase


def minimal_pairs_differ_in_the_premise_and_in_the_answer(made: Path, kind: str) -> None:
    if kind == "none":  # families stand in their place
        assert not (made / "minimal_pairs.json").exists()
        return
    records = load_minimal_pairs(made)
    assert len(records) >= HELD_OUT
    for spare, cause in zip(records[::2], records[1::2], strict=True):
        assert spare.groups["pair"] == cause.groups["pair"]
        assert (spare.groups["role"], cause.groups["role"]) == ("irrelevant", "causal")
        assert spare.choices == cause.choices
        assert spare.question_struck == cause.question_struck
        assert spare.question != cause.question
        assert spare.answer != cause.answer
        assert spare.answer
        assert cause.answer
        index = int(spare.groups["scene"])
        _, seen, without = plain_truth(made, "validation", index)
        scene = scene_of(made, "validation", index)
        idle = resolve(parse_counterfactual(spare.question).removed, scene.objects)
        assert without[idle] == {pair for pair in seen if idle not in pair}


def it_is_a_clevrer_folder(made: Path, length: int) -> None:
    split = load_split(made, "validation")
    assert sorted(split.annotations) == list(range(10_000, 10_000 + HELD_OUT))
    assert len(load(made, "train")) == sum(
        len(s.questions) for s in read_questions(made / "train.json")
    )
    notes = json.loads(annotation_path(made, "train", 0).read_text())
    assert notes.get("length", 128) == length
    assert ("length" in notes) == (length != 128)
    assert [frame["frame_id"] for frame in notes["motion_trajectory"]] == list(range(length))
    assert all(0 <= hit["frame_id"] < length for hit in notes["collision"])
    dropped = [json.loads(line) for line in (made / "rejected.jsonl").read_text().splitlines()]
    metadata = json.loads((made / "run.json").read_text())
    assert len(dropped) == sum(metadata["facts"]["rejected"].values())


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_of_the_dial_are_within_reach(tmp_path: Path, share: float) -> None:
    few = {"scenes": 4, "validation_scenes": 0, "descriptive": 0, "seed": 0}
    out = world(config(tmp_path / "w", "allowed", observational_share=share, **few))
    for _, entry, question in every_train(out):
        scene = scene_of(out, "train", entry.scene_index)
        removed = removed_object(question.program, scene)
        assert scene.counterfactual is not None
        lost = {e.pair for e in scene.counterfactual[removed] if e.type == "collision"}
        pairs = [
            frozenset(resolve(p, scene.objects) for p in parse_option(choice.choice))
            for choice in question.choices
        ]
        assert all((p in lost) == (p in scene.collisions) for p in pairs) == (share == 1)
    assert (out / "minimal_pairs.json").read_text() == "[]\n"


def every_train(root: Path) -> list[tuple[str, SceneQuestions, RawQuestion]]:
    return [
        ("train", scene, question)
        for scene in read_questions(root / "train.json")
        for question in scene.questions
        if question.question_type == "counterfactual"
    ]


def test_the_digest_is_its_own(tmp_path: Path) -> None:
    """Of the default world, `test_families.py` says the same."""
    few = {"scenes": 3, "validation_scenes": 2}
    one, two = (
        world(config(tmp_path / f"{workers}", "allowed, longer", workers=workers, **few))
        for workers in (1, 2)
    )
    assert digest_path(one) == digest_path(two)
