"""The benchmark's own rule: computed from the recorded texts, beside our two readings."""

import json
import re
from collections import Counter
from dataclasses import replace

import pytest

from tests.answering_toys import ask_about, write_video
from videothinker.benchmarks import mmvu, mvbench, videomme
from videothinker.benchmarks.base import OwnMetric
from videothinker.errors import UserError
from videothinker.evaluation import metrics, tables
from videothinker.evaluation.config import EvaluateConfig
from videothinker.evaluation.stage import evaluate
from videothinker.evaluation.summary import summarise
from videothinker.records import Question, Sample, read_jsonl

ROW = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Astronomy",
    "url": "https://example.org/v",
    "videoID": "a",
    "task_type": "Counting Problem",
    "question": "How many?",
    "options": ["A. one", "B. two", "C. three", "D. four"],
    "answer": "C",
}


def asked(number: int) -> Question:
    return ask_about(number, "a.mp4", answer=("A",))


def say(question: Question, text: str, **changes: object) -> Sample:
    values = {"question_id": question.id, "model": "m", "protocol": "p", "verdict": "unparsed"}
    return Sample(**{**values, "text": text, **changes})


def test_the_score_by_hand():
    questions = [asked(i) for i in range(5)]
    texts = ["The answer is A", "Answer: B", "B", "none", ""]
    answered = {q.id: [say(q, text)] for q, text in zip(questions, texts, strict=True)}
    # A, A (of "Answer"), B; two answers without a capital from A to D leave the denominator
    found = metrics.own_score(questions, answered, videomme.own_rule)
    assert (found.value, found.judge, found.left_out) == (pytest.approx(2 / 3), 0, 2 / 5)
    none = metrics.own_score(questions[3:], answered, videomme.own_rule)
    assert (none.value, none.left_out) == (None, 1)
    judged = metrics.own_score(questions[:2], answered, lambda q, text: "judge")
    assert (judged.value, judged.judge) == (0, 1)
    with pytest.raises(UserError):
        metrics.own_score([], {}, videomme.own_rule)


def test_a_video_that_could_not_be_read_is_wrong_even_where_an_empty_answer_is_right():
    question = asked(0)
    assert mvbench.own_rule(question, "") == "right"
    failed = {question.id: [say(question, "", verdict="failed", error="gone")]}
    assert metrics.own_score([question], failed, mvbench.own_rule).value == 0


def rendered(own: OwnMetric | None) -> list[str]:
    questions = [asked(0), asked(1)]
    samples = [say(questions[0], "A. because", lenient=("A",)), say(questions[1], "It is B")]
    summary = summarise(questions, samples, {}, (), several=False, own=own)
    summary |= {
        "benchmark": "b",
        "protocol": {"key": "official@1", "several": False},
        "needs_judge": {},
    }
    return tables.render(summary | {"left_out": {}})


def test_the_three_readings_stand_side_by_side():
    """Strict reads neither answer, lenient the first, the own rule A and then B."""
    _, head, line, *rest = rendered(OwnMetric("in words", videomme.own_rule))
    names, values = (re.split(r" {2,}", row.strip()) for row in (head, line))
    cells = dict(zip(names, values[1:], strict=True))
    assert [cells[name] for name in ("strict", "lenient", "own rule", "n")] == [
        "0.0",
        "50.0",
        "50.0",
        "2",
    ]
    assert "the benchmark's own rule: in words" in rest
    assert re.search(r"a judge about 0\.0 % .* 0\.0 %", str(rest))


def test_a_judge_that_is_not_asked_is_said_and_has_no_column():
    lines = rendered(mmvu.BENCHMARK.own)
    assert "own rule" not in lines[1]
    assert any("GPT-4o" in line for line in lines)
    assert not any("own rule" in line for line in rendered(None))


def test_official_evaluations_have_it_and_others_do_not(model, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    write_video(tmp_path / "data" / "a.mp4", 0)
    rows = [ROW | {"question_id": f"001-{i}"} for i in range(3)]
    (tmp_path / "videomme.json").write_text(json.dumps(rows))
    config = EvaluateConfig(
        model=str(model),
        out=tmp_path / "official",
        benchmark="videomme",
        protocol="official",
        variants=("full",),
        frames=4,
        max_new_tokens=8,
    )
    out = evaluate(tmp_path, config)
    samples = read_jsonl(out / "samples.jsonl", Sample)
    assert all(sample.verdict != "failed" for sample in samples)
    said = Counter(
        next((letter for letter in s.text if letter in "ABCD"), "left out") for s in samples
    )
    counted = 3 - said["left out"]
    summary = json.loads((out / "summary.json").read_text())
    found = summary["lines"][0]["own rule"]
    assert found["value"] == (said["C"] / counted if counted else None)
    assert found["left_out"] == said["left out"] / 3
    assert "first capital from A to D" in summary["own rule"]
    assert "own rule" in capsys.readouterr().err
    ours = evaluate(tmp_path, replace(config, protocol="demo", out=tmp_path / "demo"))
    assert json.loads((ours / "summary.json").read_text())["own rule"] is None
