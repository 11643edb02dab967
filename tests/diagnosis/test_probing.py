"""Probing a real (tiny, random) model end to end: records, resume, questions without logs."""

import json
import shutil

import msgspec
import pytest

from tests.diagnosis.diagnosis_folder import annotation
from videothinker.answering.endpoint import EndpointConfig
from videothinker.diagnosis import probing
from videothinker.diagnosis.config import PROBE_NAMES, RULES, DiagnoseConfig
from videothinker.diagnosis.insight import read_insight
from videothinker.diagnosis.probes import FLAGS
from videothinker.diagnosis.stage import diagnose
from videothinker.errors import UserError
from videothinker.records import Diagnosis, Question, Sample, read_jsonl, write_jsonl
from videothinker.runs import digest_path

SERVED = EndpointConfig(endpoint="http://localhost:1/v1")
SMALL = {"samples": 2, "max_new_tokens": 6, "probes": ("full", "struck", "blind")}


def moving(scene):
    """An annotation in which every object stands still in view."""
    told = annotation(scene)
    things = [
        {
            "object_id": thing["object_id"],
            "location": [float(thing["object_id"]), 0.0, 0.0],
            "orientation": [0.0, 0.0, 0.0],
            "velocity": [0.0, 0.0, 0.0],
            "angular_velocity": [0.0, 0.0, 0.0],
            "inside_camera_view": True,
        }
        for thing in told["object_property"]
    ]
    told["motion_trajectory"] = [{"frame_id": t, "objects": things} for t in range(128)]
    return told


@pytest.fixture
def logged(folder):
    for split, scene in (("train", 0), ("train", 1), ("validation", 10_000)):
        folder.annotate(split, scene, moving(scene))
    return folder


def test_transcripts_stand_in_for_videos(logged, tmp_path):
    config = DiagnoseConfig(out=tmp_path / "all", miss_rate=0.0, transcript="full")
    out = diagnose(logged.root, config)
    questions = read_jsonl(out / "questions.jsonl", Question)
    assert all(q.video is None and "Frame 20: the red metal cube" in q.context for q in questions)
    half = diagnose(logged.root, DiagnoseConfig(out=tmp_path / "half", miss_rate=0.5, seed=3))
    contexts = {
        q.groups["scene"]: q.context for q in read_jsonl(half / "questions.jsonl", Question)
    }
    by_question = {
        (q.groups["scene"], q.context) for q in read_jsonl(half / "questions.jsonl", Question)
    }
    assert len(by_question) == len(contexts) == 3  # one transcript a scene
    # The labels come from the whole log, whatever the transcript misses.
    assert (half / "diagnosis.jsonl").read_bytes() == (out / "diagnosis.jsonl").read_bytes()


def test_probes_and_logs_stand_side_by_side(logged, tiny_model, tmp_path):
    config = DiagnoseConfig(out=tmp_path / "out", probe=str(tiny_model), miss_rate=0.0, **SMALL)
    out = diagnose(logged.root, config)
    found = read_jsonl(out / "diagnosis.jsonl", Diagnosis)
    assert len(found) == 12
    for d in found:
        assert d.rule == "survives_strike"
        if d.label == "excluded":
            continue
        assert set(d.flags) == {*RULES, "survives_strike", "survives_blindness"}
        assert (d.label == "observational") == d.flags["survives_strike"]
        assert set(d.probes) == {"full", "struck", "blind"}
        assert all(n == 2 for _, n in d.probes.values())
        assert d.evidence.removed is not None
    assert sum(d.label == "excluded" for d in found) == 3
    told = json.loads((out / "summary.json").read_text())["probing"]
    assert set(told["agreement"]) == set(RULES)
    assert set(told["agreement_by_samples"]) == {"1", "2"}
    assert told["reliance_strike"]["both_right"]["n"] == 9
    assert set(told["causal"]) == {"reasoning", "observation"}
    assert told["agreement_shuffled"]["same_truth"]["n"] == 9
    anew = msgspec.json.encode(read_insight(out, config.seed))  # from the records alone
    assert json.loads(anew) == told
    samples = read_jsonl(out / "samples.jsonl", Sample)
    assert len(samples) == 9 * 3 * 2
    assert json.loads((out / "run.json").read_text())["facts"]["probed_model"] == samples[0].model


