"""Two processes, under torchrun and without, leave the records of one, byte for byte."""

import json
import shlex
from pathlib import Path

import pytest

from tests.answering_toys import ask_about, build_tiny, write_video
from tests.warm import Warm
from videothinker import cli
from videothinker.answering import placing
from videothinker.answering.endpoint import EndpointConfig
from videothinker.errors import UserError
from videothinker.records import Sample, read_jsonl, write_jsonl
from videothinker.runs import digest_path


def under_torchrun(warm: Warm, words: list[str]) -> str:
    """What a command that was run in two processes said; both end well, with failures at most."""
    started = ["torch.distributed.run", "--nproc-per-node", "2", "--standalone", "--no-python"]
    command = f"{shlex.join(['videothinker', *words])}; test $? -le {cli.WITH_FAILURES}"
    done = warm.run("-m", *started, "sh", "-c", command)
    assert done.returncode == 0, done.stderr[-9000:]
    return done.stderr


@pytest.mark.slow
def test_evaluation_and_probing_are_those_of_one_process(warm: Warm, tmp_path: Path) -> None:
    """Of three batches, one with a video that cannot be read; resumed after the first."""
    model = build_tiny(tmp_path / "model")
    data = tmp_path / "data"
    data.mkdir()
    for number in range(4):
        write_video(data / f"{number}.mp4", number)
    (data / "bad.mp4").write_bytes(b"no video")
    names = [f"{number}.mp4" for number in range(4)] + ["bad.mp4"]
    asked = [ask_about(number, names[number % 5]) for number in range(10)]
    write_jsonl(data / "questions.jsonl", asked)
    few = ["--frames", "4", "--max-new-tokens", "3"]
    evaluated = ["evaluate", "--data", str(data / "questions.jsonl"), "--model", str(model)]
    evaluated += ["--rows", "4", "--variants", "full", "blind", *few]
    probed = ["diagnose", str(data / "questions.jsonl"), "--probe", str(model)]
    probed += ["--samples", "2", "--probes", "full", "blind", *few]

    def commands(name: str) -> list[list[str]]:
        root = tmp_path / name
        return [[*evaluated, "--out", str(root / "e")], [*probed, "--out", str(root / "d")]]

    assert {cli.main(words) for words in commands("one")} == {cli.WITH_FAILURES}
    begun = tmp_path / "two" / "e"
    begun.mkdir(parents=True)  # as a kill leaves it after the first batch
    record = json.loads((tmp_path / "one" / "e" / "run.json").read_text())
    (begun / "run.json").write_text(json.dumps(record | {"status": "running"}))
    lines = (tmp_path / "one" / "e" / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (begun / "samples.jsonl").write_bytes(b"".join(lines[:4]))
    evaluate, diagnose = commands("two")
    said = under_torchrun(warm, evaluate)
    by_hand = warm.ranks("videothinker.cli", *diagnose)
    assert set(by_hand.codes) <= {cli.DONE, cli.WITH_FAILURES}, by_hand.said
    for stage in ("e", "d"):
        one, two = (tmp_path / name / stage for name in ("one", "two"))
        assert (two / "samples.jsonl").is_file(), said[-4000:]
        assert (one / "samples.jsonl").read_bytes() == (two / "samples.jsonl").read_bytes()
        assert digest_path(one) == digest_path(two)
        assert json.loads((two / "run.json").read_text())["status"] == "done"
        assert {s.verdict for s in read_jsonl(two / "samples.jsonl", Sample)} > {"failed"}


def test_a_server_is_asked_by_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "size", lambda: 2)
    with pytest.raises(UserError, match="2 processes came with an endpoint.*without torchrun"):
        placing.place("m", "auto", "auto", EndpointConfig(endpoint="http://localhost:1/v1"))
