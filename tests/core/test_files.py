"""A library's error on one line is cut where a sentence or a word ends."""

import pytest

from videothinker.files import LONGEST, reason


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("short\n and plain", "ValueError: short and plain"),
        (f"{'a' * 60}. {'b' * 60}. {'c' * 90}.", f"ValueError: {'a' * 60}. {'b' * 60}"),
        (f"one {'word ' * 60}", f"ValueError: one {'word ' * 35}word ..."),
    ],
)
def test_a_reason_ends_with_a_whole_sentence_or_word(said: str, told: str) -> None:
    found = reason(ValueError(said))
    assert found == told
    assert len(found) <= LONGEST + len(" ...")
