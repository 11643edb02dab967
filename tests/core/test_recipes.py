"""Every shipped recipe and grid is parsed by the very parser a user's command goes through."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from videothinker import cli
from videothinker.errors import UserError
from videothinker.grids import plan
from videothinker.models.catalog import published
from videothinker.recipes import check_keys, read_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
GRIDS = sorted(p for p in RECIPES.glob("*.yaml") if "cells:" in p.read_text())
TRAINING = sorted(set(RECIPES.glob("*.yaml")) - set(GRIDS))


def verb_of(path: Path) -> str:
    words = {"bias": "train bias", "grpo": "train grpo"}
    return words.get(path.stem.rsplit("-", 1)[-1], "train cdpo")


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_a_training_recipe_parses(path: Path) -> None:
    _, (data, config), _ = cli.parse([*verb_of(path).split(), "--config", str(path)])
    assert data == Path("runs/clevrer/diagnosis")
    assert config.model in published()
    assert config.num_generations == 8


def kind(words: Sequence[str]) -> tuple[str, ...]:
    """A cell's command without its seed and its folders."""
    seeds = [before == "--seed" for before in ("", *words)]
    shown = zip(words, seeds, strict=False)
    return tuple("" if seed or word.startswith("runs/x") else word for word, seed in shown)


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_every_cell_of_a_grid_parses(path: Path) -> None:
    """One of each kind: hundreds differ in their seeds and folders alone."""
    for cell in {kind(cell.words): cell for cell in plan(path, Path("runs/x"))}.values():
        name, arguments, _ = cli.parse(cell.words)
        assert cell.words[: len(name.split())] == name.split()
        assert arguments[-1].out == cell.out


@pytest.mark.parametrize("stage", ["bias", "grpo", "cdpo"])
@pytest.mark.parametrize("pair", [("3b", "qwen3-2b"), ("3b-lora", "qwen3-4b-lora")])
def test_qwen3_differs_in_its_model_and_the_size_of_its_tokens(
    stage: str, pair: tuple[str, str]
) -> None:
    one, two = (read_recipe(RECIPES / f"clevrer-{name}-{stage}.yaml") for name in pair)
    other = {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)}
    assert other <= {"model", "out", "bias", "max_pixels"}
    assert one["max_pixels"] // 28**2 == two["max_pixels"] // 32**2 == 128


def test_the_papers_settings_are_the_papers() -> None:
    _, (_, config), _ = cli.parse(
        ["train", "cdpo", "--config", str(RECIPES / "clevrer-3b-cdpo.yaml")]
    )
    assert (config.repulsion, config.divergence, config.schedule) == (0.01, "k3", "constant")
    assert (config.max_steps, config.train_questions, config.learning_rate) == (500, 1000, 1e-6)
    assert (config.frames, config.max_pixels) == (16, 128 * 28 * 28)


def bomb(item: str) -> str:
    """Nine anchors, each of which stands for nine of the one before: 9^9 of the first."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} " + item.format(", ".join([f"*a{i - 1}"] * 9)) for i in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (bomb("[{}]"), "anchors .* stand for more than 262,144 characters"),
        (bomb("{{<<: [{}]}}"), "anchors .* stand for more than 262,144 characters"),
        ("a: &a [*a]", "anchors .* stand for more than 262,144 characters"),
        ("a: &a {b: *a}", "anchors .* stand for more than 262,144 characters"),
        ("a: " + "[" * 5000 + "]" * 5000, "is nested too deeply"),
        ("a: 1\n" * 60_000, "more than 262,144 bytes"),
    ],
)
def test_a_recipe_that_would_fill_the_memory_is_refused(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "r.yaml").write_text(text)
    began = time.process_time()
    with pytest.raises(UserError, match=says):
        read_recipe(tmp_path / "r.yaml")
    assert time.process_time() - began < 5


@pytest.mark.parametrize("told", ["010", "1:30", "1_000", "0x10", "yes", "Off", "1:2.5"])
def test_a_value_that_another_yaml_reads_otherwise_is_refused(told: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"seed: {told}\n")
    with pytest.raises(UserError, match=f"{told!r} .*YAML.*line 1"):
        read_recipe(path)
    path.write_text(f"seed: '{told}'\nrate: 3e-4\nfew: -1\nlow: .5\nhigh: 1.0e+3\nso: true\n")
    found = read_recipe(path)
    assert found == {"seed": told, "rate": "3e-4", "few": -1, "low": 0.5, "high": 1000, "so": True}


def test_anchors_keep_their_meaning(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\n")
    found = read_recipe(tmp_path / "r.yaml")
    assert found["b"] == {"x": 1, "y": 3}
    assert found["c"] == [{"x": 1, "y": 2}] * 2


def test_an_old_name_is_told_the_new_one() -> None:
    with pytest.raises(UserError, match="'watching' is called 'probe_layer' now"):
        check_keys({"watching": 4}, ["probe_layer"], "a recipe")
