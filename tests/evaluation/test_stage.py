"""The stage: records on disk, the same numbers after a kill, failures in the denominator."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_words

from tests.answering_toys import ask_about, write_video
from videothinker.clevrer.answerers import HANDED_ON
from videothinker.errors import UserError
from videothinker.estimates import percent
from videothinker.evaluation.config import EvaluateConfig
from videothinker.evaluation.stage import evaluate, protocol_of
from videothinker.models.folders import find_model
from videothinker.records import AUDIT, Audited, Question, Sample, read_jsonl, write_jsonl
from videothinker.runs import digest_path
from videothinker.trained import QUESTIONS, Used, digest


def config(model: Path, out: Path, **changes: object) -> EvaluateConfig:
    base = EvaluateConfig(
        model=str(model),
        out=out,
        benchmark="jsonl",
        protocol="demo",
        frames=4,
        max_new_tokens=4,
        rows=4,
    )
    return replace(base, **changes)


def test_a_run_holds_records_and_numbers_made_of_them(model, data, tmp_path, capsys):
    out = evaluate(data, config(model, tmp_path / "run"))
    samples = read_jsonl(out / "samples.jsonl", Sample)
    questions = read_jsonl(out / "questions.jsonl", Question)
    assert len(questions) == 8
    assert len(samples) == 16
    assert {s.variant for s in samples} == {"full", "blind"}
    failed = [s for s in samples if s.verdict == "failed"]
    assert [s.question_id for s in failed] == ["toy/4"]
    summary = json.loads((out / "summary.json").read_text())
    lines = {line["group"]: line for line in summary["lines"]}
    assert lines["all"]["exact"]["n"] == 8
    assert lines["all"]["exact"]["clusters"] == 3
    assert lines["all"]["failed"] == pytest.approx(1 / 8)
    assert lines["observational"]["exact"]["n"] + lines["inferential"]["exact"]["n"] == 8
    asked = {line["group"].partition(", ")[2]: line["exact"]["n"] for line in summary["lines"]
             if line["group"].startswith("inferential, ")}  # fmt: skip
    assert asked == {"give-aways": 2, "the rest": 1, "give-aways not known": 1}
    by_hand = sum(s.exact for s in samples if s.variant == "full") / 8
    assert lines["all"]["exact"]["value"] == pytest.approx(by_hand)
    assert summary["left_out"] == {"no correct choice": 1}
    assert summary["protocol"]["key"] == samples[0].protocol
    assert summary["shown"]["frames"] == [4, 4]
    assert set(summary["variants"]) == {"full", "blind"}
    assert lines["all"]["blind"] == summary["variants"]["blind"]
    metadata = json.loads((out / "run.json").read_text())
    assert metadata["failures"] == 1
    assert metadata["facts"]["protocol"]["frames"] == 4
    said = capsys.readouterr().err
    for word in ("always A", "random", "blind", "95 %", "unparsed", "left out: 1", "missing",
                 "inferential, the rest", "give-aways: none or all of their options"):  # fmt: skip
        assert word in said
    several = metadata["facts"]["protocol"]["several"]
    assert ("random is a guess of any letters" in said) == several
    assert ("random is a guess of one letter" in said) != several
    again = evaluate(data, config(model, tmp_path / "run"))
    assert again == out
    assert "nothing to do" in capsys.readouterr().err


def test_who_simulates_nothing_stands_beside_the_model(model, data, tmp_path, capsys):
    shutil.copytree(data, tmp_path / "data")
    ids = [q.id for q in read_jsonl(data / "questions.jsonl", Question)]
    audited = [
        Audited(question_id=name, cluster=name, right={HANDED_ON: place < 5}, chance=0.5)
        for place, name in enumerate(ids)
    ]
    write_jsonl(tmp_path / "data" / AUDIT, audited)
    out = evaluate(tmp_path / "data", config(model, tmp_path / "out", variants=("full",)))
    kept = read_jsonl(out / AUDIT, Audited)
    asked = [q.id for q in read_jsonl(out / "questions.jsonl", Question)]
    assert [one.question_id for one in kept] == asked
    told = json.loads((out / "summary.json").read_text())["without simulating"]
    # of the labelled ones 0 to 4 are right: 1 and 3 of 1, 3, 5, 7 are observational
    assert told["observational"]["value"] == 0.5
    assert told["inferential"]["value"] == 3 / told["inferential"]["n"]
    line = "a rule that reads the premise and simulates nothing gets: observational 50.0, "
    assert line in capsys.readouterr().err


def test_torn_at_any_byte_a_run_ends_in_the_same_bytes(model, data, tmp_path):
    whole = evaluate(data, config(model, tmp_path / "whole"))
    text = (whole / "samples.jsonl").read_bytes()
    metadata = json.loads((whole / "run.json").read_text())
    for place in (0, 100, len(text) // 2, len(text) - 1):
        cut = tmp_path / str(place)
        shutil.copytree(whole, cut)
        (cut / "summary.json").unlink()
        (cut / "samples.jsonl").write_bytes(text[:place])
        (cut / "run.json").write_text(json.dumps({**metadata, "status": "running"}))
        assert digest_path(evaluate(data, config(model, cut))) == digest_path(whole)


def test_the_same_command_gives_the_same_bytes(model, data, tmp_path):
    hot = config(model, tmp_path, temperature=1.0, samples=2, variants=("full",), limit=2)
    one, two, other = (
        evaluate(data, replace(hot, out=tmp_path / name, seed=seed))
        for name, seed in (("1", 0), ("2", 0), ("3", 1))
    )
    assert digest_path(one) == digest_path(two) != digest_path(other)


@pytest.mark.parametrize("held_out", [False, True])
def test_what_the_model_was_trained_on_is_warned_of(model, data, tmp_path, capsys, held_out):
    run = tmp_path / "grpo"
    shutil.copytree(model, run / "model")
    trained = read_jsonl(data / "questions.jsonl", Question)[:3]
    trained[2] = replace_words(trained[2], question="Another?")
    rows = [
        Used(question_id=q.id, held_out=held_out, label="unlabelled", digest=digest(q))
        for q in trained
    ]
    (run / "checkpoints").mkdir()
    write_jsonl(run / QUESTIONS, rows)
    out = evaluate(data, config(run, tmp_path / "out", variants=("full",)))
    facts = json.loads((out / "run.json").read_text())["facts"]
    assert facts["trained_on"] == (0 if held_out else 2)
    assert ("2 of 8 questions" in "".join(facts.get("warnings", []))) == (not held_out)
    assert ("warning: " in capsys.readouterr().err) == (not held_out)


@pytest.mark.parametrize("tier", ["transcript", "video"])
def test_a_model_that_never_saw_a_video_is_warned_of(model, data, tmp_path, capsys, tier):
    run = tmp_path / "base"
    shutil.copytree(model, run / "model")
    (run / "run.json").write_text(json.dumps({"stage": "pretrain", "config": {"tier": tier}}))
    out = evaluate(data, config(run, tmp_path / "out", variants=("full",), limit=2))
    told = json.loads((out / "run.json").read_text())["facts"].get("warnings", [])
    assert ["transcripts alone" in one for one in told] == [True] * (tier == "transcript")
    assert ("transcripts alone" in capsys.readouterr().err) == (tier == "transcript")


def test_a_paired_comparison_is_printed(model, data, tmp_path, capsys):
    first = evaluate(data, config(model, tmp_path / "1", variants=("full",)))
    evaluate(data, config(model, tmp_path / "2", variants=("full",), compare=first))
    said = capsys.readouterr().err
    assert "on 8 common questions" in said
    assert "take care" not in said
    evaluate(data, config(model, tmp_path / "4", variants=("full",), compare=first, frames=2))
    assert "take care: demo@" in capsys.readouterr().err


def test_what_cannot_be_told_in_the_end_is_refused_before_any_compute(data, tmp_path):
    write_jsonl(tmp_path / "other" / "samples.jsonl", [])
    bare = tmp_path / "bare.jsonl"
    write_jsonl(bare, [ask_about(0, "a.mp4", question_struck=None)])
    out = tmp_path / "out"
    for given, changes, match in (
        (data, {"compare": tmp_path / "other"}, "in common"),
        (data, {"compare": tmp_path / "gone"}, "cannot be read"),
        (data, {"compare": tmp_path / "other", "variants": ("blind",)}, "variant full"),
        (data, {"samples": 2}, "temperature 0"),
        (bare, {"variants": ("struck",)}, "apply to none of 1 questions"),
    ):
        with pytest.raises(UserError, match=match):
            evaluate(given, config(tmp_path / "no model", out, **changes))
        assert not out.exists()


def test_questions_of_other_types_are_counted(model, data, tmp_path, capsys):
    two = tmp_path / "two.jsonl"
    other = ask_about(2, "a.mp4", split="train")
    write_jsonl(two, [ask_about(0, "a.mp4"), ask_about(1, "a.mp4", type="descriptive"), other])
    evaluate(two, config(model, tmp_path / "run", variants=("blind",), types=("counterfactual",)))
    said = capsys.readouterr().err
    assert "left out: 1 (of type descriptive)" in said
    assert "left out: 1 (of split train)" in said


def test_a_model_that_answers_nothing_gets_a_table_of_zeros(model, data, tmp_path, capsys):
    out = evaluate(data, config(model, tmp_path / "run", max_new_tokens=1))
    everything = json.loads((out / "summary.json").read_text())["lines"][0]
    assert everything["exact"]["value"] == 0
    assert everything["truncated"] + everything["unparsed"] + everything["failed"] == 1
    said = " ".join(capsys.readouterr().err.split())
    assert everything["truncated"] > 0
    assert f"cut off by --max-new-tokens {percent(everything['truncated'])}, failed" in said


def test_selections(model, data, tmp_path):
    out = evaluate(data, config(model, tmp_path / "1", label="inferential", variants=("full",)))
    assert {q.id for q in read_jsonl(out / "questions.jsonl", Question)} == {
        "toy/0", "toy/2", "toy/4", "toy/6"
    }  # fmt: skip
    out = evaluate(data, config(model, tmp_path / "2", limit=3, variants=("full",)))
    kept = read_jsonl(out / "questions.jsonl", Question)
    assert len(kept) == 3
    assert len({q.video for q in kept}) <= 2
    with pytest.raises(UserError, match="there are counterfactual"):
        evaluate(data, config(model, tmp_path / "3", types=("descriptive",)))
    mixed = tmp_path / "mixed.jsonl"
    told = ask_about(1, None, context="Objects: red cube.")
    write_jsonl(mixed, [ask_about(0, "a.mp4"), told])
    with pytest.raises(UserError, match=r"1 with a video .* 1 with a transcript"):
        evaluate(mixed, config(model, tmp_path / "5"))
    unlabelled = tmp_path / "unlabelled.jsonl"
    write_jsonl(unlabelled, [ask_about(0, "a.mp4")])
    with pytest.raises(UserError, match="no question is left"):
        evaluate(unlabelled, config(model, tmp_path / "4", label="inferential"))


def test_a_run_without_the_full_variant_is_tabled_under_the_one_it_has(model, data, tmp_path):
    out = evaluate(data, config(model, tmp_path / "run", variants=("shuffled",), limit=2))
    summary = json.loads((out / "summary.json").read_text())
    assert summary["variant"] == "shuffled"
    assert summary["lines"][0]["blind"] is None
    assert list(summary["variants"]) == ["shuffled"]


def test_check_names_what_is_missing_before_any_compute(data, tmp_path, capsys):
    checked = EvaluateConfig(benchmark="jsonl", check=True, out=tmp_path / "never")
    with pytest.raises(UserError, match="8 of 9 questions .*1 video "):
        evaluate(data, checked)
    assert "gone.mp4" in capsys.readouterr().err
    assert not (tmp_path / "never").exists()
    whole = tmp_path / "whole"
    write_jsonl(whole / "questions.jsonl", [ask_about(0, "a.mp4"), ask_about(1, "../x.mp4")])
    write_video(whole / "a.mp4", 0)
    with pytest.raises(UserError, match="outside"):
        evaluate(whole, checked)
    write_jsonl(whole / "questions.jsonl", [ask_about(0, "a.mp4")])
    assert evaluate(whole, checked) == whole
    assert "all 1 questions have their videos" in capsys.readouterr().err


def test_check_counts_every_missing_item(tmp_path, capsys):
    """Two intact videos of MVBench's 4,000 items, as a list of the authors of VideoThinker."""
    folder = tmp_path / "MVBench/vlnqa/left"
    folder.mkdir(parents=True)
    rows = []
    for i, frames in enumerate((31, 24)):
        write_video(folder / f"{i}.mp4", i, frames=frames)
        row = dict.fromkeys(("ori_video", "question", "answer", "problem", "data_type"), "x")
        row |= dict.fromkeys(("problem_type", "original_question_type", "subtitle"), "x")
        row |= {"options": ["A. right", "B. left"], "solution": "<answer>A</answer>"}
        rows.append(row | {"video": f"/MVBench/vlnqa/left/{i}.mp4", "problem_id": i})
    (tmp_path / "questions.json").write_text(json.dumps(rows))
    checked = EvaluateConfig(benchmark="mvbench-list", check=True)
    with pytest.raises(UserError, match="2 of 4,000 questions can be asked; 12 counts differ"):
        evaluate(tmp_path / "questions.json", checked)
    said = capsys.readouterr().err
    for counts in (r"questions: 2 .* 4,000 .* 3,998", r"vlnqa: 2 .* 200 .* 198", r"star: 0 .* 600"):
        assert re.search(counts, said)


