"""A stranger's tokenizer: its rules are bounded before a text goes through them."""

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex
from tokenizers.normalizers import Replace

from videothinker.errors import UserError
from videothinker.models.loaded import Policy, prompt_ids
from videothinker.models.tokenizer_file import refuse_growth


def replacing(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ([{"type": "NFC"}], None),
        ([{"type": "Prepend", "prepend": "\u2581"}, replacing({"String": " "}, "\u2581")], None),
        ([replacing({"String": "a"}, "a" * 200)], "64 times"),
        ([replacing({"Regex": ""}, "abc")] * 4, "64 times"),
        (
            [{"type": "Sequence", "normalizers": [replacing({"String": "a"}, "bcd")] * 4}],
            "64 times",
        ),
        ([{"type": "Replace", "content": "a"}], "KeyError"),
        ([3, None], None),  # the library's own to refuse
    ],
)
def test_a_tokenizer_that_makes_texts_far_longer_is_refused(
    rules: list[Any], refused: str | None, tmp_path: Path
) -> None:
    for content in (
        {"normalizer": {"type": "Sequence", "normalizers": rules}},
        {"decoder": {"type": "Sequence", "decoders": rules}},
    ):
        if refused is None:
            refuse_growth(content, tmp_path)
            continue
        with pytest.raises(UserError, match=refused):
            refuse_growth(content, tmp_path)


def test_an_expression_of_a_tokenizer_without_end_is_a_sentence(
    policy: Policy, capfd: pytest.CaptureFixture[str]
) -> None:
    """The library gives up after so many tries, by a panic of its own, and nothing beside it."""
    tokenizer = deepcopy(policy.tokenizer)
    tokenizer.backend_tokenizer.normalizer = Replace(Regex("((a|aa)+)+b"), "x")
    with pytest.raises(UserError, match="cannot read the prompt .*retry-limit"):
        prompt_ids(tokenizer, 0, "a" * 60)
    assert capfd.readouterr().err == ""
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