def test_answers_in_two_ways_forecast_which_pays(logged, tiny_model, tmp_path, capsys):
    ways = ("<think>Seen:", "<think>Without")
    small = {"samples": 2, "max_new_tokens": 6, "probes": ("struck",), "miss_rate": 0.0}
    config = DiagnoseConfig(out=tmp_path / "out", probe=str(tiny_model), ways=ways, **small)
    out = diagnose(logged.root, config)
    samples = read_jsonl(out / "ways.jsonl", Sample)
    assert len(samples) == 9 * 2 * 2
    assert len({sample.protocol for sample in samples}) == 2
    # random weights answer nothing right, so one label is missing
    assert json.loads((out / "summary.json").read_text())["ways"] is None
    assert "no break-even is forecast" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ways": ("a", "b")}, "came without --probe"),
        ({"ways": ("a",), "probe": "m"}, "give two different beginnings"),
        ({"ways": ("a", "a"), "probe": "m"}, "give two different beginnings"),
        (
            {"ways": ("a", "b"), "probe": "m", "served": EndpointConfig(endpoint="http://h/v1")},
            "endpoint",
        ),
    ],
)
def test_ways_that_cannot_be_asked_are_refused(given, said):
    with pytest.raises(UserError, match=said):
        DiagnoseConfig(**given)


