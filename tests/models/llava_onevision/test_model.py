"""Another family through the same room: LLaVA-OneVision."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.answering_toys import ask_about
from tests.models.llava_onevision.tiny import build_llava
from videothinker.answering.ask import answer_questions, read_frames
from videothinker.answering.config import AskConfig
from videothinker.answering.protocols import render, resolve
from videothinker.answering.single import ask
from videothinker.diagnosis.config import DiagnoseConfig
from videothinker.diagnosis.stage import diagnose
from videothinker.errors import UserError
from videothinker.models.catalog import load_model, load_policy
from videothinker.records import Sample, read_jsonl, write_jsonl

DEMO = resolve("demo", "jsonl", frames=3, max_new_tokens=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llava(tmp_path_factory.mktemp("llava") / "onevision")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Any:
    return load_model(folder)


def test_it_is_asked_in_the_same_room(plain, videos, tmp_path, journal):
    asked = [ask_about(0, "a.mp4"), ask_about(1, "b.mp4"), ask_about(2, "gone.mp4")]
    book = journal(tmp_path / "samples.jsonl")
    found = answer_questions(plain, asked, videos, DEMO, journal=book)
    assert [s.verdict == "failed" for s in found] == [False, False, True]
    # 42 / 14 = 3 patches a side, pooled to 2: 3 frames x 4 + 1 video tokens
    clip = read_frames(videos, "a.mp4", DEMO)
    prompt = plain.encode(render(DEMO, asked[0]), plain.to_video(clip.frames, clip.seconds))
    assert int((prompt.input_ids_P == plain.model.config.video_token_id).sum()) == 13
    assert (found[0].frames, found[0].height, found[0].width) == (3, 42, 42)
    assert found[0].prompt_tokens == prompt.prompt_tokens
    assert answer_questions(plain, asked, videos, DEMO, journal=book) == found
    for variant in ("blind", "shuffled", "struck"):
        assert answer_questions(plain, asked[:2], videos, DEMO, variant=variant, journal=book)


def test_what_it_sees_matters_and_is_what_pillow_resizes(plain, videos):
    clip = read_frames(videos, "a.mp4", DEMO)
    video = plain.to_video(clip.frames, clip.seconds)
    by_hand = np.asarray(Image.fromarray(clip.frames[1]).resize((42, 42), Image.Resampling.BICUBIC))
    expected = torch.tensor(by_hand / 127.5 - 1).permute(2, 0, 1).float()
    torch.testing.assert_close(video.values_TCHW[1], expected)
    prompt = plain.encode("Which?", video)
    black = plain.encode("Which?", plain.to_video(clip.frames * 0, clip.seconds))
    with torch.no_grad():
        logits = [
            plain.model(
                input_ids=p.input_ids_P[None], pixel_values_videos=p.video.values_TCHW[None]
            ).logits[0, -1]
            for p in (prompt, black)
        ]
    assert not torch.allclose(*logits)


def test_its_samples_are_seeded(plain, videos, tmp_path, journal):
    hot = resolve("demo", "jsonl", frames=3, max_new_tokens=5, temperature=1.0)
    asked = [ask_about(0, "a.mp4")]
    runs = [
        [
            s.text
            for s in answer_questions(
                plain, asked, videos, hot, samples=3, seed=seed, journal=journal(tmp_path / name)
            )
        ]
        for name, seed in (("1.jsonl", 0), ("2.jsonl", 0), ("3.jsonl", 1))
    ]
    assert runs[0] == runs[1] != runs[2]
    assert len(set(runs[0])) > 1


def test_ask_takes_it(folder: Path, videos: Path) -> None:
    config = AskConfig(model=str(folder), choice=("yes", "no"), frames=3, max_new_tokens=5)
    found = ask(videos / "a.mp4", "Without the sphere?", config)
    assert (found.frames, found.height, found.width) == (3, 42, 42)
    # 13 video tokens and the line's end after them; one axis counts every token
    assert found.first_text_position == found.video_position + 13
    assert found.last_text_position == found.prompt_tokens - 1
    assert found.second_per_grid is None


def test_probing_takes_it(folder: Path, videos: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(videos / name, tmp_path)
    asked = [ask_about(0, "a.mp4"), ask_about(1, "b.mp4")]
    write_jsonl(tmp_path / "questions.jsonl", asked)
    config = DiagnoseConfig(
        out=tmp_path / "out",
        probe=str(folder),
        samples=2,
        max_new_tokens=4,
        probes=("full", "one_frame", "blind"),
    )
    samples = read_jsonl(diagnose(tmp_path / "questions.jsonl", config) / "samples.jsonl", Sample)
    found = [(s.question_id.partition("#")[0], s.variant, s.frames) for s in samples]
    assert sorted(found) == sorted(
        (question.id, variant, frames)
        for question in asked
        for variant, frames in (("full", 24), ("one_frame", 24), ("blind", 0))
        for _ in range(2)
    )
    assert not any(sample.verdict == "failed" for sample in samples)


def test_only_what_trains_is_a_policy(folder: Path) -> None:
    with pytest.raises(UserError, match="LLaVA-OneVision, which can be asked but not trained"):
        load_policy(folder)
