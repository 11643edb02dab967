"""A folder of questions about toy videos, diagnosed, and a toy model."""

from pathlib import Path

import pytest

from tests.answering_toys import ask_about, build_tiny, write_video
from videothinker.records import Diagnosis, Evidence, write_jsonl

TRUTHS = ((), (True,) * 3, (True, False, True), (False,) * 3, ())


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights."""
    return build_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine questions about two videos and one that is missing; one has no correct choice."""
    root = tmp_path_factory.mktemp("data")
    write_video(root / "a.mp4", 0)
    write_video(root / "b.mp4", 1)
    videos = ["a.mp4", "b.mp4", "a.mp4", "b.mp4", "gone.mp4", "a.mp4", "b.mp4", "a.mp4"]
    questions = [ask_about(i, video) for i, video in enumerate(videos)]
    questions.append(ask_about(8, "a.mp4", answer=()))
    write_jsonl(root / "questions.jsonl", questions)
    labels = [
        Diagnosis(
            question_id=q.id,
            rule="same_truth",
            label="observational" if i % 2 else "inferential",
            # of the inferential 0, 2, 4 and 6 the logs say: nothing, all, some, none happen
            evidence=Evidence(truth_video=TRUTHS[i // 2] if i % 2 == 0 else (True, False, True)),
        )
        for i, q in enumerate(questions)
    ]
    write_jsonl(root / "diagnosis.jsonl", labels)
    return root
