"""The stage on a hand-written folder: labels, files, summary, bad input, resume."""

import json
import os
import re

import pytest

from tests.diagnosis.diagnosis_folder import DESCRIPTIVE, OBJECTS, annotation, counterfactual, thing
from videothinker.diagnosis.config import RULES, DiagnoseConfig
from videothinker.diagnosis.sources import inputs_of, read_list
from videothinker.diagnosis.stage import diagnose
from videothinker.diagnosis.summary import (
    lines,
    matching_rule,
    nearest_rule,
    paper_line,
    summarise,
)
from videothinker.errors import UserError
from videothinker.records import Diagnosis, Evidence, Question, read_jsonl
from videothinker.runs import digest_path


def run(folder, tmp_path, **settings):
    out = diagnose(folder.root, DiagnoseConfig(out=tmp_path / "out", **settings))
    found = {d.question_id: d for d in read_jsonl(out / "diagnosis.jsonl", Diagnosis)}
    return out, found


def test_labels_and_evidence_by_hand(folder, tmp_path):
    _, found = run(folder, tmp_path)
    assert len(found) == 12
    first = found["clevrer/train/00000-01"]
    assert first.label == "observational"
    assert first.evidence.removed == "gray object"
    assert first.evidence.observed == (
        "frame 20: red metal cube collides with blue rubber sphere",
        "frame 50: blue rubber sphere collides with green metal cylinder",
    )
    assert first.evidence.truth_video == (True, False)
    assert first.evidence.truth_counterfactual == (True, False)
    second = found["clevrer/train/00000-02"]
    assert second.label == "inferential"
    assert second.evidence.truth_video == (True, False)
    assert second.evidence.truth_counterfactual == (False, True)
    third = found["clevrer/train/00000-03"]
    assert third.label == "inferential"
    assert third.evidence.truth_counterfactual == (False, False)
    assert third.flags == {
        "untouched": False,
        "no_path": False,
        "same_truth": False,
        "correct_seen": False,
        "any_correct_seen": True,
    }
    assert found["clevrer/train/00000-04"].label == "excluded"
    assert found["clevrer/train/00000-04"].flags == dict.fromkeys(RULES)


def test_the_summary_says_how_many_give_themselves_away():
    def one(label, *truth):
        evidence = Evidence(truth_video=truth)
        return Diagnosis(
            question_id="q", rule="same_truth", label=label, flags=dict.fromkeys(RULES),
            evidence=evidence,
        )  # fmt: skip

    some = [one("inferential", False, False), one("inferential", True, False)]
    some += [one("inferential"), one("observational", True, False), one("excluded", True)]
    summary = summarise([question()], some, RULES)
    found = summary["splits"]["train"]
    assert found["gives_itself_away"] == {
        "observational": {"questions": 1, "known": 1, "give_away": 0},
        "inferential": {"questions": 3, "known": 2, "give_away": 1},
    }
    (told,) = [x for x in lines(summary, "same_truth") if "give themselves away" in x]
    assert "0.0 % (0 of 1; 95 % 0.0 to 79.3) of observational" in told
    assert "50.0 % (1 of 2; 95 % 9.5 to 90.5) of inferential and 1 not known" in told
    bare = summarise([question()], [one("inferential")], RULES)
    assert "not known without event logs" in "\n".join(lines(bare, "same_truth"))
    half = summarise([question()], [one("inferential", True, True)], RULES)
    (told,) = [x for x in lines(half, "same_truth") if "give themselves away" in x]
    assert "no question is observational, 100.0 % (1 of 1; " in told
    mixed = summarise([question()], [one("inferential"), one("observational", True)], RULES)
    assert "of inferential not known" in "\n".join(lines(mixed, "same_truth"))


def question():
    return Question(
        id="q", dataset="d", split="train", question="What if?", choices=("a", "b"), answer=("A",),
        type="counterfactual",
    )  # fmt: skip


def test_files_for_training(folder, tmp_path):
    out, _ = run(folder, tmp_path)
    questions = read_jsonl(out / "questions.jsonl", Question)
    assert len(questions) == 15
    assert {q.type for q in questions} == {"descriptive", "counterfactual"}
    struck = read_jsonl(out / "bias.jsonl", Question)
    as_is = read_jsonl(out / "bias_as_is.jsonl", Question)
    # Validation never enters a set to train on.
    assert [q.id for q in struck] == ["clevrer/train/00000-01", "clevrer/train/00001-01"]
    assert [q.id for q in as_is] == [q.id for q in struck]
    assert struck[0].question == "Which event will happen?"
    assert struck[0].answer == as_is[0].answer == ("A",)
    assert struck[0].choices == as_is[0].choices
    assert as_is[0].question == "Which event will happen if the gray object is removed?"
    metadata = json.loads((out / "run.json").read_text())
    assert metadata["facts"]["data_root"] == str(folder.root.resolve())
    assert metadata["failures"] == 0


