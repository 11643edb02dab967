"""A function fits on a screen and a file is read in one sitting."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTION, FILE = 60, 400
"""Most lines of each."""


def test_functions_and_files_are_short() -> None:
    long = []
    for room in ("src", "tests", "benchmarks", "scripts"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text()
            long += [(path, lines) for lines in (len(text.splitlines()),) if lines > FILE]
            long += [
                (path, node.name, lines)
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION
            ]
    assert long == []
