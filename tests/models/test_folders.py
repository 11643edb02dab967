"""What a folder that holds no model is called."""

import json
from pathlib import Path

import pytest

from videothinker.errors import UserError
from videothinker.models.catalog import find_shape, place


def refusal(folder: Path, run: dict[str, str] | None) -> str:
    """What is said of a folder with this run.json, by what reads a model and by what plans one."""
    if run is not None:
        (folder / "run.json").write_text(json.dumps(run))
    told = []
    for reads in (place, find_shape):
        with pytest.raises(UserError) as caught:
            reads(str(folder))
        told.append(str(caught.value))
    assert told[0] == told[1]
    return told[0]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"stage": "train_bias", "status": "interrupted"}, ("`train bias`", "resumes")),
        ({"stage": "pretrain", "status": "running"}, ("`pretrain`", "resumes")),
        ({"stage": "train_grpo", "status": "done"}, ("`train grpo` wrote", "no model")),
        ({"stage": "world", "status": "done"}, ("`world` wrote", "no model")),
        ({"stage": "diagnose", "status": "failed"}, ("`diagnose` wrote", "no model")),
        (None, ("no config.json",)),
    ],
)
def test_a_folder_without_a_model_is_called_what_it_is(
    tmp_path: Path, run: dict[str, str] | None, words: tuple[str, ...]
) -> None:
    told = refusal(tmp_path, run)
    assert all(word in told for word in words)


def test_a_set_of_questions_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").touch()
    assert "a set of questions" in refusal(tmp_path, None)
