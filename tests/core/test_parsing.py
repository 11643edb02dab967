"""What a command line lacks, or has and must not: one sentence, with what to write."""

import dataclasses
import itertools
import math
import typing

import pytest

from videothinker import cli
from videothinker.errors import UserError
from videothinker.verbs import VERBS, load


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("train grpo --data d", ("no --model and no --out came", "--data PATH --model TEXT")),
        ("ask v.mp4 --model m", ("no QUESTION came", "ask VIDEO QUESTION --model TEXT")),
        ("check", ("no LIST came", "help check")),
        ("evaluate --data d --frames ten --out o", ("--frames came with 'ten'", "--frames INT")),
        ("evaluate --data d --frames=ten", ("--frames came with 'ten'", "--frames INT")),
        ("evaluate --data d --split", ("--split came without a value", "--split TEXT")),
        ("diagnose d --rule my_own", ("--rule came with 'my_own'", "no_path")),
        ("diagnose d --probes blind odd", ("'blind odd'", "options_only")),
        ("world --scenes 2 Third", ("Third", "help world")),
    ],
)
def test_what_is_refused_is_one_sentence(
    words: str, says: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError) as caught:
        cli.parse(words.split())
    told = str(caught.value)
    assert all(part in told for part in says), told
    assert "\n" not in told
    assert told.startswith(" ".join(words.split()[: 2 if words.startswith("train") else 1]) + ":")
    assert capsys.readouterr() == ("", "")


WANTED = {
    "world": "--out o", "diagnose": "d --out o", "pretrain": "--out o",
    "evaluate": "--data d --model m --out o", "report": "r", "ask": "v.mp4 Why? --model m",
    **dict.fromkeys(["train bias", "train grpo"], "--data d --model m --out o"),
    "train cdpo": "--data d --model m --bias b --out o",
    "chat": "v.mp4 --model m", "reproduce": "g --out o", "demo": "",
}  # fmt: skip
"""Verbs that have settings which need not be whole numbers, with what they cannot do without."""


@pytest.mark.parametrize("verb", VERBS)
def test_no_number_is_without_end_or_none(verb: str) -> None:
    kinds = typing.get_type_hints(load(VERBS[verb].config))
    real = [name for name, kind in kinds.items() if kind in (float, float | None)]
    assert bool(real) == (verb in WANTED)
    if real:
        _, arguments, _ = cli.parse([*verb.split(), *WANTED[verb].split()])
        for name, odd in itertools.product(real, (math.nan, math.inf, -math.inf)):
            with pytest.raises(UserError, match=name):
                dataclasses.replace(arguments[-1], **{name: odd})


@pytest.mark.parametrize(
    ("verb", "flag", "odd"),
    [
        ("train grpo", "reward-weights", "nan 1"),
        ("train grpo", "reward-weights", "1 inf"),
        ("pretrain", "stages", "nan .5 .25 .25"),
        ("pretrain", "stages", "1.5 -.5 0 0"),
    ],
)
def test_nor_is_one_of_several(verb: str, flag: str, odd: str) -> None:
    words = [*verb.split(), *WANTED[verb].split(), f"--{flag}", *odd.split()]
    with pytest.raises(UserError, match=flag.replace("-", "[-_]")):
        cli.parse(words)
