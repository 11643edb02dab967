"""Reward functions with TRL's signature, ours and those users bring.

`func(prompts, completions, completion_ids, **columns) -> list of numbers`, all by keyword: prompts
and completions are plain strings, one a completion, completion_ids their tokens, and every column
is a list of the same length: question_id, choices, answer (letters), type, label, truncated, and
partner_success where a function of the run names it (`**columns` alone does not ask for it). The
parser is the one that evaluation uses.
"""

import importlib
import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from statistics import fmean
from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from videothinker.answers import Parsed, exact, parse, soft
from videothinker.errors import UserError
from videothinker.files import border, reason
from videothinker.models.base import Group
from videothinker.processes import Processes
from videothinker.records import Question
from videothinker.training.data import partners

RewardFunc = Callable[..., Sequence[float]]
KEYWORDS = (
    "prompts", "completions", "completion_ids", "question_id", "choices", "answer", "type", "label",
    "truncated", "partner_success",
)  # fmt: skip
"""What a reward function may be called with."""
LARGEST = 1e6
"""Of a reward, either side of zero: far above any scale in use, far below where a group's deviation
loses its digits."""


class Overdue(BaseException):
    """A reward function's time is over; no `except Exception` inside it takes this."""


def soft_accuracy(completions: Sequence[str], **columns: Any) -> list[float]:
    """|pred| / |gold| where the letters given are a non-empty subset of the right ones, else 0."""
    return _judged(soft, completions, **columns)


def exact_accuracy(completions: Sequence[str], **columns: Any) -> list[float]:
    """1 where the letters given are all the right ones and no other, else 0.

    Ours: the soft accuracy pays a part of an answer, and so who describes where that falls short.
    """
    return _judged(exact, completions, **columns)


def _judged(
    judge: Callable[..., float],
    completions: Sequence[str],
    *,
    choices: Sequence[Sequence[str]],
    answer: Sequence[tuple[str, ...]],
    truncated: Sequence[bool],
    **_: Any,
) -> list[float]:
    rows = zip(completions, choices, answer, truncated, strict=True)
    return [
        judge(parse(text, options, truncated=cut).answer, gold) for text, options, gold, cut in rows
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
    partner_success: Sequence[float | None],
    **columns: Any,
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
    right = _judged(exact, completions, **columns)
    return [own * (other or 0.0) for own, other in zip(right, partner_success, strict=True)]


OURS: dict[str, RewardFunc] = {
    "soft_accuracy": soft_accuracy,
    "exact_accuracy": exact_accuracy,
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
    subject = f"reward function {name!r} cannot be imported"
    do = "give module:function, the module where Python finds it: PYTHONPATH=. for one right here"
    try:
        with border(subject, do):
            found = getattr(importlib.import_module(module), attribute)
    except SystemExit as error:
        raise UserError(f"{subject}: its module ends the process when imported") from error
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


def partner_success(
    drawn: Mapping[int, Question], said: Mapping[int, Sequence[Parsed]], processes: Processes
) -> dict[int, float]:
    """Item -> how often the other question of its minimal pair was answered exactly right."""
    others = partners(drawn)
    if not others:
        return {}
    right = [
        (item, fmean(exact(one.answer, drawn[item].answer) for one in parsed))
        for item, parsed in said.items()
        if item in others
    ]
    known = dict(processes.gather(right))
    return {item: known[other] for item, other in others.items()}


def score(
    functions: dict[str, RewardFunc],
    prompts: Sequence[str],
    completions: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
    *,
    seconds: float,
) -> Tensor:
    """Call every reward function once on all completions.

    Args:
        functions: name -> function.
        prompts: N prompts as shown.
        completions: N completions.
        columns: name -> N values, passed as keywords; each function gets its own copy.
        seconds: that each may take.

    Returns:
        Rewards [R, N] in float64, R functions.

    Raises:
        UserError: a function raised, ended the process or took too long, returned another number of
            rewards than completions, or one that is no number from -1e6 to 1e6 (the function, the
            question and the value are named).
    """
    rows: list[list[float]] = []
    for name, function in functions.items():
        told = deepcopy(dict(columns))
        with _called(name, columns["question_id"], seconds):
            values = function(prompts=list(prompts), completions=list(completions), **told)
        rows.append(_numbers(name, values, columns["question_id"]))
    return torch.tensor(rows, dtype=torch.float64)


def _numbers(name: str, values: object, question_id: Sequence[str]) -> list[float]:
    """What a function returned, if it is one number a completion."""
    if not isinstance(values, list | tuple) or len(values) != len(question_id):
        sized = isinstance(values, list | tuple)
        got = f"{len(values)} rewards" if sized else _told(values)
        raise UserError(
            f"reward function {name!r} returned {got} for {len(question_id)} completions; "
            "it must return a list with one number a completion"
        )
    for value, question in zip(values, question_id, strict=True):
        if not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
            raise UserError(
                f"reward function {name!r} returned {_told(value)} for question {question!r}; "
                f"it must return Python numbers from {-LARGEST:,.0f} to {LARGEST:,.0f}"
            )
    return [float(value) for value in values]


def _told(value: object) -> str:
    """A value where it is short and plain, else what it is."""
    if value is None or isinstance(value, float):
        return repr(value)
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if isinstance(value, int):
        return f"a whole number of {value.bit_length()} bits"
    return f"a value of type {kind}"


@contextmanager
def _called(name: str, question_id: Sequence[str], seconds: float) -> Iterator[None]:
    """Inside, a stranger's function is called: whatever it does but return is one sentence."""
    said = f"reward function {name!r}, called for question {question_id[0]!r},"
    again = "mend it, and the same command resumes"
    try:
        with _limited(seconds), _staying():
            yield
    except (UserError, KeyboardInterrupt):
        raise
    except Overdue as error:
        raise UserError(
            f"{said} did not end within {seconds:g} s; {again}, or give it more --reward-timeout"
        ) from error
    except SystemExit as error:
        raise UserError(f"{said} ended the process (exit code {error.code}); {again}") from error
    except BaseException as error:
        raise UserError(f"{said} raised {reason(error)}; {again}") from error


@contextmanager
def _staying() -> Iterator[None]:
    """Inside, `os._exit` ends a child that was forked there, and raises `SystemExit` in us."""
    usual, ours = os._exit, os.getpid()

    def stay(code: int) -> NoReturn:
        if os.getpid() == ours:
            raise SystemExit(code)
        usual(code)

    os._exit = stay
    try:
        yield
    finally:
        os._exit = usual


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Inside, `Overdue` is raised after so many seconds, and again until it gets through.

    Python code and what waits for the system is interrupted; a library's loop in C that does not
    look for signals is not. Signals reach the main thread alone: in another there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise Overdue

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def weighted(rewards_RG: Tensor, weights: Sequence[float] | None) -> list[float]:
    """Weighted sum of the reward functions [G]; without weights all count alike."""
    weights_R = torch.tensor(weights or (1.0,) * len(rewards_RG), dtype=torch.float64)
    return (weights_R @ rewards_RG.double()).tolist()
