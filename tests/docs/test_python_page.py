"""docs/python.md is run as a doctest, from a world to a report on a trained model."""

import doctest
from pathlib import Path

import pytest

from tests.docs.docs_blocks import DOCS


def test_the_page_on_python_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(DOCS.parent / "models")
    # A fence's closing line would be read as output.
    text = (DOCS / "python.md").read_text(encoding="utf-8").replace("```", "")
    many, few = "scenes=20, validation_scenes=10", "scenes=5, validation_scenes=3"
    assert many in text  # a scene takes a quarter second
    text, flags = text.replace(many, few), doctest.ELLIPSIS
    test = doctest.DocTestParser().get_doctest(text, {}, "python.md", "python.md", 0)
    found = doctest.DocTestRunner(optionflags=flags).run(test)
    assert found.attempted > 8
    assert found.failed == 0
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert (tmp_path / "after.html").stat().st_size > 10_000
