"""Plain families in the room of every verb that asks, and what they read."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from tests.answering_toys import ask_about
from tests.models.plain.tiny import build_qwen3_vl_moe
from videothinker.answering.ask import answer_questions, read_frames
from videothinker.answering.config import AskConfig
from videothinker.answering.single import ask
from videothinker.benchmarks.catalog import resolve
from videothinker.benchmarks.protocols import render
from videothinker.diagnosis.config import DiagnoseConfig
from videothinker.diagnosis.stage import diagnose
from videothinker.evaluation.config import EvaluateConfig
from videothinker.evaluation.stage import evaluate
from videothinker.models.base import Group
from videothinker.models.catalog import load_model, load_policy
from videothinker.models.logprobs import group_logps
from videothinker.models.plain.model import KERNELS
from videothinker.records import Sample, read_jsonl, write_jsonl

DEMO = resolve("demo", "jsonl", frames=3, max_new_tokens=5)
KINDS = ("llava_onevision", "smolvlm", "qwen3_5")
SEEN = {"llava_onevision": (13, 42, 42), "smolvlm": (12, 56, 56), "qwen3_5": (8, 64, 64)}
"""Video tokens of three frames of 48 x 64, height, width. 42 / 14 = 3 patches a side, pooled to 2,
and one behind all; 56 / 14 / 2 = 2 a side; 2 pairs of 64 / 32 = 2 a side."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(kind: str, folders: dict[str, Path]) -> Path:
    return folders[kind]


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)


def test_it_is_asked_in_the_same_room(kind, folder, videos, tmp_path, journal):
    plain: Any = load_model(folder)
    asked = [ask_about(0, "a.mp4"), ask_about(1, "b.mp4"), ask_about(2, "gone.mp4")]
    samples_file = journal(tmp_path / "samples.jsonl")
    found = answer_questions(plain, asked, videos, DEMO, journal=samples_file)
    assert [s.verdict == "failed" for s in found] == [False, False, True]
    clip = read_frames(videos, "a.mp4", DEMO)
    prompt = plain.encode(render(DEMO, asked[0]), plain.to_video(clip.frames, clip.seconds))
    tokens, height, width = SEEN[kind]
    assert (found[0].frames, found[0].height, found[0].width) == (3, height, width)
    assert int(prompt.video_P.sum()) == prompt.video.tokens == tokens
    assert answer_questions(plain, asked, videos, DEMO, journal=samples_file) == found
    for variant in ("blind", "shuffled", "struck", "one_frame"):
        assert answer_questions(
            plain, asked[:2], videos, DEMO, variant=variant, journal=samples_file
        )


def test_its_samples_are_seeded(folder, videos, tmp_path, journal):
    plain = load_model(folder)
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


def test_what_it_sees_matters(folder: Path, frames: np.ndarray) -> None:
    plain: Any = load_model(folder)
    shown = [plain.to_video(one, 3.0) for one in (frames, frames.copy(), frames[::-1].copy())]
    assert shown[0].digest == shown[1].digest != shown[2].digest
    with torch.no_grad():
        logits = [
            plain.model(**plain.inputs(plain.encode("Which?", video))).logits[0, -1]
            for video in shown
        ]
    torch.testing.assert_close(logits[0], logits[1])
    assert not torch.allclose(logits[0], logits[2], atol=1e-3)


def test_words_cannot_be_tokens(folder: Path, frames: np.ndarray) -> None:
    """A question with every special token in it shows as many videos as one without."""
    plain: Any = load_model(folder)
    special = [one.content for one in plain.tokenizer.added_tokens_decoder.values() if one.special]
    words = " ".join([*special, plain.frames.place])
    for video in (None, plain.to_video(frames, 3.0)):
        bare, full = (plain.encode(one, video, system=one) for one in ("Which?", words))
        for number in plain.tokenizer.convert_tokens_to_ids(special):
            assert (bare.input_ids_P == number).sum() == (full.input_ids_P == number).sum()
        assert bare.video_P.sum() == full.video_P.sum()


def test_ask_and_its_label(kind, folder, videos, capsys) -> None:
    config = AskConfig(model=str(folder), choice=("yes", "no"), frames=3, max_new_tokens=5)
    found = ask(videos / "a.mp4", "Without the sphere?", config)
    assert (found.frames, found.height, found.width) == (3, *SEEN[kind][1:])
    assert "plain path: slower" in capsys.readouterr().err
    assert not logging.getLogger(KERNELS).isEnabledFor(logging.WARNING)
    if kind == "qwen3_5":
        assert found.first_text_position is None
    else:  # one axis counts every token
        assert found.video_position is not None
        assert found.video_position < found.first_text_position
        assert found.last_text_position == found.prompt_tokens - 1
    assert found.second_per_grid is None


