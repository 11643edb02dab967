"""The verb `models`: what it lists, and that a fault in the engine shows beside the library."""

import json
from pathlib import Path

import pytest
import torch

from tests.models.conftest import CORPUS, ENGINE
from tests.models.plain.tiny import FAMILIES as PLAIN
from videothinker import cli
from videothinker.console import columns
from videothinker.models.catalog import FAMILIES, published
from videothinker.models.qwen3_vl.model import Qwen3VL
from videothinker.models.qwen_vl.small import build_small

SHIPPED = Path(__file__).parents[2] / "models" / "base-video"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3-VL."""
    return build_small(tmp_path_factory.mktemp("three"), ENGINE["qwen3_vl"], CORPUS)


def verified(
    folder: Path, capsys: pytest.CaptureFixture[str], *flags: str
) -> tuple[int, dict[str, str]]:
    """The exit code, and the verdicts by name."""
    code = cli.main(["models", "--verify", str(folder), "--json", *flags])
    checks = json.loads(capsys.readouterr().out)["checks"]
    return code, {check["what"]: check["verdict"] for check in checks}


def test_every_family_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "--json"]) == cli.DONE
    told = capsys.readouterr()
    lines = {line["model_type"]: line for line in json.loads(told.out)["families"]}
    assert lines.keys() == FAMILIES.keys()
    assert all(("train" in lines[kind]["verbs"]) == FAMILIES[kind].trains for kind in lines)
    assert {name for line in lines.values() for name in line["published"]} == published().keys()
    assert all(family.name in told.err for family in FAMILIES.values())


def test_a_sound_model_is_right(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, verdicts = verified(three, capsys)
    assert code == cli.DONE
    unchecked = {what for what, verdict in verdicts.items() if verdict == "not checked"}
    assert unchecked <= {"token ids", "frames to patches"}  # they need torchvision
    assert set(verdicts.values()) <= {"right", "not checked"}
    assert verdicts["log-probabilities"] == verdicts["greedy words"] == "right"


def test_words_that_part_by_rounding_are_not_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped base is right in float32, and two of its next words are near each other."""
    code, verdicts = verified(SHIPPED, capsys, "--dtype", "bfloat16")
    assert code == cli.DONE
    assert verdicts["log-probabilities"] == "right"


def test_dropped_tower_features_are_wrong(
    three: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Qwen3VL, "deeper", lambda *_: {})
    code, verdicts = verified(three, capsys)
    assert code == cli.WITH_FAILURES
    assert verdicts["log-probabilities"] == "wrong"


def test_shifted_positions_are_wrong(
    three: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    true = Qwen3VL.positions
    shift = torch.tensor([[0], [1], [0]])
    monkeypatch.setattr(Qwen3VL, "positions", lambda self, prompt: true(self, prompt) + shift)
    code, verdicts = verified(three, capsys)
    assert code == cli.WITH_FAILURES
    assert verdicts["positions"] == "wrong"


def test_an_unseen_video_is_wrong(
    three: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a trainer that drops its videos looks like."""
    true = Qwen3VL.see
    monkeypatch.setattr(
        Qwen3VL, "see", lambda self, videos: [0 * one for one in true(self, videos)]
    )
    code, verdicts = verified(three, capsys)
    assert code == cli.WITH_FAILURES
    assert verdicts["the video is seen"] == verdicts["log-probabilities"] == "wrong"


@pytest.mark.parametrize("kind", PLAIN)
def test_the_plain_path_is_right_too(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its videos are spelled in words of their own, and the library places it."""
    code, verdicts = verified(PLAIN[kind](tmp_path / kind), capsys)
    assert code == cli.DONE
    assert verdicts["chat template"] == verdicts["log-probabilities"] == "right"
    assert verdicts["positions"] == "not checked"


def test_an_adapter_is_sent_to_be_merged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert cli.main(["models", "--verify", str(tmp_path)]) == cli.USER_ERROR
    assert "export --merge" in capsys.readouterr().err


def test_columns_by_hand() -> None:
    assert columns([("a", "b"), ("long", "c")], left=2) == ["a     b", "long  c"]
