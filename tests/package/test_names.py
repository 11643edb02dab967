"""One word means one thing: no type has another's name."""

import ast
from collections import Counter
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src/videothinker"


def test_no_type_name_stands_twice() -> None:
    found = Counter(
        node.name
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert len(found) > 100
    assert [name for name, times in found.items() if times > 1] == []