def test_a_killed_probing_resumes_to_the_same_bytes(logged, tiny_model, tmp_path):
    settings = {"probe": str(tiny_model), "miss_rate": 0.0, **SMALL}
    whole = diagnose(logged.root, DiagnoseConfig(out=tmp_path / "whole", **settings))
    cut = shutil.copytree(whole, tmp_path / "cut")
    metadata = json.loads((cut / "run.json").read_text())
    (cut / "run.json").write_text(json.dumps({**metadata, "status": "running"}))
    (cut / "summary.json").unlink()
    lines = (cut / "samples.jsonl").read_bytes().splitlines(keepends=True)
    torn = [*lines[: len(lines) // 2], b'{"question_id": "torn']
    (cut / "samples.jsonl").write_bytes(b"".join(torn))
    assert digest_path(diagnose(logged.root, DiagnoseConfig(out=cut, **settings))) == digest_path(
        whole
    )


def one(number, **changes):
    values = {
        "id": f"mine/{number}",
        "dataset": "mine",
        "split": "test",
        "context": "The red cube meets the blue sphere.",
        "question": f"What happens in {number}?",
        "choices": ("A thing", "Another"),
        "answer": ("A",),
        "type": "open",
    }
    return Question(**{**values, **changes})


def test_a_list_of_questions_without_logs(tiny_model, tmp_path):
    premise = {"question_struck": "What happens?"}
    data = write_jsonl(tmp_path / "mine.jsonl", [one(0), one(1, **premise), one(2, answer=())])
    settings = {**SMALL, "probes": PROBE_NAMES}
    out = diagnose(data, DiagnoseConfig(out=tmp_path / "out", probe=str(tiny_model), **settings))
    found = {d.question_id: d for d in read_jsonl(out / "diagnosis.jsonl", Diagnosis)}
    assert found["mine/2"].label == "excluded"
    assert "survives_strike" not in found["mine/0"].flags
    assert set(found["mine/1"].flags) == set(FLAGS.values())
    assert found["mine/0"].probes.keys() == set(PROBE_NAMES) - {"struck"}
    told = json.loads((out / "summary.json").read_text())
    assert "agreement" not in told["probing"]
    assert json.loads((out / "run.json").read_text())["facts"]["at_chance"]  # of random weights


def test_a_diagnosed_list_keeps_what_its_logs_said(logged, tiny_model, tmp_path):
    first = diagnose(logged.root, DiagnoseConfig(out=tmp_path / "first", miss_rate=0.0))
    config = DiagnoseConfig(out=tmp_path / "then", probe=str(tiny_model), **SMALL)
    then = diagnose(first / "questions.jsonl", config)
    once = DiagnoseConfig(out=tmp_path / "once", probe=str(tiny_model), miss_rate=0.0, **SMALL)
    found = read_jsonl(then / "diagnosis.jsonl", Diagnosis)
    by_folder = read_jsonl(diagnose(logged.root, once) / "diagnosis.jsonl", Diagnosis)
    assert [(d.question_id, d.evidence, d.flags) for d in found] == [
        (d.question_id, d.evidence, d.flags) for d in by_folder
    ]
    metadata = json.loads((then / "run.json").read_text())
    assert metadata["facts"]["data_root"] == str(logged.root.resolve())


def test_an_unreadable_video_is_a_recorded_failure(tiny_model, tmp_path, capsys):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    questions = [one(0), one(1, context=None, video="broken.mp4", question_struck="What happens?")]
    data = write_jsonl(tmp_path / "mine.jsonl", questions)
    out = diagnose(data, DiagnoseConfig(out=tmp_path / "out", probe=str(tiny_model), **SMALL))
    found = {d.question_id: d for d in read_jsonl(out / "diagnosis.jsonl", Diagnosis)}
    assert found["mine/1"].label == "excluded"
    assert found["mine/1"].flags["survives_strike"] is None
    told = "1 with a transcript (first 'mine/0'), 1 with a video (first 'mine/1')"
    assert told in capsys.readouterr().err
    assert (
        json.loads((out / "run.json").read_text())["failures"] == 4
    )  # full and struck, twice each


def test_ids_twice_and_an_empty_list_are_refused(tiny_model, tmp_path):
    data = write_jsonl(tmp_path / "mine.jsonl", [one(0), one(0)])
    with pytest.raises(UserError, match="2: id 'mine/0' is that of line 1"):
        diagnose(data, DiagnoseConfig(out=tmp_path / "a", probe=str(tiny_model)))
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match="no question"):
        diagnose(
            tmp_path / "empty.jsonl", DiagnoseConfig(out=tmp_path / "b", probe=str(tiny_model))
        )


def test_a_limit_draws_by_the_seed_and_keeps_the_order():
    questions = [one(i) for i in range(50)]
    first = probing.draw(questions, 10, 0)
    assert len(first) == 10
    assert [q.id for q in first] == [q.id for q in questions if q in first]
    assert probing.draw(questions, 10, 0) == first
    assert probing.draw(questions, 10, 1) != first
    reversed_first = probing.draw(questions[::-1], 10, 0)
    assert {q.id for q in reversed_first} == {q.id for q in first}
    assert probing.draw(questions, None, 0) == questions


def test_minimal_pairs_are_asked_as_they_are(logged, tiny_model, tmp_path):
    scenes = json.loads((logged.root / "validation.json").read_text())
    pool = scenes[0]["questions"]
    one = {**pool[1], "question_id": 0}
    other = {**pool[2], "question_id": 1, "choices": pool[1]["choices"]}
    pair = [{**scenes[0], "questions": [one, other]}]
    (logged.root / "minimal_pairs.json").write_text(json.dumps(pair))
    config = DiagnoseConfig(out=tmp_path / "out", probe=str(tiny_model), miss_rate=0.0, **SMALL)
    out = diagnose(logged.root, config)
    written = read_jsonl(out / "minimal_pairs.jsonl", Question)
    (told_of,) = {q.context for q in written}
    assert told_of in {q.context for q in read_jsonl(out / "questions.jsonl", Question)}
    asked = {s.question_id for s in read_jsonl(out / "samples.jsonl", Sample)}
    names = {"clevrer/minimal_pairs/10000-00", "clevrer/minimal_pairs/10000-01"}
    assert names <= asked
    told = json.loads((out / "summary.json").read_text())["probing"]["reliance_swap"]
    # Both have the options and the right answer of the first: they should stay.
    assert told["changes_when_should_stay"]["n"] == 1
    anew = read_insight(out, config.seed)
    assert anew is not None
    assert anew["reliance_swap"] == told
    assert anew["probes"]["full"]["questions"] == 9  # the pairs are not among them
    assert not names & {d.question_id for d in read_jsonl(out / "diagnosis.jsonl", Diagnosis)}
    assert msgspec.json.decode((out / "run.json").read_bytes())["status"] == "done"


LISTS = {
    "mvbench-list": ("mvbench/questions.json", 4000),
    "video-holmes-list": ("video-holmes/questions.json", 1837),
    "mmvu": ("mmvu", 625),
    "tempcompass": ("tempcompass", 5536),  # the 2,004 captions need a judge model
}


@pytest.mark.parametrize("name", LISTS)
def test_a_benchmark_as_published(shared, tiny_model, tmp_path, name):
    place, count = LISTS[name]
    data = shared / place
    if name == "tempcompass":  # as downloaded, the lists lie in `questions/`
        data = tmp_path / "tempcompass"
        data.mkdir()
        (data / "questions").symlink_to(shared / place)
    config = DiagnoseConfig(
        out=tmp_path / "out",
        probe=str(tiny_model),
        benchmark=name,
        probes=("struck", "blind", "options_only"),
        samples=1,
        max_new_tokens=2,
        limit=4,
        data_root=tmp_path,
    )
    out = diagnose(data, config)
    found = read_jsonl(out / "diagnosis.jsonl", Diagnosis)
    assert len(found) == 4
    assert {d.label for d in found} <= {"observational", "inferential"}
    questions = read_jsonl(out / "questions.jsonl", Question)
    assert len(questions) == count
    struck = [q for q in questions if q.question_struck is not None]
    assert (len(struck) > 100) == (name == "mvbench-list")
    assert all("remove" not in q.question_struck.lower() for q in struck)
