"""The audit on a list and on scenes, every score counted by hand."""

import json

import pytest

from tests.diagnosis.made_questions import asks, without
from videothinker.diagnosis.audit import audit, kinds_of
from videothinker.diagnosis.audit_table import GUESS, lines, read_audit, table
from videothinker.diagnosis.config import DiagnoseConfig
from videothinker.diagnosis.sources import SPLITS
from videothinker.diagnosis.stage import diagnose
from videothinker.errors import UserError
from videothinker.families import WHOLE
from videothinker.records import Audited, Question, read_jsonl, write_jsonl

CHOICES = ("a ball", "the longest of them", "two", "a boat")
LIST = [
    # a family of two: who never reads the premise is right once
    asks("a", without("gray cube"), "A", choices=CHOICES),
    asks("b", without("red cube"), "B", choices=CHOICES),
    # a family of three: right twice at most
    *(
        asks(name, without(f"{name} cube"), letter, video="w", choices=CHOICES)
        for name, letter in (("red", "D"), ("blue", "D"), ("green", "C"))
    ),
    asks("alone", "What is it?", "B", video="x", choices=CHOICES, type="open"),
    asks("unanswerable", "What is it?", "", video="x", choices=CHOICES, type="open"),
]


def test_a_list_by_hand() -> None:
    records, note = audit(LIST, {}, {}, kinds_of(LIST, None), 0)
    assert note is not None
    assert "3 videos are too few" in note
    found = table(records)
    assert found["columns"] == {"counterfactual": 5, "open": 1, "all": 6, WHOLE: 2}
    score = {
        name: {c: e["value"] for c, e in line.items()} for name, line in found["right"].items()
    }
    third, sixth = 1 / 3, 1 / 6
    assert score == {
        "first option": {"counterfactual": 0.2, "open": 0, "all": sixth, WHOLE: 0},
        "last option": {"counterfactual": 0.4, "open": 0, "all": third, WHOLE: 0},
        "longest option": {"counterfactual": 0.2, "open": 1, "all": third, WHOLE: 0},
        "shortest option": {"counterfactual": 0.2, "open": 0, "all": sixth, WHOLE: 0},
        GUESS: {"counterfactual": 0.25, "open": 0.25, "all": 0.25},
    }
    ceiling = found["ceiling"]
    assert (ceiling["families"], ceiling["questions"]) == (2, 5)
    assert ceiling["right"]["value"] == pytest.approx((1 + 2) / 5)
    assert ceiling["whole"]["value"] == 0
    assert ceiling["of_all"]["value"] == pytest.approx((1 + 2 + 1) / 6)
    told = "\n".join(lines(found))
    assert "5 questions in 2 families" in told
    assert "at most 60.0 (" in told
    assert "not asked: describe, " in told


def test_scenes_by_hand(folder, tmp_path) -> None:
    out = diagnose(folder.root, DiagnoseConfig(out=tmp_path / "out"))
    records = {one.question_id: one for one in read_jsonl(out / "audit.jsonl", Audited)}
    # three scenes, four counterfactual questions each; the fourth has no right answer
    assert len(records) == 9
    first, second, third = (records[f"clevrer/train/00000-0{i}"] for i in (1, 2, 3))
    # red hits blue, blue hits green; gray, which collides with nothing, is removed: all of these
    # describe (the options name every object that collides)
    options = {"first option", "longest option", "shortest option"}
    assert {name for name, right in first.right.items() if right} - options == {
        *("describe", "describe, else change", "unnamed object"),
        *("named object collides", "one hop", "event graph", "handed on"),
    }
    # without red: gone is blue with green, new is green with gray, and no one foresees the new
    assert (second.label, second.part) == ("inferential", "the rest")
    assert not second.right["describe"]
    # red's only partner is blue, whom only the first option names: right for what happens to it
    assert not second.right["one hop"]
    # negated: neither happens after the removal, so both are right, and one happened in the video
    assert (third.label, third.part) == ("inferential", "the rest")
    assert third.right["event graph"]
    assert not third.right["describe"]
    found = read_audit(out)
    assert found is not None
    assert found["right"]["describe"]["observational"]["value"] == 1
    assert found["right"]["describe"]["inferential"]["value"] == 0
    assert found["right"]["event graph"]["inferential"]["value"] == 0.5
    # what is never shown without its split
    assert "inferential, the rest" in found["columns"]
    told = json.loads((out / "summary.json").read_text())
    assert told["audit"]["right"] == json.loads(json.dumps(found["right"]))
    # questions 2 and 3 share an option, and red is removed in both: no pair
    counted = {"premises_readable": 9, "pairs": 0, "same_options": 0, "written": 0}
    assert told["natural_pairs"] == counted


def test_a_list_is_audited_without_a_model(tmp_path, capsys) -> None:
    data = write_jsonl(tmp_path / "mine.jsonl", LIST)
    out = diagnose(data, DiagnoseConfig(out=tmp_path / "out"))
    assert not (out / "bias.jsonl").exists()
    assert not (out / "diagnosis.jsonl").exists()
    said = capsys.readouterr()
    assert "give --probe MODEL" in said.out + said.err
    pairs = read_jsonl(out / "natural_pairs.jsonl", Question)
    assert [q.id for q in pairs] == ["a", "b", "red", "green"]
    with pytest.raises(UserError, match="leave --miss-rate out"):
        diagnose(data, DiagnoseConfig(out=tmp_path / "no", miss_rate=0.1))


def test_a_question_file_alone_is_a_list(folder, tmp_path) -> None:
    config = DiagnoseConfig(out=tmp_path / "out", benchmark="clevrer")
    out = diagnose(folder.root / "train.json", config)
    found = read_audit(out)
    assert found is not None
    # two scenes; the one without a right answer is not asked
    assert found["columns"] == {"counterfactual": 6, "descriptive": 2, "all": 8}
    both = [json.loads((folder.root / f"{name}.json").read_text()) for name in SPLITS]
    (tmp_path / "both.json").write_text(json.dumps([scene for part in both for scene in part]))
    out = diagnose(tmp_path / "both.json", DiagnoseConfig(out=tmp_path / "b", benchmark="clevrer"))
    asked = read_jsonl(out / "questions.jsonl", Question)
    assert {(q.split, q.groups["scene"]) for q in asked} == {
        *(("train", "0"), ("train", "1"), ("validation", "10000")),
    }
    (tmp_path / "far.json").write_text(
        (folder.root / "train.json").read_text().replace('"scene_index": 0', '"scene_index": 70000')
    )
    with pytest.raises(UserError, match="scene 70000"):
        diagnose(tmp_path / "far.json", DiagnoseConfig(out=tmp_path / "f", benchmark="clevrer"))