def test_the_chosen_rule_gives_the_label_and_the_flags_stay(folder, tmp_path):
    for rule in RULES:
        config = DiagnoseConfig(out=tmp_path / rule, rule=rule)
        out = diagnose(folder.root, config)
        for d in read_jsonl(out / "diagnosis.jsonl", Diagnosis):
            assert set(d.flags) == set(RULES)
            if d.label != "excluded":
                assert (d.label == "observational") == d.flags[rule]


def test_summary_is_derived_from_the_records(folder, tmp_path):
    out, _ = run(folder, tmp_path)
    told = json.loads((out / "summary.json").read_text())
    train = told["splits"]["train"]
    assert train["diagnosed"] == 8
    assert train["excluded"] == 2
    assert train["rules"]["same_truth"] == {"observational": 2, "questions": 6}
    assert train["rules"]["any_correct_seen"] == {"observational": 4, "questions": 6}
    assert train["disagreement"]["same_truth / any_correct_seen"] == 2
    assert train["gives_the_papers_count"] is None
    assert told["types"] == {"counterfactual": 12, "descriptive": 3}


def test_the_papers_count_is_recognised_exactly():
    paper = {"observational": 13_674, "questions": 18_473}
    off_by_one = {"observational": 13_675, "questions": 18_473}
    counts = {"untouched": {"observational": 6_000, "questions": 18_473}, "same_truth": off_by_one}
    assert matching_rule(counts) is None
    assert nearest_rule(counts) == "same_truth"
    assert matching_rule({**counts, "correct_seen": paper}) == "correct_seen"
    assert nearest_rule({"same_truth": {"observational": 0, "questions": 0}}) is None
    found = {"gives_the_papers_count": None, "nearest_to_the_papers_share": "same_truth"}
    assert paper_line(found, 18_473).startswith("no rule gives the paper's 13674 of 18473")
    assert paper_line({**found, "gives_the_papers_count": "correct_seen"}, 18_473) == (
        "correct_seen gives the paper's 13674 of 18473 (74.0 %)"
    )


def test_same_bytes_again_and_a_done_folder_returns(folder, tmp_path):
    one, _ = run(folder, tmp_path)
    before = digest_path(one)
    diagnose(folder.root, DiagnoseConfig(out=one))
    assert digest_path(one) == before
    other = diagnose(folder.root, DiagnoseConfig(out=tmp_path / "again"))
    assert digest_path(other) == before
    with pytest.raises(UserError, match="rule"):
        diagnose(folder.root, DiagnoseConfig(out=one, rule="untouched"))


def test_an_edited_annotation_is_noticed_and_its_folder_named(folder, tmp_path):
    out, _ = run(folder, tmp_path)
    other = annotation(10_000, collisions=[(20, 0, 1)])
    path = folder.annotate("validation", 10_000, other)
    stamp = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    changed = "another input.*annotation_validation/annotation_10000-11000: '[0-9a-f]{64}' there"
    with pytest.raises(UserError, match=changed):
        diagnose(folder.root, DiagnoseConfig(out=out))
    folder.annotate("validation", 10_000)  # as it was
    diagnose(folder.root, DiagnoseConfig(out=out))
    folder.annotate("validation", 10_000, other)
    os.utime(path, ns=stamp)  # the contents count, not the clock
    metadata = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**metadata, "status": "interrupted"}))
    with pytest.raises(UserError, match=changed):  # unfinished, it would mix two logs
        diagnose(folder.root, DiagnoseConfig(out=out))
    # the split that was not asked for is not read, so it may change
    alone = DiagnoseConfig(out=tmp_path / "alone", split="train")
    diagnose(folder.root, alone)
    folder.annotate("validation", 10_000)
    diagnose(folder.root, alone)


def test_pairs_and_labels_beside_the_questions_are_inputs(folder, tmp_path):
    out, _ = run(folder, tmp_path)
    (folder.root / "minimal_pairs.json").write_text("[]")
    with pytest.raises(UserError, match=r"minimal_pairs\.json: None there"):
        diagnose(folder.root, DiagnoseConfig(out=out))
    listed = out / "questions.jsonl"
    told = inputs_of(listed, DiagnoseConfig(), read_list(listed, DiagnoseConfig()))
    assert told == {name: out / name for name in ("questions.jsonl", "diagnosis.jsonl")}


