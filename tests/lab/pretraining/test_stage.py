"""The stage from end to end on a tiny model: killed, resumed, measured, loaded."""

import dataclasses
import shutil

import msgspec
import pytest
import torch

from tests.lab.pretraining.toy_pretraining import POOL, SHAPE
from videothinker.errors import UserError
from videothinker.lab.pretraining import pool as pools
from videothinker.lab.pretraining import stage
from videothinker.lab.pretraining.config import PretrainConfig
from videothinker.lab.pretraining.measure import Measured, summary
from videothinker.lab.pretraining.optimizer import schedule
from videothinker.models.catalog import load_policy
from videothinker.runs import digest_path
from videothinker.world.scenes import scene_config


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A pool of eight scenes that every run of this file reads."""
    patch = pytest.MonkeyPatch()
    patch.setattr(pools, "CHUNK", 2)
    patch.setattr("videothinker.lab.pretraining.batches.CHUNK", 2)
    patch.setattr("videothinker.lab.pretraining.stage.CHUNK", 2)
    patch.setattr("videothinker.lab.pretraining.measure.LONGEST", 12)
    yield tmp_path_factory.mktemp("pool")
    patch.undo()


def tiny(out, tier="video", **changes):
    config = PretrainConfig(
        out=out, tier=tier, shape=SHAPE, pool=POOL, steps=4, stages=(0.25, 0.25, 0.25, 0.25),
        batch=2, questions=2, warmup=1, save_every=1, measure_every=2, precision="float32",
    )  # fmt: skip
    return dataclasses.replace(config, **changes)


@pytest.mark.parametrize("tier", ["video", "transcript"])
def test_a_killed_run_resumes_to_the_same_bytes(made, tmp_path, monkeypatch, tier):
    whole = stage.pretrain(None, tiny(tmp_path / "whole", tier))
    policy = load_policy(whole / "model")
    assert policy.vision.max_pixels == POOL.width * POOL.height

    drawn = stage.Batches.step

    def dies(self, step):
        if step == 3:
            raise KeyboardInterrupt
        return drawn(self, step)

    built = stage.build_small

    def dies_in_the_first_model(folder, *rest):
        (built(folder, *rest) / "preprocessor_config.json").unlink()
        raise KeyboardInterrupt

    for name, dying in (("build_small", dies_in_the_first_model), ("Batches.step", dies)):
        monkeypatch.setattr(f"{stage.__name__}.{name}", dying)
        with pytest.raises(KeyboardInterrupt):
            stage.pretrain(None, tiny(tmp_path / "cut", tier))
        monkeypatch.undo()
    assert not (tmp_path / "cut" / "model").exists()
    cut = stage.pretrain(None, tiny(tmp_path / "cut", tier))
    assert digest_path(cut) == digest_path(whole)

    again = stage.pretrain(None, tiny(tmp_path / "whole", tier))
    assert digest_path(again) == digest_path(whole)
    facts = msgspec.json.decode((whole / "run.json").read_bytes())["facts"]
    assert facts["held_out"]["format"] == 0.0
    assert any("format" in warning for warning in facts["warnings"])
    shutil.rmtree(whole)


def test_only_words_are_followed_by_questions(made, tmp_path):
    """While looking alone is trained the heads are asked, and nothing is said."""
    done = stage.pretrain(None, tiny(tmp_path / "a", stages=(0.5, 0.0, 0.0, 0.5)))
    curve = [msgspec.json.decode(row) for row in (done / "metrics.jsonl").read_bytes().splitlines()]
    assert [row["loss"] > 0 for row in curve] == [False, False, True, True]
    assert "contact_auc" in curve[1]["metrics"]
    assert "contact_auc" not in curve[0]["metrics"]
    asked = (done / "measured.jsonl").read_bytes().splitlines()
    assert {msgspec.json.decode(row)["step"] for row in asked} == {4}


def test_another_seed_gives_another_model(made, tmp_path):
    first = stage.pretrain(None, tiny(tmp_path / "a", "transcript", steps=1))
    second = stage.pretrain(None, tiny(tmp_path / "b", "transcript", steps=1, seed=1))
    assert load_policy(first / "model").digest != load_policy(second / "model").digest


def test_only_a_world_folder_is_taken_as_an_example(tmp_path):
    with pytest.raises(UserError, match="world"):
        stage.pretrain(tmp_path, tiny(tmp_path / "out"))


def test_a_world_folder_gives_its_settings(tmp_path):
    metadata = {
        "stage": "world",
        "config": {
            "size": "96x64", "frames": 8, "objects_min": 3, "objects_max": 4, "collisions_min": 1,
            "collisions_max": 2, "plain_looks": True, "radius": 0.25, "near_miss": 0.4,
        },
    }  # fmt: skip
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(metadata))
    pool = stage._like(tmp_path, dataclasses.replace(POOL, softest=0.5))
    assert (pool.width, pool.height, pool.frames) == (96, 64, 8)
    assert (pool.objects_min, pool.objects_max, pool.radius) == (3, 4, 0.25)
    assert (pool.near_miss, pool.softest) == (0.4, 0.15)  # no softest was told: the default of then
    assert pool.scenes == POOL.scenes
    metadata["config"]["length"] = 192
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(metadata))
    with pytest.raises(UserError, match="its videos have length=192; pretraining simulates 128"):
        stage._like(tmp_path, POOL)


@pytest.mark.parametrize(
    "changes",
    [{"stages": (1.0, 1.0, 0.0, 0.0)}, {"steps": 0}, {"corrupted_share": 1.5}, {"tier": "sound"}],
)
def test_bad_settings_are_refused(tmp_path, changes):
    with pytest.raises(UserError):
        tiny(tmp_path, **changes)


def test_a_scene_dial_out_of_bounds_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError, match="near_miss=4"):
        stage.pretrain(None, tiny(tmp_path / "run", pool=dataclasses.replace(POOL, near_miss=4)))
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_not_there_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="'cuda' came, but 0 CUDA"):
        stage.pretrain(None, tiny(tmp_path / "out", "transcript", device="cuda"))
    assert not (tmp_path / "out").exists()


def test_the_scenes_are_sampled_with_the_pools_dials():
    sampled = scene_config(dataclasses.replace(POOL, softest=0.5, near_miss=0.4))
    assert (sampled.softest, sampled.near_miss) == (0.5, 0.4)


def test_frames_must_divide_into_tokens(tmp_path):
    with pytest.raises(UserError, match="multiples of 16"):
        tiny(tmp_path, pool=dataclasses.replace(POOL, width=40))


def test_only_a_layer_that_is_there_is_asked(tmp_path):
    with pytest.raises(UserError, match="probe_layer"):
        tiny(tmp_path, shape=dataclasses.replace(SHAPE, probe_layer=3))


def test_the_rate_rises_stays_and_falls_to_nothing(tmp_path):
    config = tiny(tmp_path, steps=90, warmup=10, decay=1 / 3)
    rates = [schedule(step, config) for step in range(90)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:60] == [1.0] * 50
    assert rates[75] == pytest.approx(0.5)
    assert rates[89] == pytest.approx(1 / 30)


def record(probe, text, truth="", *, exact=0.0, shortcut=None):
    return Measured(
        step=1, probe=probe, scene=0, question="?", gold=("A",), text=text, format=True,
        exact=exact, shortcut=shortcut, truth=truth,
    )  # fmt: skip


def test_numbers_come_from_the_models_own_words():
    said = record(
        "collisions",
        "<think>Seen: a b BlueRed c CyanRed d. A CyanGray no.</think>",
        "BlueRed, CyanGray",
    )
    lines = record("objects", "<think>Track: blue aa ab gone, red cc cc cd.</think>",
                   "blue aa ac gone, red cc cc gone")  # fmt: skip
    free = [
        record("what-if free", "<think>Without red: none.", exact=1.0, shortcut=True),
        record("what-if free", "<think>Seen: none.", exact=0.0, shortcut=False),
        record("what-if free", "<think>Seen: none.", exact=1.0, shortcut=False),
    ]
    numbers = summary([said, lines, *free])
    assert numbers["pairs_precision"] == 0.5
    assert numbers["pairs_recall"] == 0.5
    assert numbers["object_sets_exact"] == 1.0
    assert numbers["cells_exact"] == pytest.approx(4 / 6, abs=1e-4)
    assert numbers["cells_within_one"] == pytest.approx(5 / 6, abs=1e-4)
    assert numbers["what_if_free_observational"] == 1.0
    assert numbers["what_if_free_inferential"] == 0.5
    assert numbers["simulated_share_free"] == pytest.approx(1 / 3, abs=1e-4)
