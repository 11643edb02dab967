"""Training curves and their axes."""

from pathlib import Path

import numpy as np

from videothinker.report.curves import average, bin_size, read_curves
from videothinker.report.sources import read_runs
from videothinker.report.svg import ticks


def test_curves_keep_their_mean(made_runs: list[Path]) -> None:
    curves = read_curves(read_runs(made_runs))
    assert {curve.role for curve in curves} == {"Base", "Bias model", "GRPO", "CDPO"}
    assert bin_size(80) == 1
    assert bin_size(500) == 7
    assert average([[(1.0, 2.0), (2.0, 3.0)], [(1.0, 4.0)]]) == [(1.0, 3.0)]


def test_ticks_cover_what_is_drawn() -> None:
    assert ticks(0.0, 0.0)[0] == 0
    assert ticks(0.0, 0.0)[-1] == 1
    assert ticks(0.0, 0.83)[0] == 0
    assert ticks(0.0, 0.83)[-1] >= 0.83
    assert ticks(-3.2, 7.0)[0] <= -3.2
    steps = np.diff(ticks(-3.2, 7.0))
    assert np.allclose(steps, steps[0])
