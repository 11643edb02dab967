"""Asking: every sample recorded once, the same whether interrupted or not, failures kept."""

from dataclasses import replace

import av
import pytest
import torch

from tests.answering_toys import ask_about, write_video
from tests.chat_server import CUT, ChatServer, words
from videothinker.answering import ask as room
from videothinker.answering.ask import answer_questions, batches, read_frames
from videothinker.answering.endpoint import EndpointConfig
from videothinker.answering.placing import load, place
from videothinker.answering.reading import read
from videothinker.benchmarks.catalog import resolve
from videothinker.benchmarks.protocols import render
from videothinker.errors import UserError
from videothinker.generation.base import Sampling, generate
from videothinker.seeds import derive

DEMO = resolve("demo", "jsonl", frames=4, max_new_tokens=6)
HOT = replace(DEMO, temperature=1.0)


def questions() -> list:
    return [
        ask_about(0, "a.mp4"),
        ask_about(1, "b.mp4"),
        ask_about(2, "a.mp4"),
        ask_about(3, "missing.mp4"),
        ask_about(4, "text.mp4"),
        ask_about(5, "../a.mp4"),
        ask_about(6, "a.mp4", clip=(0.5, 1.5)),
        ask_about(7, None, context="Objects: red cube.\nFrame 0: red cube at (0, 0)."),
    ]


def test_every_question_has_its_samples_and_failures_stay(tiny_policy, videos, tmp_path, journal):
    samples_file = journal(tmp_path / "samples.jsonl")
    found = answer_questions(
        tiny_policy, questions(), videos, HOT, samples=2, seed=5, journal=samples_file, rows=6
    )
    assert [(s.question_id, s.seed) for s in found] == [
        (q.id, seed) for q in questions() for seed in (5, 6)
    ]
    failed = {s.question_id: s.error for s in found if s.verdict == "failed"}
    assert set(failed) == {"toy/3", "toy/4", "toy/5"}
    assert "missing" in failed["toy/3"]
    assert "outside" in failed["toy/5"]
    good = [s for s in found if s.verdict != "failed"]
    assert {(s.frames, s.protocol, s.model) for s in good if s.question_id != "toy/7"} == {
        (4, HOT.key, tiny_policy.digest)
    }
    assert all(s.prompt_tokens > 10 for s in good)
    assert all(s.height > 0 for s in good if s.question_id != "toy/7")
    assert [s.frames for s in good if s.question_id == "toy/7"] == [0, 0]
    assert len({s.text for s in good}) > 4


def test_a_short_video_shows_all_it_has_and_says_how_many(tiny_policy, tmp_path, journal):
    """Asked for 8: of 5 frames, of one, and of the two that a clip has."""
    for count in (5, 1):
        write_video(tmp_path / f"{count}.mp4", 0, frames=count)
    asked = [
        ask_about(0, "5.mp4"),
        ask_about(1, "1.mp4"),
        ask_about(2, "5.mp4", clip=(0.0, 0.1)),
    ]
    eight = replace(DEMO, frames=8)
    for variant in ("full", "one_frame", "shuffled"):
        samples_file = journal(tmp_path / variant / "samples.jsonl")
        found = answer_questions(
            tiny_policy, asked, tmp_path, eight, variant=variant, journal=samples_file
        )
        assert [s.frames for s in found] == [5, 1, 2]
        assert all(s.verdict != "failed" for s in found)


def test_one_bad_name_is_one_failed_record(tiny_policy, videos, tmp_path, journal):
    names = ["a\0.mp4", "n" * 400, "a.mp4/b", "."]
    asked = [ask_about(i, name) for i, name in enumerate([*names, "a.mp4"])]
    samples_file = journal(tmp_path / "samples.jsonl")
    found = answer_questions(tiny_policy, asked, videos, DEMO, journal=samples_file)
    assert [s.verdict == "failed" for s in found] == [True] * 4 + [False]


