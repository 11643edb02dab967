"""Names that are not what they look like: on the terminal, in a page, in a grid."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from tests.report.report_runs import diagnose_run
from videothinker import cli, console
from videothinker.files import UNSEEN, plain

UNSEEN_NAMES = {
    "a line's end": "a\nvideothinker: done",
    "escape codes": "a\x1b[2J\x1b]0;x\x07b",
    "one of eight bits": "a\x9b31m",
    "right to left": "\u202efdp.exe",
    "a return": "good\rbad",
    "no UTF-8": os.fsdecode(b"a\xff"),
}
ODD_NAMES = {
    "markup": "<img src=x onerror=alert(1)>",
    "255 bytes": "n" * 255,
    "a dash": "-rf",
    "a flag": "--json",
    "a shell's signs": "a'b\"c$(id);&",
    "rich's": "[red]x[/red]",
    "a blank": " ",
    "another script": "שלום 映像",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diagnose folder."""
    return diagnose_run(tmp_path_factory.mktemp("made"), "validation", 6)


def commands(at: Path, beside: Path) -> dict[str, list[str]]:
    """Each verb reads what lies at a place, or writes there."""
    grid = beside / "grid.yaml"
    grid.write_text("cells:\n- {name: a, run: benchmarks}\n")
    root = ["--data-root", str(at), "--out", str(beside / "exported")]
    return {
        "report": ["report", str(at), "--out", str(beside / "page.html")],
        "report, found": ["report", str(at.parent), "--out", str(beside / "found.html")],
        "export": ["export", "--to", "lmms-eval", "--data", str(at), *root],
        "push": ["push", str(at), "--to", str(beside / "pushed")],
        "push to": ["push", str(at), "--to", str(at / "pushed")],
        "reproduce": ["reproduce", str(grid), "--out", str(at / "grid")],
    }


@pytest.mark.parametrize(
    "name", ["n" * 256, "ש" * 128, f"{'n' * 300}/a", f"{'n' * 200}/{'ש' * 150}"]
)
@pytest.mark.parametrize("verb", ["report", "check", "diagnose", "models --verify"])
def test_a_name_that_no_disk_holds_is_refused_in_one_line(
    name: str, verb: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*verb.split(), name]) == 2
    assert "bytes long; a disk holds 255" in capfd.readouterr().err


@pytest.mark.parametrize("kind", UNSEEN_NAMES)
def test_a_name_that_is_not_seen_is_refused_in_one_line(
    kind: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    at = tmp_path / "runs" / UNSEEN_NAMES[kind]
    shutil.copytree(folder, at)
    for verb, words in commands(at, tmp_path).items():
        assert cli.main(words) == 2, verb
        told = capfd.readouterr().err
        assert told.count("\n") == 1
        assert not UNSEEN.search(told.removesuffix("\n"))
        assert "rename" in told or "give it a name" in told
    assert {p.name for p in tmp_path.iterdir()} == {"runs", "grid.yaml"}


@pytest.mark.parametrize("kind", UNSEEN_NAMES)
def test_neither_is_it_the_name_of_a_cell(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for cell in ({"name": UNSEEN_NAMES[kind]}, {"name": "a", "out": f"{{root}}/{kind}\x1b"}):
        grid = tmp_path / "grid.yaml"
        grid.write_text(yaml.safe_dump({"cells": [{**cell, "run": "benchmarks"}]}))
        assert cli.main(["reproduce", str(grid), "--out", str(tmp_path / "out")]) == 2
        told = capfd.readouterr().err
        assert told.count("\n") == 1
        assert not UNSEEN.search(told.removesuffix("\n"))


@pytest.mark.parametrize("kind", ODD_NAMES)
def test_an_odd_name_is_a_name(
    kind: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = tmp_path / "runs" / ODD_NAMES[kind]
    shutil.copytree(folder, at)
    monkeypatch.chdir(at.parent)
    found = commands(at, tmp_path)
    for verb in ("report", "report, found", "push", "push to"):
        assert cli.main(found[verb]) == 0, verb
    assert (at / "pushed/README.md").is_file()
    assert cli.main(["report", f"./{at.name}", "--out", str(tmp_path / "near.html")]) == 0
    for page in tmp_path.glob("*.html"):
        assert "<img src=x" not in page.read_text(encoding="utf-8")


def test_what_is_said_acts_on_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Nor what is told of a file, a question or an answer."""
    console.say("answer: \x1b]0;title\x07 \u202ecod.exe [red]x[/red]")
    assert capfd.readouterr().err == "answer: \\x1b]0;title \\u202ecod.exe [red]x[/red]\n"
    assert plain("a\tb\n\x9b\udcff") == "a\tb\n\\x9b\\udcff"
