"""Reward functions of one's own."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.records import Step, read_jsonl
from videothinker.training.rewards import OURS, load_rewards, score, weighted
from videothinker.training.stages import train

SOFT, EXACT = "soft_accuracy", "exact_accuracy"


def test_part_of_an_answer_is_paid_by_the_soft_accuracy_alone() -> None:
    said = ["A", "A, B", "A, B, C", "B"]
    columns = {
        "completions": [f"<think>x</think><answer>{one}</answer>" for one in said],
        "choices": [("p", "q", "r")] * 4,
        "answer": [("A", "B")] * 4,
        "truncated": [False] * 4,
    }
    paid = {name: load_rewards([name])[name](**columns) for name in (SOFT, EXACT)}
    assert paid == {SOFT: [0.5, 1, 0, 0.5], EXACT: [0, 1, 0, 0]}


def test_a_new_reward_is_a_function_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As CONTRIBUTING.md has it: called by keyword, named in a recipe, weighed beside others."""

    def brevity(completions: Sequence[str], *, truncated: Sequence[bool], **_: Any) -> list[float]:
        rows = zip(completions, truncated, strict=True)
        return [0.0 if cut else 1 / len(text.split()) for text, cut in rows]

    monkeypatch.setitem(OURS, "brevity", brevity)
    config = GrpoConfig(
        model="m",
        out=Path("o"),
        reward_funcs=("brevity", "format"),
        reward_weights=(2.0, 0.5),
    )
    right = "<think>x</think><answer>A</answer>"
    columns = {"question_id": ["q"] * 3, "choices": [("p", "q")] * 3, "answer": [("A",)] * 3}
    columns["truncated"] = [False, False, True]
    functions = load_rewards(config.reward_funcs)
    rewards_RN = score(functions, ["p"] * 3, [right, "a b", "a b"], columns, seconds=9)
    assert rewards_RN.tolist() == [[1, 0.5, 0], [1, 0, 0]]
    assert weighted(rewards_RN, config.reward_weights) == [2.5, 1, 0]
    with pytest.raises(UserError, match="brevity"):
        load_rewards(["brief"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests.training.toy_training:returns_none", "returned None for question 'toy/train"),
        ("tests.training.toy_training:returns_nan", "returned nan for question 'toy/train"),
        ("tests.training.toy_training:returns_few", "returned 1 rewards for 4 completions"),
        ("tests.training.toy_training:nothing", "cannot be imported"),
        (
            "tests.training.toy_training:takes_too_little",
            "unexpected keyword argument 'prompts'.*by keyword",
        ),
        ("nowhere", "unknown; allowed are soft_accuracy, exact_accuracy, format"),
    ],
)
def test_a_bad_reward_function_is_named(
    toy: Path, quick: dict[str, Any], tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(toy, GrpoConfig(out=tmp_path / "a", **(quick | {"reward_funcs": (name,)})))


def test_a_reward_function_may_ask_for_the_completions_tokens(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    """TRL passes them by the name `completion_ids`: as many as the step's completions are long."""
    asked = {
        "reward_funcs": ("tests.training.toy_training:token_reward",),
        "max_steps": 1,
        "eval_steps": 0,
    }
    out = train(toy, GrpoConfig(out=tmp_path / "a", **(quick | asked)))
    (step,) = read_jsonl(out / "metrics.jsonl", Step)
    mean = step.metrics["completion_length"] / 10
    assert step.reward["tests.training.toy_training:token_reward"] == pytest.approx(mean)


def raises(**_: object) -> list[float]:
    raise ZeroDivisionError("no signal")


def leaves(**_: object) -> list[float]:
    sys.exit(0)


def hangs(**_: object) -> list[float]:
    while True:
        try:
            time.sleep(60)
        except Exception:  # noqa: BLE001  (as careless as people's are)
            continue


def leaves_at_once(**_: object) -> list[float]:
    os._exit(0)


BAD: dict[str, tuple[Callable[..., Any], str]] = {
    "raises": (raises, "called for question 'q1', raised ZeroDivisionError: no signal"),
    "leaves": (leaves, "ended the process .exit code 0."),
    "leaves at once": (leaves_at_once, "ended the process .exit code 0."),
    "hangs": (hangs, "did not end within 0.2 s"),
    "an array": (lambda **_: np.ones(2), "returned a value of type numpy.ndarray for 2 compl"),
    "numpy inside": (lambda **_: [np.float32(1), 1.0], "of type numpy.float32 for question 'q1'"),
    "a generator": (lambda **_: (1.0 for _ in range(2)), "of type generator"),
    "text": (lambda **_: "11", "of type str"),
    "texts": (lambda **_: ["1", "1"], "of type str for question 'q1'"),
    "huge": (lambda **_: [1.0, 1e300], "1e.300 for question 'q2'; .* to 1,000,000"),
    "endless": (lambda **_: [10**400, 0], "a whole number of 1329 bits"),
    "infinite": (lambda **_: [float("inf"), 0.0], "returned inf"),
    "few": (lambda **_: [1.0], "returned 1 rewards for 2 completions"),
    "many": (lambda **_: [1.0] * 3, "returned 3 rewards for 2 completions"),
}


@pytest.mark.parametrize("name", BAD)
def test_whatever_a_reward_function_does_is_one_sentence(name: str) -> None:
    function, says = BAD[name]
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(UserError, match=f"reward function 'f'.*{says}"):
        score({"f": function}, ["p"] * 2, ["c"] * 2, {"question_id": ["q1", "q2"]}, seconds=0.2)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_child_that_a_function_forks_ends_as_ever() -> None:
    def forks(**_: object) -> list[float]:
        pid = os.fork()
        if pid == 0:
            os._exit(3)
        return [float(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))]

    columns = {"question_id": ["q"]}
    assert score({"f": forks}, ["p"], ["c"], columns, seconds=9).tolist() == [[3.0]]


def test_a_function_cannot_change_what_the_next_one_is_told() -> None:
    def spoils(answer: list[list[str]], **_: object) -> list[float]:
        answer[0].append("B")
        answer.reverse()
        return [0.0, 0.0]

    def looks(answer: list[list[str]], **_: object) -> list[float]:
        return [float(len(one)) for one in answer]

    columns = {"question_id": ["q", "q"], "answer": [["A"], []]}
    rewards_RN = score({"s": spoils, "l": looks}, ["p"] * 2, ["c"] * 2, columns, seconds=9)
    assert rewards_RN.tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "1 / 0", "def f(:"])
