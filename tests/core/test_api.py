"""`videothinker.api`: every verb's stage and config, imported when asked for and not before."""

import subprocess
import sys

import pytest

from videothinker import api
from videothinker.cli import VERBS, load


def test_every_verb_is_offered_with_its_config() -> None:
    paths = {path for verb in VERBS.values() for path in (verb.stage, verb.config)}
    assert sorted(api.__all__) == sorted(path.split(":")[1] for path in paths)
    for path in paths:
        assert getattr(api, path.split(":")[1]) is load(path)


def test_a_stage_stays_a_stage_once_its_package_is_imported() -> None:
    script = (
        "import time; began = time.perf_counter(); import videothinker.api as api, sys\n"
        "taken = time.perf_counter() - began\n"
        "heavy = {'torch', 'transformers', 'av', 'pymunk', 'numpy', 'tyro'} & sys.modules.keys()\n"
        "import videothinker.world.stage, videothinker.report.stage, videothinker.reproduce\n"
        "stages = [api.world, api.report, api.reproduce]\n"
        "print(sorted(heavy), taken < 0.5, *map(callable, stages))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]", "True", "True", "True", "True"]


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trainer'"):
        _ = api.trainer
