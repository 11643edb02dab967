"""Reward functions with TRL's signature, ours and those users bring.

`func(prompts, completions, completion_ids, **columns) -> list of numbers`, all by keyword: prompts
and completions are plain strings, one a completion, completion_ids their tokens, and every column
is a list of the same length: question_id, choices, answer (letters), type, label, truncated, and
partner_success where a function of the run names it (`**columns` alone does not ask for it). The
parser is the one that evaluation uses.
"""

import importlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from videothinker.answers import exact, parse, soft
from videothinker.errors import UserError
from videothinker.models.base import Group
from videothinker.records import Question

RewardFunc = Callable[..., Sequence[float]]
KEYWORDS = (
    "prompts", "completions", "completion_ids", "question_id", "choices", "answer", "type", "label",
    "truncated", "partner_success",
)  # fmt: skip
"""What a reward function may be called with."""


def soft_accuracy(
    completions: Sequence[str],
    *,
    choices: Sequence[Sequence[str]],
    answer: Sequence[tuple[str, ...]],
    truncated: Sequence[bool],
    **_: Any,
) -> list[float]:
    """|pred| / |gold| where the letters given are a non-empty subset of the right ones, else 0."""
    rows = zip(completions, choices, answer, truncated, strict=True)
    return [
        soft(parse(text, options, truncated=cut).answer, gold) for text, options, gold, cut in rows
    ]


def format(  # noqa: A001
    completions: Sequence[str],
    *,
    choices: Sequence[Sequence[str]],
    truncated: Sequence[bool],
    **_: Any,
) -> list[float]:
    """1 where the completion is exactly one think block and one answer block, else 0."""
    rows = zip(completions, choices, truncated, strict=True)
    return [float(parse(text, options, truncated=cut).format) for text, options, cut in rows]


def pair_consistency(
    completions: Sequence[str],
    *,
    question_id: Sequence[str],
    choices: Sequence[Sequence[str]],
    answer: Sequence[tuple[str, ...]],
    truncated: Sequence[bool],
    partner_success: Sequence[float | None],
    **_: Any,
) -> list[float]:
    """1 where exactly right, times how often the other question of its minimal pair was, else 0.

    Ours, a sceptic's baseline: a shortcut gives both questions of a pair one answer, so one of them
    is wrong and neither is paid. `partner_success` is the share of exactly right completions in the
    partner's group of the same step.

    Raises:
        UserError: a question without its partner in the step.
    """
    alone = [q for q, other in zip(question_id, partner_success, strict=True) if other is None]
    if alone:
        raise UserError(
            f"reward 'pair_consistency' needs both questions of a minimal pair in a step, and "
            f"{alone[0]!r} came without its partner; train on a minimal_pairs.jsonl"
        )
    rows = zip(completions, choices, answer, truncated, partner_success, strict=True)
    return [
        exact(parse(text, options, truncated=cut).answer, gold) * (other or 0.0)
        for text, options, gold, cut, other in rows
    ]


OURS: dict[str, RewardFunc] = {
    "soft_accuracy": soft_accuracy,
    "format": format,
    "pair_consistency": pair_consistency,
}


def load_rewards(names: Sequence[str]) -> dict[str, RewardFunc]:
    """The functions behind `names`: ours, or `module:function` to import.

    Raises:
        UserError: an unknown name, a module that cannot be imported, no such function in it, or one
            that does not take what it will be given.
    """
    return {name: OURS[name] if name in OURS else _import(name) for name in names}


def asks(function: RewardFunc, keyword: str) -> bool:
    """Does the function name this keyword among its arguments?"""
    return keyword in inspect.signature(function).parameters


def _import(name: str) -> RewardFunc:
    module, _, attribute = name.partition(":")
    if not attribute:
        raise UserError(
            f"reward function {name!r} is unknown; allowed are {', '.join(OURS)} "
            "or your own as module:function"
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"reward function {name!r} cannot be imported: {error}") from error
    if not callable(found):
        raise UserError(f"reward function {name!r} is a {type(found).__name__}, not a function")
    try:
        inspect.signature(found).bind(**dict.fromkeys(KEYWORDS))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"reward function {name!r} cannot be called as TRL calls one ({error}); "
            f"it is given {', '.join(KEYWORDS)} by keyword: take those you need, and **columns"
        ) from error
    return cast("RewardFunc", found)


def reward_columns(question: Question, label: str, group: Group) -> dict[str, list[Any]]:
    """What a reward function is told of a group's G completions, beside prompts and texts."""
    count = len(group.mask_GC)
    ids_of = zip(group.completion_ids_GC, group.mask_GC, strict=True)
    return {
        "completion_ids": [ids_C[mask_C].tolist() for ids_C, mask_C in ids_of],
        "question_id": [question.id] * count,
        "choices": [question.choices] * count,
        "answer": [question.answer] * count,
        "type": [question.type] * count,
        "label": [label] * count,
        "truncated": group.truncated_G.tolist(),
    }


def score(
    functions: dict[str, RewardFunc],
    prompts: Sequence[str],
    completions: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
) -> Tensor:
    """Call every reward function once on all completions.

    Args:
        functions: name -> function.
        prompts: N prompts as shown.
        completions: N completions.
        columns: name -> N values, passed as keywords.

    Returns:
        Rewards [R, N] in float64, R functions.

    Raises:
        UserError: a function returned another number of rewards than completions, or one that is
            None, infinite or not a number (the function, the question and the value are named).
    """
    rows: list[list[float]] = []
    for name, function in functions.items():
        values = function(prompts=list(prompts), completions=list(completions), **columns)
        if not isinstance(values, Sequence) or len(values) != len(completions):
            got = f"{len(values)} rewards" if isinstance(values, Sequence) else repr(values)
            raise UserError(
                f"reward function {name!r} returned {got} for {len(completions)} completions; "
                "it must return a list with one number a completion"
            )
        for value, question in zip(values, columns["question_id"], strict=True):
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise UserError(
                    f"reward function {name!r} returned {value!r} for question {question!r}; "
                    "it must return a finite number"
                )
        rows.append([float(value) for value in values])
    return torch.tensor(rows, dtype=torch.float64)


def weighted(rewards_RG: Tensor, weights: Sequence[float] | None) -> list[float]:
    """Weighted sum of the reward functions [G]; without weights all count alike."""
    weights_R = torch.tensor(weights or (1.0,) * len(rewards_RG), dtype=torch.float64)
    return (weights_R @ rewards_RG.double()).tolist()
