"""examples/first_hour.ipynb is executed, cell by cell, and ships without outputs."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.docs.docs_blocks import DOCS
from videothinker.results import Result

NOTEBOOK = DOCS.parent / "examples" / "first_hour.ipynb"
FEWER = {"scenes=40,": "scenes=8,", "validation_scenes=20,": "validation_scenes=4,"}
"""What is run here in the place of the notebook's own numbers; a scene takes a quarter second."""


def run(source: str, names: dict[str, Any]) -> Any:
    """What a cell's last expression is worth, as a notebook would show it."""
    tree = ast.parse(source)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "cell", "exec"), names)
        return None
    before = ast.Module(tree.body[:-1], [])
    exec(compile(before, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    codes = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    for many, few in FEWER.items():
        assert sum(f" {many}" in code for code in codes) == 1
        codes = [code.replace(f" {many}", f" {few}") for code in codes]
    names: dict[str, Any] = {}
    assert not any(cell.get("outputs") for cell in cells)
    shown = [run(code, names) for code in codes]
    tables = [one for one in shown if isinstance(one, Result)]
    assert len(tables) >= 4
    assert all("<table>" in one._repr_html_() for one in tables)
    assert (tmp_path / "runs" / "first_hour" / "report.html").stat().st_size > 10_000
    assert {"observational", "inferential"} <= names["by_label"].keys()
