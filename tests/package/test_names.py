"""One word means one thing: no type has another's name."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src/videothinker"


def types(module: ast.Module) -> Iterator[str]:
    """Classes, and names of a type by what they are set to: `Literal[...]`, `dict[...]`."""
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
            (name,) = node.targets
            if isinstance(name, ast.Name) and name.id != name.id.upper():
                yield name.id


def test_no_type_name_stands_twice() -> None:
    found = Counter(
        name for path in SOURCE.rglob("*.py") for name in set(types(ast.parse(path.read_text())))
    )
    assert len(found) > 150
    assert found.keys() >= {"Question", "Verdict", "Answered", "Letters"}
    assert [name for name, times in found.items() if times > 1] == []