def test_a_video_beyond_its_budget_is_one_failed_record(tiny_policy, tmp_path, journal):
    """By the same two settings that `evaluate` and `diagnose` have as flags."""
    for name, size in (("large.mp4", 8000), ("a.mp4", 64)):
        with av.open(tmp_path / name, "w") as out:
            stream = out.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
            for _ in range(2):
                out.mux(stream.encode(av.VideoFrame(size, size, "yuv420p")))
            out.mux(stream.encode())
    asked = [ask_about(0, "large.mp4"), ask_about(1, "a.mp4")]
    for budget, says in ({"megabytes": 256}, "more than 256 MB"), ({"deadline": 1e-6}, "within"):
        samples_file = journal(tmp_path / says / "samples.jsonl")
        found = answer_questions(tiny_policy, asked, tmp_path, DEMO, journal=samples_file, **budget)
        assert found[0].verdict == "failed"
        assert says in str(found[0].error)
        assert (found[1].verdict == "failed") == ("deadline" in budget)


def test_links_are_followed_where_they_are_meant(tiny_policy, videos, tmp_path, journal):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/videos").symlink_to(videos)
    asked = [ask_about(0, "videos/a.mp4")]
    for follow in (False, True):
        samples_file = journal(tmp_path / f"{follow}/samples.jsonl")
        (sample,) = answer_questions(
            tiny_policy, asked, tmp_path / "data", DEMO, journal=samples_file, follow_links=follow
        )
        assert (sample.verdict == "failed") is not follow
        assert follow or "--follow-links" in str(sample.error)


def test_resumed_is_uninterrupted_at_every_cut(tiny_policy, videos, tmp_path, journal, monkeypatch):
    whole = journal(tmp_path / "whole" / "samples.jsonl")
    args = (tiny_policy, questions(), videos, HOT)
    first = answer_questions(*args, samples=2, journal=whole, rows=4)
    data = (tmp_path / "whole" / "samples.jsonl").read_bytes()
    calls: list[int] = []
    genuine = room.generate

    def counted(policy, prompts, sampling, seeds):
        calls.append(len(prompts))
        return genuine(policy, prompts, sampling, seeds)

    monkeypatch.setattr(room, "generate", counted)
    for cut in (0, 1, len(data) // 3, len(data) // 2, len(data) - 1, len(data)):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        (folder / "samples.jsonl").write_bytes(data[:cut])
        samples_file = journal(folder / "samples.jsonl")
        again = answer_questions(*args, samples=2, journal=samples_file, rows=4)
        assert again == first
        assert (folder / "samples.jsonl").read_bytes() == data
    assert calls, "nothing was recomputed"
    calls.clear()
    answer_questions(*args, samples=2, journal=journal(tmp_path / "cut0" / "samples.jsonl"))
    assert not calls, "a finished journal was computed again"


def test_shared_batches_say_what_single_questions_say(tiny_policy, videos, tmp_path, journal):
    """Against the plain loop: one question, one prompt, transformers' own generate."""
    asked = [ask_about(i, "ab"[i % 2] + ".mp4") for i in range(6)]
    together = answer_questions(
        tiny_policy, asked, videos, DEMO, journal=journal(tmp_path / "samples.jsonl")
    )
    model = tiny_policy.model
    for question, sample in zip(asked, together, strict=True):
        clip = read_frames(videos, question.video, DEMO)
        shown = tiny_policy.to_video(clip.frames, clip.seconds)
        prompt = tiny_policy.encode(render(DEMO, question), shown)
        ids = prompt.input_ids_P[None]
        with torch.no_grad():
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values_videos=prompt.video.pixel_values,
                video_grid_thw=prompt.video.grid_thw,
                position_ids=tiny_policy.positions(prompt)[:, None],
                max_new_tokens=6,
                do_sample=False,
            )
        new = out[0, ids.shape[1] :]
        assert tiny_policy.tokenizer.decode(new, skip_special_tokens=True) == sample.text
        assert sample.prompt_tokens == ids.shape[1]