def test_a_pair_without_its_annotation_is_named_and_stops_nothing_else(folder, tmp_path):
    asked = json.loads((folder.root / "validation.json").read_text())
    moved = {**asked[0], "scene_index": 10_007, "video_filename": "video_10007.mp4"}
    moved["questions"] = moved["questions"][1:3]
    pairs = [{**asked[0], "questions": asked[0]["questions"][1:3]}, moved]
    (folder.root / "minimal_pairs.json").write_text(json.dumps(pairs))
    with pytest.raises(UserError, match="annotation_10007.json: cannot be read"):
        diagnose(folder.root, DiagnoseConfig(out=tmp_path / "stopped"))
    out, found = run(folder, tmp_path, keep_going=True)
    told = json.loads((out / "summary.json").read_text())
    assert len(found) == 12
    assert len(told["problems"]) == 1
    assert told["minimal_pairs"]["same_truth"] == {"observational": 1, "questions": 2}


def test_one_split_alone_gives_its_own_bias_set(folder, tmp_path):
    out, found = run(folder, tmp_path, split="validation")
    assert {d.split(sep="/")[1] for d in found} == {"validation"}
    assert [q.id for q in read_jsonl(out / "bias.jsonl", Question)] == [
        "clevrer/validation/10000-01"
    ]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def unknown_token(folder):
    bad = {**DESCRIPTIVE, "question_id": 7, "program": ["objects", "filter_smell", "exist"]}
    folder.ask("train", 2, [bad])
    folder.annotate("train", 2)


def contradiction(folder):
    bad = counterfactual(0, "gray", [("red", "blue", True)])
    bad["program"] = ["all_events", *thing("red"), "get_counterfact", "belong_to"]
    folder.ask("train", 2, [bad])
    folder.annotate("train", 2)


def listed_twice(folder):
    told = annotation(1)
    told["object_property"][1]["object_id"] = 0
    folder.annotate("train", 1, told)


def too_many_choices(folder):
    folder.ask("train", 2, [counterfactual(0, "gray", [("red", "blue", True)] * 27)])
    folder.annotate("train", 2)


