"""Every verb that decodes videos has the same two flags, and refuses what decodes nothing."""

import pytest

from videothinker import cli
from videothinker.errors import UserError

VERBS = {
    "ask": ["ask", "v.mp4", "why?", "--model", "m", "--choice", "a", "b"],
    "diagnose": ["diagnose", "data"],
    "evaluate": ["evaluate", "--data", "data", "--model", "m"],
    "train grpo": ["train", "grpo", "--data", "data", "--model", "m", "--out", "o"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_budget_is_two_flags(verb: str) -> None:
    words = [*VERBS[verb], "--deadline", "5", "--decode-megabytes", "512"]
    _, arguments, _ = cli.parse(words)
    assert (arguments[-1].deadline, arguments[-1].decode_megabytes) == (5.0, 512)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "budget",
    [["--deadline", "0"], ["--deadline", "nan"], ["--decode-megabytes", "100"]],
    ids=" ".join,
)
def test_a_budget_in_which_nothing_decodes_is_refused(verb: str, budget: list[str]) -> None:
    name = budget[0].removeprefix("--").replace("-", "_")
    with pytest.raises(UserError, match=f"{name}.* is {budget[1]}"):
        cli.parse([*VERBS[verb], *budget])
