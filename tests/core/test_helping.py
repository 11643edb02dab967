"""The help: every flag the parser takes stands in one group, with its words; shells complete it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from videothinker import cli, helping
from videothinker.verbs import VERBS

VALUES = {"INT": "3", "NUMBER": "0.5", "TEXT": "t", "PATH": ".", "decode_megabytes": "256"}
MODEL_FREE = {"check": ["l"], "convert": ["l", "--out", "o"], "diagnose": ["d"]}


@pytest.mark.parametrize("name", list(VERBS))
def test_every_flag_stands_in_a_group_with_its_words(name: str) -> None:
    flags = helping.flags_of(VERBS[name])
    told = helping.help_of(name)
    assert all(flag.about and not flag.about.startswith("(") for flag in flags)
    for flag in flags:
        assert helping.group_of(flag.name) in told
        assert re.search(rf"^  {re.escape(flag.spelled)}( |$)", told, re.MULTILINE)
    titles = [line for line in told.splitlines() if line.endswith(":") and line[:1] != " "]
    assert len(flags) < 25 or len(titles) > 4


def test_a_group_holds_only_what_some_verb_has() -> None:
    known = {flag.name for verb in VERBS.values() for flag in helping.flags_of(verb)}
    named = [name for names in helping.GROUPS.values() for name in names]
    assert set(named) <= known
    assert len(named) == len(set(named))


@pytest.mark.parametrize(("name", "words"), MODEL_FREE.items())
def test_the_parser_takes_what_the_help_says(name: str, words: list[str]) -> None:
    """Each flag alone, with a value of its kind; the parser knows no flag beside them."""
    for flag in helping.flags_of(VERBS[name]):
        beside_a_model = flag.name.startswith("endpoint") or flag.name == "ways"
        if not flag.spelled.startswith("--") or beside_a_model:
            continue
        head, _, shape = flag.spelled.split(", ")[0].partition(" ")
        choices = shape.strip("{}").split(",") if shape.startswith("{") else [""]
        value = VALUES.get(flag.name, VALUES.get(shape.split(" ")[0], choices[0]))
        if head not in words:
            cli.parse([name, *words, head, *([value] if value else [])])


def test_help_begins_with_a_verb_or_ends_with_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for words in (["help", "train", "grpo"], ["train", "grpo", "--help"], ["train", "grpo", "-h"]):
        assert cli.main(words) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]
    assert cli.main(["help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in (*VERBS, *helping.BEYOND))


@pytest.mark.parametrize(
    ("words", "named"),
    [("completion --help", "completion"), ("help help", "help"), ("train --help", "train cdpo")],
)
def test_what_is_no_verb_has_help_too(
    words: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words.split()) == 0
    told = capsys.readouterr().out
    assert f"  {named} " in told
    assert told.startswith(f"usage: videothinker {named.split(maxsplit=1)[0]} ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_every_verb_and_flag(shell: str) -> None:
    script = helping.completion(shell)
    for name in VERBS:
        assert name.split()[-1] in script
        assert all(word in script for word in helping.words_of(name))
    binary = shutil.which(shell)
    if binary is not None:
        done = subprocess.run(
            [binary, "-n"], input=script, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_bash_completes(tmp_path: Path) -> None:
    (tmp_path / "c.sh").write_text(helping.completion("bash"))
    (tmp_path / "my video.mp4").touch()
    ask = (
        "source c.sh; COMP_WORDS=(videothinker {}); COMP_CWORD={}; _videothinker;"
        'echo "${{COMPREPLY[@]}}"'
    )
    for words, found in (
        ("eval", "evaluate"),
        ("train c", "cdpo"),
        ("train cdpo --div", "--divergence --divergence-in --divergence-target"),
        ("help train c", "check convert chat completion cdpo"),
        ("completion z", "zsh"),
        ("ask my", ""),  # a file, which bash completes itself
    ):
        done = subprocess.run(
            ["bash", "-c", ask.format(words, len(words.split()))],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == found


def test_help_is_light_and_fast() -> None:
    code = (
        "import sys, videothinker.cli as c; c.main(['help', 'train', 'cdpo']);"
        "heavy = {'torch', 'transformers', 'av', 'tyro', 'numpy'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_benchmarks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["benchmarks", "--json"]) == 0
    told = capsys.readouterr()
    lines = {line["name"]: line for line in json.loads(told.out)["benchmarks"]}
    assert lines["videomme"]["expected"]["questions"] == 2700
    assert not lines["jsonl"]["expected"]
    assert all(name in told.err for name in lines)


def test_what_is_missing_is_named_as_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ask", "a.mp4"]) == cli.USER_ERROR
    told = capsys.readouterr().err
    assert "QUESTION" in told
    assert "STR" not in told.replace("--model STR", "")