BAD = {
    "an annotation without questions": (
        lambda f: f.annotate("train", 5),
        r"scene 5 .*annotation but no questions",
    ),
    "questions without an annotation": (
        lambda f: f.ask("train", 6),
        r"scene 6 .*questions but no annotation",
    ),
    "an unknown token": (
        unknown_token,
        r"clevrer/train/00002-07: unknown program token 'filter_smell'",
    ),
    "an id outside the split": (
        lambda f: (f.annotate("train", 10_000), f.ask("train", 10_000)),
        r"10000 is outside split 'train'",
    ),
    "a scene twice": (lambda f: f.ask("train", 1), r"scene_index 1 comes twice"),
    "a question twice": (
        lambda f: (f.annotate("train", 3), f.ask("train", 3, [DESCRIPTIVE, DESCRIPTIVE])),
        r"scene 3 has question_id 0 twice",
    ),
    "a truncated annotation": (
        lambda f: truncate(f.annotate("train", 1)),
        r"annotation_00001\.json: is not whole JSON.*byte",
    ),
    "a phrase that fits nothing": (
        lambda f: f.annotate("train", 1, annotation(1, objects=OBJECTS[:3])),
        r"clevrer/train/00001-01: 'gray object' fits 0 objects",
    ),
    "a collision of nobody": (
        lambda f: f.annotate("train", 1, annotation(1, collisions=[(20, 0, 9)])),
        r"scene 1: collision names object_id 9",
    ),
    "a collision of one": (
        lambda f: f.annotate("train", 1, annotation(1, collisions=[(20, 2, 2)])),
        r"scene 1: object_id 2 collides with itself",
    ),
    "an object listed twice": (listed_twice, r"scene 1: object_property lists \[0, 0, 2, 3\]"),
    "more choices than letters": (
        too_many_choices,
        r"clevrer/train/00002-00: has 27 choices; at most 26",
    ),
    "text and program that disagree": (contradiction, r"clevrer/train/00002-00: .*must agree"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_error(folder, tmp_path, case):
    spoil, message = BAD[case]
    spoil(folder)
    with pytest.raises(UserError, match=message):
        run(folder, tmp_path)


def test_truncated_question_file_names_file_and_byte(folder, tmp_path):
    truncate(folder.root / "train.json")
    with pytest.raises(UserError, match=r"train\.json: is not whole JSON.*byte"):
        run(folder, tmp_path)


def test_an_empty_dataset(folder, tmp_path):
    with pytest.raises(UserError, match="nothing is not there"):
        diagnose(tmp_path / "nothing", DiagnoseConfig(out=tmp_path / "out"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"neither train\.json nor validation\.json"):
        diagnose(tmp_path / "empty", DiagnoseConfig(out=tmp_path / "out"))
    with pytest.raises(UserError, match=r"train\.json: cannot be read"):
        diagnose(tmp_path / "empty", DiagnoseConfig(out=tmp_path / "named", split="train"))
    (folder.root / "train.json").write_text("[]")
    with pytest.raises(UserError, match="holds no question"):
        run(folder, tmp_path, split="train")


def test_what_follows_the_video_is_not_seen(folder, tmp_path):
    before, _ = run(folder, tmp_path)
    folder.annotate("train", 0, annotation(0, collisions=[(20, 0, 1), (50, 2, 1), (128, 0, 3)]))
    config = DiagnoseConfig(out=tmp_path / "later")
    assert digest_path(diagnose(folder.root, config)) == digest_path(before)
    folder.annotate("train", 0, annotation(0, collisions=[(20, 0, 1), (50, 2, 1), (127, 0, 3)]))
    config = DiagnoseConfig(out=tmp_path / "last")
    assert digest_path(diagnose(folder.root, config)) != digest_path(before)


def moving(scene, **changes):
    """An annotation with two frames of trajectory."""
    told = annotation(scene)
    vectors = ("location", "orientation", "velocity", "angular_velocity")
    still = {**dict.fromkeys(vectors, (0, 0, 0)), "inside_camera_view": True}
    told["motion_trajectory"] = [
        {"frame_id": t, "objects": [{"object_id": i, **still} for i in range(4)]} for t in range(2)
    ]
    return {**told, **changes}


def test_transcripts_of_broken_scenes_are_named_and_left_out(folder, tmp_path):
    for split, scene in (("train", 0), ("validation", 10_000)):
        folder.annotate(split, scene, moving(scene))
    stranger = moving(1)
    stranger["motion_trajectory"][1]["objects"][0]["object_id"] = 7
    for told, why in (
        (stranger, r"annotation_00001\.json: scene 1: motion_trajectory names object_id 7"),
        (annotation(1), r"annotation_00001\.json: scene 1 has no trajectories"),
    ):
        folder.annotate("train", 1, told)
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        with pytest.raises(UserError, match=why):
            diagnose(folder.root, DiagnoseConfig(out=out, miss_rate=0.0))
        diagnose(folder.root, DiagnoseConfig(out=out, miss_rate=0.0, keep_going=True))
        (problem,) = json.loads((out / "summary.json").read_text())["problems"]
        assert re.search(why, problem)
        asked = read_jsonl(out / "questions.jsonl", Question)
        assert {q.groups["scene"] for q in asked} == {"0", "10000"}
        assert all(q.video is None and q.context for q in asked)
        known = {d.question_id for d in read_jsonl(out / "diagnosis.jsonl", Diagnosis)}
        assert known <= {q.id for q in asked}


def test_keep_going_names_all_and_leaves_only_them_out(folder, tmp_path):
    unknown_token(folder)
    folder.annotate("train", 5)
    folder.ask("train", 6)
    truncate(folder.annotate("validation", 10_000))
    out, found = run(folder, tmp_path, keep_going=True)
    metadata = json.loads((out / "run.json").read_text())
    told = json.loads((out / "summary.json").read_text())["problems"]
    assert metadata["failures"] == len(told)
    for part in ("filter_smell", "scene 5", "scene 6", "annotation_10000.json"):
        assert sum(part in problem for problem in told) >= 1, part
    assert {d.split("/")[1] for d in found} == {"train"}
    assert len(found) == 8


@pytest.mark.parametrize(
    "settings",
    [
        {"rule": "guess"},
        {"samples": 0},
        {"probes": ()},
        {"probes": ("smell",)},
        {"miss_rate": 1.1},
        {"temperature": 0.0},
        {"limit": 0},
    ],
)
def test_a_bad_setting_is_refused_when_the_config_is_built(settings):
    with pytest.raises(UserError):
        DiagnoseConfig(**settings)
