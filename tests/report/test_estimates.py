"""Accuracies and paired differences: by hand, and by the textbook."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from videothinker.records import Sample, read_jsonl
from videothinker.report.estimates import SeededEstimate, accuracy, difference
from videothinker.report.results import read_boards
from videothinker.report.sources import read_runs


def textbook_error(values: dict[str, float], cluster: dict[str, str]) -> float:
    """The double sum over all pairs in one cluster, with its small-sample factor."""
    centre, m = np.mean(list(values.values())), len(set(cluster.values()))
    total = sum(
        (values[a] - centre) * (values[b] - centre)
        for a, b in itertools.product(values, values)
        if cluster[a] == cluster[b]
    )
    return math.sqrt(m / (m - 1) * total) / len(values)


def test_accuracies_and_differences_are_those_of_the_records(made_runs: list[Path]) -> None:
    (board,) = read_boards(read_runs(made_runs))
    assert [method.name for method in board.methods] == ["Base", "GRPO", "CDPO"]
    assert board.tier == "video tier"
    hard = [q for q in board.questions if int(q[-4:]) % 3 == 0]
    assert board.ids("inferential") == hard
    means = {}
    for name in ("grpo", "cdpo"):
        for seed in (0, 1):
            path = made_runs[0].parent / f"evaluate-{name}-seed{seed}" / "samples.jsonl"
            exact = {s.question_id: s.exact for s in read_jsonl(path, Sample)}
            means[name, seed] = np.array([exact[q] for q in hard])
    grpo, cdpo = board.method("GRPO"), board.method("CDPO")
    assert grpo is not None
    assert cdpo is not None
    found = accuracy(board, grpo, board.units("inferential"))
    assert found is not None
    assert found.value == pytest.approx(np.mean([means["grpo", 0], means["grpo", 1]]))
    assert dict(found.seeds) == pytest.approx({s: means["grpo", s].mean() for s in (0, 1)})
    gap = difference(board, cdpo, grpo, board.units("inferential"))
    assert gap is not None
    per_seed = [(means["cdpo", s] - means["grpo", s]).mean() for s in (0, 1)]
    assert gap.value == pytest.approx(np.mean(per_seed))
    gaps = np.mean([means["cdpo", s] - means["grpo", s] for s in (0, 1)], 0)
    values = dict(zip(hard, gaps, strict=True))
    se = textbook_error(values, {q: board.questions[q].video or q for q in hard})
    alone = np.std(list(values.values()), ddof=1) / math.sqrt(len(values))
    assert gap.clusters == 12
    questions = 2.201 * max(se, alone)  # Student's t, 11 degrees of freedom
    half = math.hypot(questions, 12.706 * np.std(per_seed, ddof=1) / math.sqrt(2))
    assert gap.low == pytest.approx(max(-1, gap.value - half), abs=1e-3)
    assert gap.high == pytest.approx(min(1, gap.value + half), abs=1e-3)


@pytest.mark.parametrize(
    ("low", "high", "n", "verdict"),
    [
        (0.10, 0.30, 100, "up"),
        (-0.30, -0.10, 100, "down"),
        (-0.04, 0.03, 100, "none"),
        (0.01, 0.04, 100, "none"),  # real, perhaps, and too small to matter
        (-0.10, 0.30, 100, "undecided"),
        (0.10, 0.30, 99, "undecided"),
    ],
)
def test_a_difference_is_decided_by_its_interval_and_its_n(
    low: float, high: float, n: int, verdict: str
) -> None:
    found = SeededEstimate(
        value=(low + high) / 2, error=None, low=low, high=high, n=n, clusters=n, seeds=((0, 0.0),)
    )
    assert found.verdict == verdict
