"""Several processes under torchrun answer one list: the first writes the run, the others help.

A helper runs the same stage, in a folder of its own that goes when it ends, and says nothing.
Batches are dealt out by their number and gathered in order, so the records are those of one
process, byte for byte.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from videothinker.processes import everyone

C = TypeVar("C", bound=Any)


@contextmanager
def own_folder(config: C) -> Iterator[C]:
    """A stage's config, of a helper with a folder of its own as `out`."""
    if everyone().main:
        yield config
        return
    with tempfile.TemporaryDirectory(prefix="videothinker-") as scratch:
        yield replace(config, out=Path(scratch) / "run")


def is_done(done: bool) -> bool:  # noqa: FBT001
    """Is the run that the first process opened done already?"""
    return everyone().say(done)