def test_a_module_that_cannot_be_imported_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    (tmp_path / "their_rewards.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="'their_rewards:f' cannot be imported"):
        load_rewards(["their_rewards:f"])


def test_a_run_that_a_reward_ended_is_failed_and_goes_on_to_the_same_steps(
    toy: Path, quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises at step 3 of 4; mended, the run ends where one without the fault does."""
    calls, source = 0, "tests.training.toy_training:length_reward"

    def fails_once(completions: list[str], **_: object) -> list[float]:
        nonlocal calls
        calls += 1
        if calls == 5:  # two groups a step
            raise RuntimeError("the judge is away")
        return [len(one) % 5 / 5 for one in completions]

    asked = quick | {"reward_funcs": (source,), "max_steps": 4, "save_steps": 1, "eval_steps": 0}
    whole = train(toy, GrpoConfig(out=tmp_path / "whole", **asked))
    monkeypatch.setattr("tests.training.toy_training.length_reward", fails_once)
    with pytest.raises(UserError, match="the judge is away"):
        train(toy, GrpoConfig(out=tmp_path / "cut", **asked))
    assert json.loads((tmp_path / "cut/run.json").read_text())["status"] == "failed"
    cut = train(toy, GrpoConfig(out=tmp_path / "cut", **asked))
    assert (cut / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
