"""A small text-only world for the trainer: a model of 60k parameters and 60 questions."""

from pathlib import Path

import pytest
import torch
from toy_training import TINY, corpus, make_question

from videothinker.policy.small import SmallConfig, build_small
from videothinker.records import Diagnosis, Question, write_jsonl

torch.set_num_threads(1)


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
            Diagnosis(question_id=q.id, rule="same_truth", label=label)
            for q, label in zip(questions, labels, strict=True)
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
    return build_small(tmp_path_factory.mktemp("base"), SmallConfig(**TINY, seed=0), corpus())


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Same tokenizer, other weights: stands for a bias model."""
    return build_small(tmp_path_factory.mktemp("other"), SmallConfig(**TINY, seed=1), corpus())


@pytest.fixture
def quick(base: Path) -> dict[str, object]:
    """Settings that make a run take seconds."""
    return {
        "model": str(base),
        "dtype": "float32",
        "gradient_checkpointing": False,
        "learning_rate": 1e-3,
        "prompts_per_step": 3,
        "num_generations": 4,
        "max_completion_length": 6,
        "max_steps": 4,
        "save_steps": 2,
        "eval_steps": 2,
        "eval_questions": 4,
        "reward_funcs": ("toy_training:length_reward", "format"),
    }
