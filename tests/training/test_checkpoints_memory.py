"""Saving takes less memory than the step before it, as the system counts it."""

import json
from pathlib import Path

import pytest

from tests.warm import Warm

ROOM = 24.0
"""Megabytes: the largest tensor, as it is written, and what Python takes beside it."""


@pytest.mark.slow
def test_saving_stays_under_the_step(warm: Warm, tmp_path: Path) -> None:
    """And a save that held copies of all would not; without an adapter, and with one."""
    words = ["tests.training.saving_child", str(tmp_path), "0", "8"]
    done = warm.run("-m", *words, env={"XDG_CACHE_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    for found in json.loads(done.stdout.splitlines()[-1]).values():
        assert found["weights"] > 3 * ROOM
        assert max(found["checkpoint"], found["model"]) < min(ROOM, found["step"]), found
        assert found["copied"] > 2 * ROOM, found
