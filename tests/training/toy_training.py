"""The toy questions of the trainer's tests, and how their model differs from the other rooms'."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from videothinker.records import Question
from videothinker.training import loop

COLORS = ("red", "blue", "green", "gray")


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


TINY = {
    "hidden": 32,
    "intermediate": 64,
    "vocab_size": 400,
    "vision_layers": 1,
    "vision_intermediate": 32,
    "vision_full_attention": (0,),
    "initializer_range": 0.02,
}
"""What is smaller than in the toy model of every room: these train it."""
OPEN = {"guard": False}
"""An untrained model has no valid format and high entropy; let it be pushed all the same."""


def corpus() -> list[str]:
    questions = [make_question(number) for number in range(60)]
    return [f"{q.context} {q.question} {' '.join(q.choices)}" for q in questions] + ["A, B, C"] * 50


def quick_settings(base: Path) -> dict[str, Any]:
    """Of a run that takes seconds."""
    return {
        "model": str(base),
        "dtype": "float32",
        "gradient_checkpointing": False,
        "learning_rate": 1e-3,
        "sampling": "uniform",
        "prompts_per_step": 3,
        "num_generations": 4,
        "max_completion_length": 6,
        "max_steps": 4,
        "save_steps": 2,
        "eval_steps": 2,
        "eval_questions": 4,
        "reward_funcs": ("tests.training.toy_training:length_reward", "format"),
    }


def length_reward(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    """A reward that an untrained model earns too: differs between completions."""
    return [len(completion) % 5 / 5 for completion in completions]


def flat(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    """A reward that tells nothing from anything."""
    return [1.0 for _ in completions]


def odd_only(completions: list[str], question_id: list[str], **columns: object) -> list[float]:
    """Tells completions apart where the question's number is odd."""
    odd = int(question_id[0][-1]) % 2
    return [float(place == 0 and odd) for place in range(len(completions))]


def token_reward(prompts: list[str], completion_ids: list[list[int]], **columns: object):
    """As TRL's users write them: some of the keywords, the others swallowed."""
    assert len(prompts) == len(completion_ids)
    return [len(ids) / 10 for ids in completion_ids]


def takes_too_little(completions: list[str]) -> list[float]:
    return [1.0 for _ in completions]


def returns_none(prompts: list[str], completions: list[str], **columns: object) -> list[None]:
    return [None for _ in completions]


def returns_nan(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    return [float("nan") for _ in completions]


def returns_few(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    return [1.0]


def leaves(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    """As a script does at its end: the process would end with exit code 0 and without a model."""
    sys.exit(0)


@contextmanager
def dying_at(step: int | None) -> Iterator[None]:
    """Inside, a run is interrupted in the update of this step; None: of none."""
    update = loop.update

    def die(loop: Any, batch: Any, objective: Any, progress: Any) -> Any:
        if progress.step + 1 == step:
            raise KeyboardInterrupt
        return update(loop, batch, objective, progress)

    with mock.patch.object(loop, "update", die):
        yield
