"""Every command in the documentation has flags that exist, with values that are allowed."""

import re
import shlex
from pathlib import Path

import pytest

from videothinker.cli import parse, take_dry_run
from videothinker.lab.pretraining.config import PretrainConfig

REPO = Path(__file__).parents[2]
PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")])
CODE = re.compile(r"^```[a-z]*\n(.*?)^```$|^((?:    .*\n)+)", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The words after `videothinker` of every command in a code block; sketches (`...`) are not."""
    found = []
    for fenced, indented in CODE.findall(page.read_text(encoding="utf-8")):
        for line in (fenced or indented).replace("\\\n", " ").splitlines():
            if not line.strip().startswith("videothinker ") or "..." in line.replace('"..."', ""):
                continue
            found.append(shlex.split(line.split(" > ")[0], comments=True)[1:])
    return found


def without_missing_recipe(words: list[str]) -> list[str]:
    """A recipe that the page itself writes is not there yet."""
    at = words.index("--config") if "--config" in words else None
    if at is None or Path(words[at + 1]).is_file():
        return words
    return words[:at] + words[at + 2 :]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if commands(page)], ids=lambda page: str(page.relative_to(REPO))
)
def test_commands_parse(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    for words in commands(page):
        take_dry_run(words)
        name, _, _ = parse(without_missing_recipe(words))
        assert words[: len(name.split())] == name.split()


def test_a_base_can_be_trained_on_the_worlds_that_are_meant_for_it() -> None:
    """Their frames divide into its video tokens."""
    side = 2 * PretrainConfig().shape.patch_size
    sizes = [
        words[words.index("--size") + 1]
        for page in ("quickstart", "world")
        for words in commands(REPO / "docs" / f"{page}.md")
        if words[0] == "world" and "--size" in words
    ]
    assert len(sizes) == 3
    assert all(int(edge) % side == 0 for size in sizes for edge in size.split("x"))


def test_the_commands_are_found() -> None:
    assert len(commands(REPO / "docs" / "your_data.md")) == 8
    assert len(commands(REPO / "docs" / "quickstart.md")) >= 9
