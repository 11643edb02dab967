"""Labels without logs from a served model, and the bias set that a small one is trained on."""

import json

import msgspec
import pytest

from tests.answering_toys import ask_about, build_tiny, write_video
from tests.chat_server import ChatServer, words
from videothinker import cli
from videothinker.records import Diagnosis, Question, Sample, read_jsonl, write_jsonl

RIGHT = {"the red cube", "collide"}


def says(body: dict) -> str:
    """Right of a whole question; without its premise right for even numbers alone."""
    asked = words(body)
    number = int(asked.partition("?")[2].split()[0])
    wanted = RIGHT if "is removed" in asked or number % 2 == 0 else {"the blue sphere"}
    options = [line.partition(". ") for line in asked.splitlines() if line[1:2] == "."]
    return f"<answer>{', '.join(letter for letter, _, text in options if text in wanted)}</answer>"


@pytest.fixture
def data(tmp_path):
    write_video(tmp_path / "a.mp4", 0)
    questions = [
        ask_about(
            i,
            "a.mp4",
            split="train" if i < 4 else "validation",
            question_struck=f"Which of the following will happen? {i}",
        )
        for i in range(6)
    ]
    return write_jsonl(tmp_path / "mine.jsonl", questions)


def command(data, out, url, *more):
    asked = ["diagnose", str(data), "--probe", "big", "--endpoint", url, "--out", str(out)]
    return [*asked, "--probes", "full", "struck", "--samples", "4", "--frames", "4", *more]


def test_labels_and_bias_set_are_those_by_hand(data, tmp_path, capsys):
    """4 samples of 6 questions under 2 probes: 48 requests, a seed each, options rotated."""
    out = tmp_path / "out"
    with ChatServer(says) as server:
        assert cli.main(command(data, out, server.url)) == 0
    assert len(server.bodies) == 48
    assert {body["temperature"] for body in server.bodies} == {1.0}
    assert len({body["seed"] for body in server.bodies}) == 48
    assert len({words(body) for body in server.bodies}) == 6 * 2 * 3  # as they are, two rotations
    found = read_jsonl(out / "diagnosis.jsonl", Diagnosis)
    assert [d.label for d in found] == ["observational", "inferential"] * 3
    assert [d.probes for d in found] == [
        {"full": (4, 4), "struck": (4, 4)},
        {"full": (4, 4), "struck": (0, 4)},
    ] * 3
    asked = {q.id: q for q in read_jsonl(data, Question)}
    struck = [
        msgspec.structs.replace(
            asked[f"toy/{i}"],
            question=f"Which of the following will happen? {i}",
            question_struck=None,
        )
        for i in (0, 2)  # of the split train
    ]
    assert read_jsonl(out / "bias.jsonl", Question) == struck
    summary = json.loads((out / "summary.json").read_text())
    assert summary["endpoint"]["answers"] == 48
    told = capsys.readouterr().err
    assert "endpoint: answers 48, prompt tokens " in told
    model = build_tiny(tmp_path / "tiny")
    train = ["train", "bias", "--data", str(out), "--model", str(model), "--dry-run"]
    assert cli.main([*train, "--out", str(tmp_path / "bias")]) == 0


def test_the_stopped_run_goes_on_with_what_is_missing(data, tmp_path, capsys):
    out = tmp_path / "out"
    with ChatServer(says, lambda body, n: "answer" if n < 30 else "no key") as server:
        assert cli.main(command(data, out, server.url, "--endpoint-requests", "1")) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"videothinker: {server.url}")
    with ChatServer(says) as server:
        assert cli.main(command(data, out, server.url)) == 0
    assert len(server.bodies) == 18
    assert len(read_jsonl(out / "samples.jsonl", Sample)) == 48


def test_an_endpoint_needs_the_models_name(data, tmp_path, capsys):
    words_ = ["diagnose", str(data), "--endpoint", "http://h/v1", "--out", str(tmp_path / "o")]
    assert cli.main(words_) == 2
    assert "came without --probe" in capsys.readouterr().err
