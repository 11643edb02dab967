"""`evaluate --endpoint` as a user has it, against a real server on the loopback."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.chat_server import ChatServer, completion, words
from videothinker import cli
from videothinker.answering.served import Kept
from videothinker.records import Sample, read_jsonl
from videothinker.runs import digest_path

KEY = "sk-0123456789-very-secret"


def says(body: dict) -> str:
    """Right for even questions: the toys' right letters are A and C."""
    number = int(words(body).partition("removed? ")[2].split()[0])
    return f"<think>{number}</think><answer>{'A, C' if number % 2 == 0 else 'B'}</answer>"


def command(data: Path, out: Path, url: str, *more: str) -> list[str]:
    asked = ["evaluate", "--data", str(data), "--model", "big", "--endpoint", url]
    asked += ["--protocol", "demo", "--frames", "4", "--out", str(out), "--endpoint-retries", "0"]
    return [*asked, *more]


def test_records_numbers_and_costs_are_those_by_hand(data, tmp_path, capsys, monkeypatch):
    """Of eight questions 4 has no video, and of the even ones 0, 2 and 6 are answered."""
    monkeypatch.setenv("OTHER_KEY", KEY)
    out = tmp_path / "run"
    with ChatServer(says) as server:
        more = ["--endpoint-requests", "3", "--endpoint-key-variable", "OTHER_KEY"]
        assert cli.main(command(data, out, server.url, *more)) == 1
        assert cli.main(command(data, out, server.url, *more)) == 1
    assert "done before; nothing to do" in capsys.readouterr().err
    assert len(server.bodies) == 15  # seven with their videos, eight blind
    assert server.most <= 3
    assert {h["Authorization"] for h in server.headers} == {f"Bearer {KEY}"}
    summary = json.loads((out / "summary.json").read_text())
    (line,) = (line for line in summary["lines"] if line["group"] == "all")
    assert (line["exact"]["value"], line["failed"]) == (3 / 8, 1 / 8)
    assert summary["variants"]["blind"]["value"] == 4 / 8
    usage = [completion(body, says(body))["usage"] for body in server.bodies]
    assert summary["endpoint"] == {
        "answers": 15,
        "prompt_tokens": sum(one["prompt_tokens"] for one in usage),
        "completion_tokens": sum(one["completion_tokens"] for one in usage),
        "answers_without_count": 0,
    }
    samples = read_jsonl(out / "samples.jsonl", Sample)
    asked = [s for s in samples if s.verdict != "failed"]
    assert {(s.model, s.frames, s.height) for s in asked if s.variant == "full"} == {
        ("big, served, images", 4, 48)
    }
    assert sum(s.prompt_tokens for s in asked) == summary["endpoint"]["prompt_tokens"]
    for path in out.rglob("*"):
        assert KEY.encode() not in (path.read_bytes() if path.is_file() else b"")


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("slow", "no answer within 2 s (asked once); raise --endpoint-timeout"),
        ("limit", "429 Too Many Requests: too many requests (asked once); lower"),
        ("error", "500 Internal Server Error: the engine is dead (asked once); look at its log"),
        ("close", "it closed the connection without an answer (asked once)"),
        ("html", "its answer is not JSON ('<html>sign in</html>') (asked once)"),
        ("refuse video", "said: 400 Bad Request: at most 0 image(s) are taken; change what it is"),
        ("nothing", "said: answered with nothing (finish_reason 'stop'); change what it is sent"),
        ("no key", "401 Unauthorized: it answers, but not without a key; put a valid one"),
        ("unknown model", "404 Not Found: The model does not exist.; give the base URL"),
        ("down", "it cannot be reached (Connection refused) (asked once); check that it runs"),
    ],
)
def test_each_trouble_is_one_sentence_and_the_run_goes_on(act, words, data, tmp_path, capsys):
    """The server answers five requests, then misbehaves; `full` is asked of seven questions."""
    out = tmp_path / "run"
    quick = ["--endpoint-requests", "1", "--endpoint-timeout", "2" if act == "slow" else "60"]
    whole = act in ("refuse video", "nothing")  # or else the five make it a question's own fault
    with ChatServer(says, lambda body, n: "answer" if n < 5 and not whole else act) as server:
        if act == "down":
            server.acts = lambda body, n: "answer" if n < 4 else server.stop() or "answer"
        assert cli.main(command(data, out, server.url, *quick)) == 2
        first = list(server.bodies)
    told = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("videothinker: ") for line in told) == 1
    assert words in told[-1]
    assert "Traceback" not in "".join(told)
    kept = read_jsonl(out / "replies.jsonl", Kept)
    assert len(kept) == (0 if whole else 5)
    with ChatServer(says) as server:  # at another address
        assert cli.main(command(data, out, server.url, *quick)) == 1
    assert len(server.bodies) == 15 - len(kept)
    assert not any(body in server.bodies for body in first[: len(kept)])
    assert json.loads((out / "summary.json").read_text())["endpoint"]["answers"] == 15


