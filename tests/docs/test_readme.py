"""The README's picture of the house is the house: one phrase a file, the file's own first line."""

import ast
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PACKAGE = REPO / "src" / "videothinker"
LINE = [
    "world",
    "clevrer",
    "video",
    "datasets",
    "prompts.py",
    "answers.py",
    "answering",
    "diagnosis",
    "policy",
    "cdpo.py",
    "training",
    "pretraining",
    "evaluation",
    "export",
    "report",
    "reproduce.py",
    "cli.py",
    "recipes.py",
    "records.py",
    "giveaways.py",
    "runs.py",
    "seeds.py",
    "console.py",
    "errors.py",
]
"""The order of the data flow, then what everything stands on."""


def phrase(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text())) or ""
    return doc.partition("\n")[0].rstrip(".")


def tree() -> str:
    lines = ["src/videothinker/"]
    for name in LINE:
        path = PACKAGE / name
        if path.suffix:
            lines.append(f"  {name:<20} {phrase(path)}")
            continue
        lines.append(f"  {name}/")
        files = sorted(p for p in path.glob("*.py") if p.name != "__init__.py")
        lines += [f"    {file.name:<18} {phrase(file)}" for file in files]
    return "\n".join(lines)


def test_the_order_names_every_room() -> None:
    rooms = {p.name for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms - {"__init__.py"} == set(LINE)


def test_every_file_says_what_it_is() -> None:
    mute = [p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py" and not phrase(p)]
    assert mute == []


def test_the_readme_shows_the_house_as_it_is() -> None:
    readme = (REPO / "README.md").read_text()
    shown = readme.partition("```text\nsrc/")[2].partition("\n```")[0]
    assert f"src/{shown}" == tree()


if __name__ == "__main__":
    path = REPO / "README.md"
    before, _, rest = path.read_text().partition("```text\nsrc/")
    _, _, after = rest.partition("\n```")
    path.write_text(f"{before}```text\n{tree()}\n```{after}")