def test_variants_change_what_is_seen_and_nothing_else(tiny_policy, videos, tmp_path, journal):
    asked = [ask_about(0, "a.mp4"), ask_about(1, "b.mp4")]
    samples_file = journal(tmp_path / "samples.jsonl")
    tokens = {}
    for variant in ("full", "struck", "blind", "one_frame", "shuffled", "options_only"):
        found = answer_questions(
            tiny_policy, asked, videos, DEMO, variant=variant, journal=samples_file
        )
        tokens[variant] = [(s.frames, s.prompt_tokens) for s in found]
    assert tokens["full"] == tokens["one_frame"] == tokens["shuffled"]
    assert tokens["blind"][0][0] == tokens["options_only"][0][0] == 0
    assert tokens["struck"][0][1] < tokens["full"][0][1]
    assert len(samples_file.records) == 12


def test_batches_keep_a_video_together():
    asked = [ask_about(i, f"{i % 3}.mp4") for i in range(12)]
    cut = list(batches(asked, "full", 6))
    assert [len({q.video for q in part}) for part in cut] == [1, 1, 1]
    assert sorted(q.id for part in cut for q in part) == sorted(q.id for q in asked)
    assert [len(part) for part in batches(asked, "full", 3)] == [3, 1, 3, 1, 3, 1]
    assert [len(part) for part in batches(asked, "blind", 5)] == [5, 5, 2]
    assert [len(part) for part in batches(asked, "full", 99, videos=2)] == [8, 4]


def test_bad_settings_are_refused(tiny_policy, videos, tmp_path, journal):
    samples_file = journal(tmp_path / "samples.jsonl")
    one = ask_about(0, "a.mp4")
    with pytest.raises(UserError, match="twice"):
        answer_questions(tiny_policy, [one, one], videos, DEMO, journal=samples_file)
    with pytest.raises(UserError, match="temperature"):
        answer_questions(tiny_policy, [one], videos, DEMO, samples=2, journal=samples_file)
    bare = ask_about(1, "a.mp4", question_struck=None)
    with pytest.raises(UserError, match="no premise"):
        answer_questions(tiny_policy, [bare], videos, DEMO, variant="struck", journal=samples_file)
    assert not samples_file.records


def test_a_protocol_with_a_rate_takes_an_even_number_of_frames(videos):
    """24 frames at 12 a second are 2 s: at 2 frames a second 4, at 3.9 (7.8) 6, at 4 8."""
    for rate, frames in ((2.0, 4), (3.9, 6), (4.0, 8), (100.0, 8)):
        protocol = replace(DEMO, fps=rate, frames=8)
        assert len(read_frames(videos, "a.mp4", protocol).frames) == frames
    cut = read_frames(videos, "a.mp4", replace(DEMO, clip=True), clip=(1.0, 2.0))
    assert cut.times[0] >= 1.0
    whole = read_frames(videos, "a.mp4", replace(DEMO, clip=False), clip=(1.0, 2.0))
    assert whole.times[0] == 0.0


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>A</answer>", ("A",)),
        ("<answer>A</answer> no <answer>B</answer>", ("A",)),
        ("B", ("B",)),
        ("<answer>A.</answer>", None),
        ("<answer>A, C</answer>", None),
        ("It is <b>B</b>", None),
        ("<answer>D</answer>", None),
    ],
)
def test_the_authors_reading_is_equality_of_strings(text, answer):
    protocol = resolve("reference", "jsonl")
    assert read(protocol, ask_about(0, "a.mp4"), text, truncated=False).answer == answer


def test_published_labels_and_prefilled_answers_are_read():
    pair = ask_about(
        0,
        "a.mp4",
        choices=("a dog", "a cat"),
        answer=("B",),
        groups={"labels": "Option 1|Option 2"},
    )
    official = resolve("official", "tempcompass")
    for text in ("Option 2", "Option 2: a cat", "B", "<answer>Option 2</answer>", "a cat"):
        assert read(official, pair, text, truncated=False).answer == ("B",), text
    mvbench = resolve("official", "mvbench")
    for text in ("B", "B) the blue sphere", "B)", "(B)"):
        assert read(mvbench, ask_about(0, "a.mp4"), text, truncated=False).answer == ("B",), text
    opened = replace(resolve("videothinker", "jsonl"), prefill="<think>")
    said = read(opened, ask_about(0, "a.mp4"), "x</think><answer>A</answer>", truncated=False)
    assert said.format
    assert said.thinking == "x"