def test_one_question_that_is_refused_is_a_recorded_failure(data, tmp_path, capsys):
    def acts(body: dict, before: int) -> str:
        return "refuse video" if "removed? 3" in words(body) else "answer"

    out = tmp_path / "run"
    with ChatServer(says, acts) as server:
        assert cli.main(command(data, out, server.url, "--variants", "full")) == 1
    failed = {s.question_id: s.error for s in read_jsonl(out / "samples.jsonl", Sample) if s.error}
    assert set(failed) == {"toy/3", "toy/4"}
    assert failed["toy/3"] == "400 Bad Request: at most 0 image(s) are taken"
    assert "failed: 400 Bad Request" in capsys.readouterr().err


def test_killed_it_goes_on_to_the_same_bytes_and_pays_for_nothing_twice(warm, data, tmp_path):
    with ChatServer(says) as server:
        whole = tmp_path / "whole"
        cli.main(command(data, whole, server.url))
    cut = tmp_path / "cut"
    acts = ["answer", "slow"]
    with ChatServer(says, lambda body, n: acts[n >= 5]) as server:
        words_ = command(data, cut, server.url, "--endpoint-requests", "2")
        child = warm.start("-m", "videothinker.cli", *words_)
        until = time.monotonic() + 240
        while len(server.bodies) < 7 and time.monotonic() < until:
            time.sleep(0.02)
        assert child.kill() == -signal.SIGKILL
        assert len(server.bodies) == 7  # five answered, two under way
    with ChatServer(says) as server:
        assert cli.main(command(data, cut, server.url, "--endpoint-requests", "5")) == 1
    assert len(server.bodies) == 10
    assert digest_path(cut) == digest_path(whole)


def test_a_run_goes_on_with_no_other_model_or_input(data, tmp_path, capsys):
    out = tmp_path / "run"
    with ChatServer(says) as server:
        cli.main(command(data, out, server.url))
        for more, name in (
            (["--endpoint-input", "video"], "device: 'endpoint (images)' there"),
            (["--model", "other"], "model: 'big' there, 'other' here"),
        ):
            assert cli.main(command(data, out, server.url, *more)) == 2
            assert name in capsys.readouterr().err


def test_a_prefill_is_refused_before_anything_is_asked(data, tmp_path, capsys):
    with ChatServer(says) as server:
        assert cli.main(command(data, tmp_path / "r", server.url, "--prefill", "<think>")) == 2
    assert server.bodies == []
    assert "leave --prefill out" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_frames_from_elsewhere_are_sent_only_where_the_user_says_so(data, tmp_path, capsys):
    """A run folder from a stranger names the folder in which the videos lie."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "questions.jsonl").write_bytes((data / "questions.jsonl").read_bytes())
    told = {"stage": "diagnose", "status": "done", "facts": {"data_root": str(data)}}
    (theirs / "run.json").write_text(json.dumps(told))
    with ChatServer(says) as server:
        for verb in (["evaluate", "--data", str(theirs), "--model"], ["diagnose", str(theirs)]):
            more = ["--benchmark", "jsonl", "--probe"] if verb[0] == "diagnose" else []
            words = [*verb, *more, "big", "--endpoint", server.url]
            assert cli.main([*words, "--out", str(tmp_path / verb[0])]) == 2
            assert f"add --data-root {data}" in capsys.readouterr().err
        assert server.bodies == []
        meant = command(theirs, tmp_path / "meant", server.url, "--data-root", str(data))
        assert cli.main(meant) == 1
        assert len(server.bodies) == 15