def test_check_looks_into_folders_of_images_and_behind_links(tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_video(elsewhere / "a.mp4", 0)
    root = tmp_path / "data"
    (root / "frames").mkdir(parents=True)
    (root / "videos").symlink_to(elsewhere)
    write_jsonl(root / "questions.jsonl", [ask_about(0, "frames"), ask_about(1, "videos/a.mp4")])
    checked = EvaluateConfig(benchmark="jsonl", check=True)
    with pytest.raises(UserError, match="0 of 2 questions"):
        evaluate(root, checked)
    said = capsys.readouterr().err
    assert "'frames' holds no images" in said
    assert "symbolic link" in said
    with pytest.raises(UserError, match="1 of 2 questions"):
        evaluate(root, replace(checked, follow_links=True))


def test_short_videos_are_shown_whole_and_told(model, tmp_path, capsys):
    write_video(tmp_path / "short.mp4", 0, frames=3)
    write_video(tmp_path / "long.mp4", 0)
    asked = [ask_about(0, "short.mp4"), ask_about(1, "long.mp4")]
    write_jsonl(tmp_path / "questions.jsonl", asked)
    out = evaluate(tmp_path, config(model, tmp_path / "run", frames=8, variants=("full",)))
    frames = {s.question_id: s.frames for s in read_jsonl(out / "samples.jsonl", Sample)}
    assert frames == {"toy/0": 3, "toy/1": 8}
    assert json.loads((out / "run.json").read_text())["failures"] == 0
    assert re.search("1 of the questions: .*fewer than 8 frames.* 3 to 3", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"limit": 0}, "limit"),
        ({"model": None}, "--model"),
        ({"variants": ()}, "variants"),
        ({"variants": ("full", "full")}, "variants"),
        ({"samples": 0}, "samples"),
        ({"temperature": -1.0}, "temperature"),
        ({"deadline": 0.0}, "deadline"),
    ],
)
def test_bad_settings_are_refused_when_the_config_is_built(changes, match):
    with pytest.raises(UserError, match=match):
        EvaluateConfig(**{"model": "m", **changes})


