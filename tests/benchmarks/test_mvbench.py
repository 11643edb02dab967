"""MVBench: its rows and its own rule."""

from pathlib import Path

import pytest

from tests.benchmarks.published_rows import ask, put, verdicts
from videothinker.benchmarks import mvbench
from videothinker.errors import UserError

MVBENCH = {"video": "v.mp4", "question": "What?", "candidates": ["x", "y"], "answer": "y"}


def put_mvbench(root: Path, **changes: object) -> Path:
    for task in mvbench.TASKS:
        row = MVBENCH | (changes if task == "action_sequence" else {})
        put(root / "json" / f"{task}.json", [row, MVBENCH])
    return root


def test_mvbench_rows_keep_their_clip_and_task(tmp_path):
    put_mvbench(tmp_path, start=1.5, end=4.0)
    found = mvbench.load(tmp_path)
    first = found.questions[0]
    assert (first.type, first.clip, first.answer) == ("action_sequence", (1.5, 4.0), ("B",))
    assert first.video == "video/star/Charades_v1_480/v.mp4"
    assert found.questions[1].clip is None
    assert len(found.questions) == 40
    assert len(found.wrong_counts()) == 21


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (lambda r: put_mvbench(r, answer="z"), "item 0.*'z'"),
        (lambda r: put_mvbench(r, candidates=["y", "y"]), "2 of its 2"),
        (lambda r: put_mvbench(r, options=["y"]), "options"),
    ],
)
def test_an_unknown_row_names_its_file_and_place(tmp_path, write, match):
    write(tmp_path)
    with pytest.raises(UserError, match=match):
        mvbench.load(tmp_path)


def test_mvbench_matches_the_first_word():
    texts = {
        "A": "right",
        "A)": "right",
        "A) scattering something": "right",
        "A. scattering": "right",
        "a) scattering": "right",
        "A)\nBecause of B": "right",
        "B) folding": "wrong",
        "A:": "wrong",
        "The answer is A": "wrong",
        "scattering something": "wrong",
        "": "right",
        ")": "wrong",
    }
    assert verdicts(mvbench.own_rule, ask("A", "scattering something", "folding"), texts) == texts
