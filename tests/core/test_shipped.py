"""Recipes and models that ship are found from any folder; one's own come first."""

from pathlib import Path

import pytest

from videothinker import shipped as module
from videothinker.models.folders import find_model
from videothinker.recipes import read_recipe
from videothinker.shipped import shipped


def test_what_ships_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (shipped("models/base-video") / "config.json").is_file()
    assert Path(find_model("models/base-video").files).is_absolute()
    assert "cells" in read_recipe(Path("recipes/demo.yaml"))
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "demo.yaml").write_text("seed: 7\n")
    assert read_recipe(Path("recipes/demo.yaml")) == {"seed": 7}


@pytest.mark.parametrize(
    "given", ["models/none", "base-video", "models/../models/base-video", "src/videothinker", "."]
)
def test_another_path_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped(given) == Path(given)


def test_a_wheels_own_folder_comes_before_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "share" / "models" / "base-video").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "PLACES", (tmp_path / "share", *module.PLACES))
    assert shipped("models/base-video") == tmp_path / "share" / "models" / "base-video"