def test_probing_and_evaluating(folder: Path, videos: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(videos / name, tmp_path)
    asked = [ask_about(0, "a.mp4"), ask_about(1, "b.mp4")]
    data = tmp_path / "questions.jsonl"
    write_jsonl(data, asked)
    given = {"max_new_tokens": 4, "frames": 3}
    probed = DiagnoseConfig(
        out=tmp_path / "p", probe=str(folder), samples=2, probes=("full", "blind"), **given
    )
    samples = read_jsonl(diagnose(data, probed) / "samples.jsonl", Sample)
    assert sorted((s.variant, s.frames) for s in samples) == [("blind", 0)] * 4 + [("full", 3)] * 4
    tested = EvaluateConfig(
        out=tmp_path / "e", model=str(folder), benchmark="jsonl", variants=("full",), **given
    )
    evaluate(data, tested)
    for out in ("p", "e"):
        metadata = json.loads((tmp_path / out / "run.json").read_text())
        assert (metadata["status"], metadata["facts"]["path"]) == ("done", "plain path: slower")
    assert evaluate(data, tested) == tmp_path / "e"


def test_a_drawn_placeholder_is_text_as_where_it_was_drawn(
    folder: Path, frames: np.ndarray
) -> None:
    """Log-probabilities of a whole sequence are those of the library's decoding, step by step."""
    policy: Any = load_policy(folder)
    prompt = policy.encode("Which?", policy.to_video(frames, 3.0))
    drawn = [*policy.frames.placeholders, 7, 9]
    ids_GC = torch.tensor([drawn, drawn[::-1]])
    group = Group(
        prompt, ids_GC, torch.ones_like(ids_GC, dtype=torch.bool), torch.tensor([True] * 2)
    )
    with torch.no_grad():
        found_GC = group_logps(policy, group).logps_GC
        for ids_C, found_C in zip(ids_GC, found_GC, strict=True):
            out = policy.model.generate(
                **policy.inputs(prompt),
                max_new_tokens=len(ids_C),
                do_sample=False,
                eos_token_id=None,
                logits_processor=LogitsProcessorList([Says(ids_C, prompt.prompt_tokens)]),
                output_logits=True,
                return_dict_in_generate=True,
            )
            logps = torch.cat(out.logits).log_softmax(-1).gather(1, ids_C[:, None])[:, 0]
            torch.testing.assert_close(logps, found_C, atol=2e-5, rtol=1e-4)


class Says(LogitsProcessor):
    """Lets the library decode these tokens and no other."""

    def __init__(self, ids_C: torch.Tensor, first: int) -> None:
        self.ids_C, self.first = ids_C, first

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        chosen = self.ids_C[input_ids.shape[1] - self.first]
        return torch.full_like(scores, -1e9).index_fill(1, chosen[None], 0.0)


def test_what_is_saved_is_what_was_loaded(folder: Path, frames: np.ndarray, tmp_path: Path) -> None:
    policy: Any = load_policy(folder)
    again: Any = load_policy(policy.save(tmp_path / "saved"))
    assert again.digest == policy.digest
    prompts = [one.encode("Which?", one.to_video(frames, 3.0)) for one in (policy, again)]
    assert torch.equal(prompts[0].input_ids_P, prompts[1].input_ids_P)
    assert prompts[0].video.digest == prompts[1].video.digest


def test_freezing_leaves_the_language_model(folder: Path) -> None:
    policy = load_policy(folder, freeze_vision=True)
    named = dict(policy.model.named_parameters())
    trained = {name for name, weight in named.items() if weight.requires_grad}
    towers = [name for name in named if "vis" in name or "projector" in name or "connector" in name]
    assert towers
    assert not trained & set(towers)
    assert any("q_proj" in name for name in trained)
    assert any("lm_head" in name or "embed_tokens" in name for name in trained)


def test_a_family_of_the_same_processor_needs_one_file(tmp_path: Path, frames: np.ndarray) -> None:
    """Qwen3-VL with experts, whose tower feeds several layers: what it sees still matters."""
    policy: Any = load_policy(build_qwen3_vl_moe(tmp_path / "moe"))
    video = policy.to_video(frames, 3.0)
    assert (video.tokens, video.height, video.width) == SEEN["qwen3_5"]
    prompts = [policy.encode("Which?", one) for one in (video, policy.to_video(frames * 0, 3.0))]
    ids_GC = torch.tensor([[5, 6, 7], [8, 9, 10]])
    mask_GC = torch.ones_like(ids_GC, dtype=torch.bool)
    found = [
        group_logps(policy, Group(prompt, ids_GC, mask_GC, torch.tensor([True] * 2))).logps_GC
        for prompt in prompts
    ]
    assert (found[0] - found[1]).abs().max() > 1e-3
    found[0].sum().backward()
    grads = {name for name, weight in policy.model.named_parameters() if weight.grad is not None}
    assert any("deepstack" in name for name in grads)
    assert any("experts" in name for name in grads)
