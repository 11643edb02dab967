"""The page of rooms names every room, and what prose names in code exists."""

import re
import tomllib
from pathlib import Path

import pytest

from videothinker.helping import EVERY, TRAINING, flags_of
from videothinker.verbs import VERBS

REPO = Path(__file__).parents[2]
SOURCE = REPO / "src/videothinker"
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
OTHERS = {"--help", "--limit-mm-per-prompt", "plugin.py"}
"""Every command's; vLLM's; what `export` writes."""


def test_every_room_has_a_layer_and_stands_on_the_page() -> None:
    rooms = {
        path.stem
        for path in SOURCE.iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").is_file()) and path.stem[0] != "_"
    }
    rows = (REPO / "docs/architecture.md").read_text().partition("| rooms |")[2]
    cells = [line.split("|")[1:3] for line in rows.partition("\n\n")[0].splitlines()[2:]]
    assert rooms <= {name for row in cells for cell in row for name in CODE.findall(cell)}
    contracts = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = " | ".join(contracts["contracts"][0]["layers"]).split(" | ")
    assert rooms == {layer.split(".")[1] for layer in layers}


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Every flag there is, of a verb or of a script, and every file of code."""
    files = [
        p for room in ("src", "tests", "benchmarks", "scripts") for p in (REPO / room).rglob("*.py")
    ]
    scripts = [p.read_text() for p in files if p.parent.name in ("benchmarks", "scripts")]
    spelled = [one.spelled for verb in VERBS.values() for one in flags_of(verb)]
    told = " ".join([*spelled, *(one for one, _ in (*EVERY, *TRAINING))])
    quoted = re.findall(r'"(--[a-z0-9-]+)"', "".join(scripts))
    names = {"/".join(p.parts[-k:]) for p in files for k in range(1, 6)}
    return {*FLAG.findall(told), *quoted, *names, *OTHERS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_prose_names_in_code_exists(page: Path, known: set[str]) -> None:
    for code in CODE.findall(page.read_text()):
        named = {*FLAG.findall(code), *re.findall(r"(?<![\w<>-])[\w/]+\.py\b", code)}
        assert named <= known, code
