"""A small text-only world for the trainer: a model of 60k parameters and 60 questions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.answering_toys import build_tiny
from tests.training.toy_training import TINY, corpus, make_question, quick_settings
from videothinker.records import Diagnosis, Evidence, Question, write_jsonl
from videothinker.video.encode import write_mp4

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test remembers what another one, or the user, has looked at."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video of 12 frames at 4 frames a second: 64x56, a square that goes right."""
    frames = np.zeros((12, 56, 64, 3), np.uint8)
    for t in range(12):
        frames[t, 20:32, 4 * t : 4 * t + 12] = 200
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_mp4(path, frames, 4)
    return path.read_bytes()


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diagnose folder: questions, labels, bias set."""
    folder = tmp_path_factory.mktemp("toy")
    questions = [make_question(number) for number in range(60)]
    labels = ["inferential" if number % 4 == 0 else "observational" for number in range(60)]
    write_jsonl(folder / "questions.jsonl", questions)
    write_jsonl(
        folder / "diagnosis.jsonl",
        [
            Diagnosis(
                question_id=q.id,
                rule="same_truth",
                label=label,
                # every other inferential question gives itself away
                evidence=Evidence(truth_video=(number % 8 == 4, True)),
            )
            for number, (q, label) in enumerate(zip(questions, labels, strict=True))
        ],
    )
    shortcuts = [q for q, label in zip(questions, labels, strict=True) if label == "observational"]
    write_jsonl(folder / "bias_as_is.jsonl", shortcuts)
    struck = [
        Question(**{f: getattr(q, f) for f in q.__struct_fields__} | {"question": "Which event?"})
        for q in shortcuts
    ]
    write_jsonl(folder / "bias.jsonl", struck)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base model."""
    return build_tiny(tmp_path_factory.mktemp("base"), corpus(), **TINY, seed=0)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Same tokenizer, other weights: stands for a bias model."""
    return build_tiny(tmp_path_factory.mktemp("other"), corpus(), **TINY, seed=1)


@pytest.fixture
def quick(base: Path) -> dict[str, object]:
    """Settings that make a run take seconds."""
    return quick_settings(base)