def test_samples_are_the_streams_of_one_seed(tiny_policy, videos, tmp_path, journal):
    """Sample i is stream i of the question's seed, whatever is asked beside it."""
    asked = [ask_about(0, "a.mp4"), ask_about(1, "a.mp4")]
    both = answer_questions(
        tiny_policy, asked, videos, HOT, samples=3, journal=journal(tmp_path / "1.jsonl")
    )
    alone = answer_questions(
        tiny_policy, asked[1:], videos, HOT, samples=2, journal=journal(tmp_path / "2.jsonl")
    )
    assert [s.text for s in both[3:5]] == [s.text for s in alone]
    clip = read_frames(videos, "a.mp4", HOT)
    shown = tiny_policy.to_video(clip.frames, clip.seconds)
    prompt = tiny_policy.encode(render(HOT, asked[1]), shown)
    seed = derive(0, "answer", "full", "toy/1")
    (group,) = generate(tiny_policy, [prompt], Sampling(2, 6), [seed])
    assert tiny_policy.decode(group) == [s.text for s in alone]


STRICT = {
    "<think>x</think><answer>A</answer>": ("ok", 1.0, 1.0, 1.0, ("A",)),
    "Final answer: A": ("unparsed", 0.0, 0.0, 0.0, ("A",)),
    "<think>It must be A": ("truncated", 0.0, 0.0, 0.0, None),
    "<think>x</think><answer>A, B</answer>": ("ok", 0.0, 0.0, 1.0, ("A", "B")),
}


def test_strict_reading_is_scored_and_lenient_only_kept(videos, journal):
    """A server on the loopback says what the model would."""
    texts = list(STRICT)

    def says(body: dict) -> str:
        (text,) = (text for i, text in enumerate(texts) if f"removed? {i}" in words(body))
        return text + CUT if "must be" in text else text

    asked = [ask_about(i, "a.mp4", answer=("A",)) for i in range(len(texts))]
    samples_file = journal(videos / "strict.jsonl")
    with ChatServer(says) as server:
        model = load(place("big", "auto", "auto", EndpointConfig(endpoint=server.url)))
        for sample in answer_questions(model, asked, videos, DEMO, journal=samples_file):
            found = (sample.verdict, sample.exact, sample.soft, sample.format, sample.lenient)
            assert found == STRICT[sample.text]
            assert sample.prompt_tokens == len(words(server.bodies[0]).split())


def test_a_video_is_read_once_for_each_of_its_clips(tiny_policy, videos, journal, monkeypatch):
    reads: list[object] = []
    genuine = room.read_frames

    def counted(root, video, protocol, *, clip, **settings):
        reads.append((video, clip))
        return genuine(root, video, protocol, clip=clip, **settings)

    monkeypatch.setattr(room, "read_frames", counted)
    clips = [None, (0.0, 0.9), (1.0, 1.9), None, (0.0, 0.9)]
    asked = [ask_about(i, "a.mp4", clip=clip) for i, clip in enumerate(clips)]
    samples_file = journal(videos / "clips.jsonl")
    answer_questions(tiny_policy, asked, videos, DEMO, journal=samples_file)
    assert reads == [("a.mp4", None), ("a.mp4", (0.0, 0.9)), ("a.mp4", (1.0, 1.9))]


def test_a_real_clip_gets_the_frames_and_sizes_of_the_facts(shared, tiny_policy):
    """The authors' reader: 10 frames of 392 x 252; the paper's settings: 32 of 476 x 308."""
    for name, frames, size in (("reference", 10, (252, 392)), ("videothinker", 32, (308, 476))):
        protocol = resolve(name, "clevrer")
        clip = read_frames(shared / "clevrer", "video_12176.mp4", protocol)
        assert len(clip.frames) == frames
        video = tiny_policy.to_video(
            clip.frames[:2],
            clip.seconds,
            min_pixels=protocol.min_pixels,
            max_pixels=protocol.max_pixels,
        )
        assert (video.height, video.width) == size
