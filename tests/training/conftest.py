"""A small text-only world for the trainer: a model of 60k parameters and 60 questions."""

from pathlib import Path

import pytest
import torch

from videothinker.policy.small import SmallConfig, build_small
from videothinker.records import Diagnosis, Question, write_jsonl

COLORS = ("red", "blue", "green", "gray")
torch.set_num_threads(1)


def make_question(number: int) -> Question:
    first, second = COLORS[number % 4], COLORS[(number // 4) % 4]
    return Question(
        id=f"toy/train/{number:03d}",
        dataset="toy",
        split="train",
        context=f"frame {number}: the {first} cube collides with the {second} sphere",
        question=f"Without the {first} cube, which event will happen?",
        question_struck="Which event will happen?",
        choices=(f"the {first} cube moves", f"the {second} sphere stops", "nothing happens"),
        answer=(("A",), ("B",), ("A", "C"))[number % 3],
        type="counterfactual",
        groups={"scene": str(number)},
    )


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


TINY = {
    "hidden": 32,
    "layers": 2,
    "heads": 2,
    "kv_heads": 1,
    "intermediate": 64,
    "vocab_size": 400,
    "vision_hidden": 32,
    "vision_layers": 1,
    "vision_heads": 2,
    "vision_intermediate": 32,
    "vision_full_attention": (0,),
}


def corpus() -> list[str]:
    questions = [make_question(number) for number in range(60)]
    return [f"{q.context} {q.question} {' '.join(q.choices)}" for q in questions] + ["A, B, C"] * 50


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
    }
