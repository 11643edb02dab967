"""A hub of the tests' own, a model that was trained and evaluated, and a diagnosed question set."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.answering_toys import build_tiny
from tests.hub_server import TOKEN, HubServer
from videothinker import cli, hub
from videothinker.records import Diagnosis, Evidence, Question, write_jsonl

SETTINGS = (
    *("--dtype", "float32", "--no-gradient-checkpointing", "--max-completion-length", "8"),
    *("--num-generations", "2", "--max-steps", "2", "--eval-steps", "0", "--train-questions", "0"),
    *("--reward-funcs", "tests.training.toy_training:length_reward", "--learning-rate", "1e-3"),
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The hub that the client talks to; its cache lies in the test's folder."""
    with HubServer() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        files = found.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        hub.fetch.cache_clear()
        yield found
        hub.fetch.cache_clear()


def question(number: int) -> Question:
    return Question(
        id=f"toy/{number}",
        dataset="toy",
        split="train" if number < 8 else "validation",
        context=f"frame {number}: the red cube hits the blue sphere",
        question="Without the red cube, what happens?",
        question_struck="What happens?",
        choices=("the cube moves", "the sphere moves"),
        answer=("AB"[number % 2],),
        type="counterfactual",
    )


@pytest.fixture(scope="session")
def diagnosed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `diagnose` leaves it, without its run.json."""
    folder = tmp_path_factory.mktemp("diagnosed")
    questions = [question(number) for number in range(12)]
    write_jsonl(folder / "questions.jsonl", questions)
    labels = [
        Diagnosis(
            question_id=q.id,
            rule="same_truth",
            label="inferential" if number % 3 == 0 else "observational",
            evidence=Evidence(truth_video=(True, number % 2 == 0)),
        )
        for number, q in enumerate(questions)
    ]
    write_jsonl(folder / "diagnosis.jsonl", labels)
    write_jsonl(folder / "bias.jsonl", [q for n, q in enumerate(questions) if n % 3])
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, diagnosed: Path) -> Path:
    """A run of `train grpo`, and beside it its evaluation."""
    folder = tmp_path_factory.mktemp("trained")
    words = [f"{q.context} {q.question} {' '.join(q.choices)}" for q in map(question, range(12))]
    base = build_tiny(folder / "base", words + ["A, B"] * 20)
    run, given = folder / "run", ["--data", str(diagnosed)]
    args = ["train", "grpo", *given, "--model", str(base), "--out", str(run), *SETTINGS]
    assert cli.main(args) in (0, 1)
    asked = ["evaluate", *given, "--model", str(run), "--out", str(folder / "evaluation")]
    assert cli.main([*asked, "--max-new-tokens", "4"]) == 0
    return run
