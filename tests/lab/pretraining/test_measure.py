"""The models in the repository: small, loadable, and what their cards say in the main."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from videothinker.lab.pretraining.config import PoolConfig, PretrainConfig
from videothinker.lab.pretraining.measure import HeldOutScenes, measure, summary
from videothinker.lab.pretraining.pool import facts, frames_of, half_color
from videothinker.lab.pretraining.segments import video_tokenizer
from videothinker.models.catalog import load_policy
from videothinker.world.scenes import scene_config
from videothinker.world.worlds import make_world

MODELS = Path(__file__).parents[3] / "models"
POOL = PoolConfig()


@pytest.mark.parametrize("name", ["base-video", "base-transcript"])
def test_a_shipped_model_is_small_and_has_a_card(name):
    folder = MODELS / name
    assert (folder / "model.safetensors").stat().st_size <= 16 * 2**20
    card = (folder / "README.md").read_text()
    numbers = json.loads((folder / "measured.json").read_text())
    policy = load_policy(folder)
    parameters = sum(p.numel() for p in policy.model.parameters())
    assert parameters == numbers["parameters"] <= 8_000_000
    assert numbers["commit"][:7] in card or "recipes/base-models.yaml" in card


ROWS = {
    "object identity (set of colors, in its own list)": ("object_sets_exact",),
    "colliding pairs it names: precision": ("pairs_precision",),
    "colliding pairs it names: recall": ("pairs_recall",),
    "descriptive questions": ("descriptive_exact",),
    "prefilled to describe (`<think>Seen:`)": (
        "what_if_obs_observational",
        "what_if_obs_inferential",
    ),
    "prefilled to simulate (`<think>Without`)": (
        "what_if_sim_observational",
        "what_if_sim_inferential",
    ),
    "free, greedy": ("what_if_free_observational", "what_if_free_inferential"),
    "free, sampled at temperature 1": (
        "what_if_sampled_observational",
        "what_if_sampled_inferential",
    ),
    "free, another scene's video": ("what_if_swapped_observational", "what_if_swapped_inferential"),
    "free, a gray video": ("what_if_blank_observational", "what_if_blank_inferential"),
}


@pytest.mark.parametrize("page", ["models/base-video/README.md", "docs/base_model.md"])
def test_what_the_video_base_measured_is_told(page):
    """Each number as `measured.json` has it."""
    numbers = json.loads((MODELS / "base-video" / "measured.json").read_text())["held_out"]
    text = (MODELS.parent / page).read_text()
    for row, keys in ROWS.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {row}")]
        cells = [re.sub(r"\(.*?\)", "", cell) for cell in line.split("|")[2 : 2 + len(keys)]]
        assert [float(cell) for cell in cells] == [
            pytest.approx(100 * numbers[key], abs=0.0501) for key in keys
        ], row


def test_the_video_base_tells_the_objects_of_new_scenes():
    """Six scenes rendered here, in its own words; another seed than it was trained with."""
    policy = load_policy(MODELS / "base-video")
    known = [facts(make_world(7, 20000 + i, scene_config(POOL)), POOL.frames, 7) for i in range(6)]
    frames = [half_color(frames_of(one, POOL)) for one in known]
    held_out = HeldOutScenes(known, frames, 5.12)
    numbers = summary(measure(policy, held_out, PretrainConfig(), 1))
    assert numbers["format"] > 0.95
    assert numbers["object_sets_exact"] > 0.8
    assert numbers["pairs_precision"] > 0.8
    assert numbers["pairs_recall"] > 0.8
    assert 0.1 < numbers["simulated_share_sampled"] < 0.9


def test_the_words_that_decide_weigh_more_from_frames():
    """A whole descriptive thought, and one that simulates; the first time each word stands."""
    policy = load_policy(MODELS / "base-video")
    frames = np.zeros((POOL.frames, POOL.height, POOL.width, 3), np.uint8)
    tokenizer = video_tokenizer(policy, frames, 5.12)
    told = "<think>Seen: a BlueRed b. Moves: a red no. Asked: none. So 0.</think><answer>A</answer>"
    wanted = {"a": 1, "BlueRed": 2, "b": 1, "Moves": 2, "red": 2, "no": 2, "Asked": 2, "none": 2}
    wanted |= {"So": 4, "0": 4, "A": 4}
    assert _weights(tokenizer, told).items() >= wanted.items()
    told = "<think>Without red: a BlueRed red gone b. A BlueRed no.</think><answer>B</answer>"
    wanted = {"Without": 1, "red": 1, "BlueRed": 2, "gone": 2, "b": 1, "A": 1, "no": 2, "B": 4}
    assert _weights(tokenizer, told).items() >= wanted.items()


def _weights(tokenizer, completion):
    """The weight of each word where it first stands."""
    ids, weights = tokenizer.segments([("x", completion)])
    found = {}
    for token, weight in zip(ids[0].tolist(), weights[0].tolist(), strict=True):
        if weight > 0:
            found.setdefault(tokenizer.policy.tokenizer.decode([token]).strip(), weight)
    return found
