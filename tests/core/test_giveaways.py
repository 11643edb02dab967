"""What gives itself away: by the definition, over every truth that two to four options can have."""

import itertools

import pytest

from videothinker.giveaways import AWAY, REST, UNKNOWN, gives_itself_away, part_of, split
from videothinker.records import Diagnosis, Evidence


def diagnosed(name: str, *truth: bool) -> Diagnosis:
    evidence = Evidence(truth_video=truth)
    return Diagnosis(question_id=name, rule="same_truth", label="inferential", evidence=evidence)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("negated", [False, True])
def test_who_describes_picks_nothing_or_everything(count: int, negated: bool) -> None:
    for truth in itertools.product([False, True], repeat=count):
        picked = [letter for letter, happens in zip("ABCD", truth, strict=False)
                  if happens != negated]  # fmt: skip
        expected = len(picked) in (0, count)
        assert gives_itself_away(Evidence(truth_video=truth)) is expected


def test_without_logs_nothing_is_known() -> None:
    assert gives_itself_away(Evidence()) is None
    assert part_of(diagnosed("a")) == part_of(None) == UNKNOWN


def test_a_split_keeps_every_question_once_and_in_order() -> None:
    labels = {
        "a": diagnosed("a", False, False),
        "b": diagnosed("b", True, False),
        "c": diagnosed("c"),
        "d": diagnosed("d", True, True),
    }
    assert split("bdxac", labels) == {AWAY: ["d", "a"], REST: ["b"], UNKNOWN: ["x", "c"]}
    assert split("b", labels) == {REST: ["b"]}
    assert split("", labels) == {}
