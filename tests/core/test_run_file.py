"""What run.json says of the code that made a run."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from videothinker import run_file


def lies(at: Path) -> ModuleType:
    """The module, from a copy."""
    at.parent.mkdir()
    shutil.copy(run_file.__file__, at)
    spec = importlib.util.spec_from_file_location("copied_run_file", at)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def git(folder: Path, *words: str) -> str:
    me = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    return subprocess.check_output(["git", *me, "-C", str(folder), *words], text=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_the_commit_is_that_of_the_packages_own_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of a project which has the package in a folder of its own; and none without git."""
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "theirs")
    copy = lies(tmp_path / "vendor" / "run_file.py")
    assert copy._commit() is None
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "ours")
    copy._commit.cache_clear()
    assert copy._commit() == git(tmp_path, "rev-parse", "HEAD").strip()
    copy._commit.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert copy._commit() is None