def test_small_pieces(tmp_path):
    assert find_model("Qwen/Qwen2.5-VL-3B-Instruct").files == "Qwen/Qwen2.5-VL-3B-Instruct"
    (tmp_path / "run" / "model").mkdir(parents=True)
    assert find_model(tmp_path / "run").files == str(tmp_path / "run" / "model")
    listed = EvaluateConfig(model="m", benchmark="mvbench-list", protocol="official")
    assert protocol_of(listed).frames == 16
    changed = EvaluateConfig(model="m", benchmark="clevrer", frames=4, temperature=0.5)
    assert (protocol_of(changed).frames, protocol_of(changed).temperature) == (4, 0.5)


def test_a_prefill_is_put_into_the_models_mouth_and_read_as_its_answer(model, data, tmp_path):
    said = "<think>so</think><answer>B</answer>"
    plain = evaluate(data, config(model, tmp_path / "plain", variants=("full",)))
    prefilled = evaluate(
        data, config(model, tmp_path / "prefilled", variants=("full",), prefill=said)
    )
    before, after = (
        [s for s in read_jsonl(out / "samples.jsonl", Sample) if s.verdict != "failed"]
        for out in (plain, prefilled)
    )
    assert {s.answer for s in after} == {("B",)} != {s.answer for s in before}
    assert {s.protocol for s in after}.isdisjoint(s.protocol for s in before)
    longer = {a.prompt_tokens - b.prompt_tokens for a, b in zip(after, before, strict=True)}
    assert len(longer) == 1
    assert longer.pop() > 0


def test_a_mistyped_model_leaves_the_folder_free(model, data, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        evaluate(data, config(tmp_path / "nowhere", tmp_path / "run"))
    assert evaluate(data, config(model, tmp_path / "run")) == tmp_path / "run"
