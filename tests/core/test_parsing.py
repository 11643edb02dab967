"""What a command line lacks, or has and must not: one sentence, with what to write."""

import pytest

from videothinker import cli
from videothinker.errors import UserError


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
