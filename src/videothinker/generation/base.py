"""The contract of a generator: a model, prompts, settings and seeds to groups of completions.

Rollouts, validation, evaluation, probing and `ask` all call `generate`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from videothinker.errors import UserError
from videothinker.models.base import Group, Model, Prompt


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn (TRL's names; the authors' values)."""

    num_generations: int = 8
    """Completions a prompt, G (authors' script)."""
    max_completion_length: int = 768
    """Tokens, the end token included (authors' script)."""
    temperature: float = 1.0
    """0 takes the likeliest token (authors' script: 1.0)."""
    top_p: float = 1.0
    """Keep the likeliest tokens that together have this probability (TRL's default)."""

    def __post_init__(self) -> None:
        if self.num_generations < 1 or self.max_completion_length < 1:
            raise UserError(
                f"num_generations {self.num_generations} and max_completion_length "
                f"{self.max_completion_length} came; both must be at least 1"
            )
        if not 0 <= self.temperature < math.inf or not 0 < self.top_p <= 1:
            raise UserError(
                f"temperature {self.temperature} and top_p {self.top_p} came; temperature must "
                "be a number of at least 0 and top_p above 0 and at most 1"
            )


class Generator(Protocol):
    """A way to generate."""

    def __call__(
        self, model: Any, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Group]:
        """G completions for each prompt, in the prompts' order; `seeds` has one number a prompt.

        Completion g of a prompt has a stream of its own: the same model, prompt, temperature,
        top_p and seed give it the same tokens, however many are drawn and whatever else is in the
        batch. "served" hands the seeds on and cannot promise it.
        """
        ...


GENERATORS = {
    "shared_prefix": "videothinker.generation.shared_prefix:generate",
    "plain": "videothinker.generation.plain:generate",
    "served": "videothinker.generation.served:generate",
}
"""Name -> `module:function` of a `Generator`; a `Model` names its own."""


def generate(
    model: Model,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    at_once: int | None = None,
) -> list[Group]:
    """The completions of `prompts`, which may be none, by the model's own generator.

    At most `at_once` prompts are in memory together; None takes all.
    """
    if len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts came with {len(seeds)} seeds")
    module, _, function = GENERATORS[model.generator].partition(":")
    generator: Generator = getattr(import_module(module), function)
    size = at_once or max(1, len(prompts))
    return [
        group
        for start in range(0, len(prompts), size)
        for group in generator(
            model, prompts[start : start + size], sampling, seeds[start : start + size]
        )
    ]
