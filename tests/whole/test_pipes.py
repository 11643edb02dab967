"""A pipe or a device in the place of a file is refused at once: nobody waits for its end."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from videothinker.clevrer.annotations import read_annotation
from videothinker.errors import UserError
from videothinker.files import on_disk
from videothinker.lists.table import read_table
from videothinker.models.border import read_object
from videothinker.recipes import read_recipe
from videothinker.records import Question, read_jsonl
from videothinker.run_file import read_run_file
from videothinker.runs import Journal
from videothinker.training.checkpoints import read_progress


def journal(path: Path) -> None:
    with on_disk(path):
        Journal(path, Question)


@pytest.mark.parametrize(
    "read",
    [
        read_run_file,
        read_recipe,
        read_table,
        read_object,
        read_annotation,
        lambda path: read_jsonl(path, Question),
        lambda path: read_progress(path.parent),
        journal,
    ],
)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_it_is_refused(read: Callable[[Path], Any], kind: str, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(UserError, match="it is a pipe or a device"):
        read(path)
