"""A served model as `ask` has it: what is sent, what is refused before anything is sent."""

import base64
import io
import json

import av
import numpy as np
import pytest
from PIL import Image

from tests.answering_toys import ask_about
from tests.chat_server import ChatServer, parts, words
from videothinker import cli
from videothinker.answering.ask import answer_questions
from videothinker.answering.endpoint import EndpointConfig
from videothinker.answering.placing import Elsewhere, load, place, read_key
from videothinker.answering.served import EndpointModel, fit
from videothinker.benchmarks.catalog import resolve
from videothinker.errors import UserError
from videothinker.generation.chat import Server
from videothinker.models.placement import AUTO
from videothinker.video import read_clip

KEY = "sk-0123456789-very-secret"


def served(kind: str) -> EndpointModel:
    server = Server("http://127.0.0.1:1/v1/chat/completions", None, 1.0)
    return EndpointModel(name="m", server=server, input=kind, requests=1, retries=0)


def pixels(url: str) -> np.ndarray:
    head, _, data = url.partition(";base64,")
    assert head == "data:image/jpeg"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def film(url: str) -> tuple[np.ndarray, float]:
    """Frames and seconds."""
    head, _, data = url.partition(";base64,")
    assert head == "data:video/mp4"
    with av.open(io.BytesIO(base64.b64decode(data))) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return np.stack(frames), float(stream.duration * stream.time_base)


@pytest.mark.parametrize(
    ("sides", "low", "high", "step", "expected"),
    [
        ((48, 64), None, None, 1, (48, 64)),
        ((48, 64), 100, 4000, 1, (48, 64)),
        ((100, 200), None, 5000, 1, (50, 100)),  # a quarter of the pixels: half of each side
        ((100, 200), 80_000, None, 1, (200, 400)),
        ((101, 51), None, None, 2, (100, 50)),
        ((1, 9), None, None, 2, (2, 8)),
        ((1080, 1920), None, 200_704, 2, (336, 596)),  # 336 and 597.3
    ],
)
def test_sides_keep_their_proportion_and_the_bounds(sides, low, high, step, expected):
    assert fit(*sides, low, high, step) == expected


def test_frames_arrive_as_they_are(videos):
    clip = read_clip(videos, "a.mp4", 4)
    video = served("images").to_video(clip.frames, clip.seconds)
    sent = [pixels(part["image_url"]["url"]) for part in video.parts]
    assert np.abs(np.stack(sent).astype(int) - clip.frames).mean() < 4  # noise
    assert (video.frames, video.height, video.width) == (4, 48, 64)
    assert video.words == "These are 4 frames of a video, about 0.67 s apart.\n"  # 2 s, 3 gaps
    told = served("images").to_video(clip.frames, clip.seconds, times=clip.times.tolist()).words
    assert told == "These are 4 frames of a video, about 0.64 s apart.\n"  # 23 / 12 s, 3 gaps
    one = served("images").to_video(clip.frames[:1], clip.seconds)
    assert one.words == "This is one frame of a video.\n"


def test_a_video_arrives_with_its_frames_and_length(videos):
    clip = read_clip(videos, "a.mp4", 8)
    video = served("video").to_video(clip.frames, clip.seconds)
    (part,) = video.parts
    frames, seconds = film(part["video_url"]["url"])
    assert np.abs(frames.astype(int) - clip.frames).mean() < 8  # noise, and halved colours
    assert seconds == pytest.approx(clip.seconds, abs=0.01)
    odd = served("video").to_video(clip.frames[:1, :47, :63], 0.0)
    assert (odd.height, odd.width) == (46, 62)


def test_what_is_shown_tells_prompts_apart(videos):
    clip, other = (read_clip(videos, name, 4) for name in ("a.mp4", "b.mp4"))
    one = served("images")
    shown = one.to_video(clip.frames, clip.seconds)
    told = [
        one.encode("Which?", shown),
        one.encode("Which?", one.to_video(other.frames, clip.seconds)),
        one.encode("Which?", one.to_video(clip.frames, 2 * clip.seconds)),
        one.encode("Which?", one.to_video(clip.frames, clip.seconds, max_pixels=1000)),
        one.encode("Which?", served("video").to_video(clip.frames, clip.seconds)),
        one.encode("What?", shown),
        one.encode("Which?", shown, system="Be brief."),
        one.encode("Which?"),
    ]
    assert len({prompt.digest for prompt in told}) == len(told)
    assert one.encode("Which?", one.to_video(clip.frames, clip.seconds)).digest == told[0].digest


def test_messages_hold_system_video_and_words_in_that_order(videos):
    clip = read_clip(videos, "a.mp4", 2)
    one = served("images")
    prompt = one.encode("Say <|im_end|>", one.to_video(clip.frames, 2.0), system="Be brief.")
    system, user = prompt.messages
    assert system == {"role": "system", "content": "Be brief."}
    assert [part["type"] for part in user["content"]] == ["image_url", "image_url", "text"]
    assert user["content"][-1]["text"].endswith("apart.\nSay < |im_end| >")
    assert one.encode("Which?").messages == ({"role": "user", "content": "Which?"},)
    with pytest.raises(UserError, match=r"begin with '<think>' through an endpoint.*--prefill"):
        one.encode("Which?", prefill="<think>")


@pytest.mark.parametrize("kind", ["images", "video"])
def test_ask_as_a_user(kind, videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VIDEOTHINKER_API_KEY", KEY)
    out = tmp_path / "sample.jsonl"
    command = ["ask", str(videos / "a.mp4"), "Which?", "--choice", "red", "blue", "--json"]
    command += ["--frames", "4", "--max-new-tokens", "9", "--out", str(out), "--model", "big"]
    with ChatServer(lambda body: "<think>I see.</think><answer>B</answer>") as server:
        command += ["--endpoint", server.url, "--endpoint-input", kind]
        assert cli.main(command) == 0
    (body,) = server.bodies
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("big", 9, 0.0)
    assert "A. red\nB. blue" in words(body)
    if kind == "images":
        assert [pixels(url).shape for url in parts(body)] == [(48, 64, 3)] * 4
    else:
        assert film(parts(body)[0])[0].shape == (4, 48, 64, 3)
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["answer"], found["verdict"], found["device"]) == (
        *(["B"], "ok"),
        f"endpoint ({kind})",
    )
    assert (found["model"], found["frames"]) == (f"big, served, {kind}", 4)
    assert found["prompt_tokens"] == len(words(body).split())
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    spent = f"answers 1, prompt tokens {found['prompt_tokens']}, completion tokens 2\n"
    assert f"endpoint: {spent}" in told.err
    assert KEY not in told.out + told.err + out.read_text()


def test_ask_says_what_the_server_said(videos, capsys):
    command = ["ask", str(videos / "a.mp4"), "Which?", "--choice", "red", "blue", "--model", "big"]
    with ChatServer(acts=lambda body, before: "refuse video") as server:
        assert cli.main([*command, "--endpoint", server.url]) == 2
    assert "400 Bad Request: at most 0 image(s) are taken" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/v1", "allowed is http:// or https://"),
        ("file:///etc/passwd", "allowed is http:// or https://"),
        ("localhost:8000/v1", "allowed is http:// or https://"),
        ("http://", "allowed is"),
        ("http://host:port/v1", "is no URL"),
        (f"http://host..name/{'x' * 9}", "names no host"),
        ("http://host/v 1", "characters that no URL has"),
        ("http://host/v1\r\nX: y", "characters that no URL has"),
        (f"https://me:{KEY}@host/v1", "name, key or query"),
        (f"https://host/v1?key={KEY}", "name, key or query"),
    ],
)
def test_only_plain_urls_are_taken(url, words):
    with pytest.raises(UserError, match=words) as caught:
        EndpointConfig(endpoint=url)
    assert KEY not in str(caught.value)


def test_the_url_of_the_completions():
    for given in ("http://h/v1", "http://h/v1/", "http://h/v1/chat/completions"):
        assert EndpointConfig(endpoint=given).url == "http://h/v1/chat/completions"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("endpoint_requests", 0),
        ("endpoint_retries", -1),
        ("endpoint_timeout", 0.0),
        ("endpoint_timeout", float("nan")),
        ("endpoint_key_variable", KEY),
    ],
)
def test_bad_settings_are_refused_without_showing_a_key(name, value):
    with pytest.raises(UserError, match=name) as caught:
        EndpointConfig(**{name: value})
    assert KEY not in str(caught.value)


def test_a_setting_of_a_server_needs_one() -> None:
    with pytest.raises(UserError, match="endpoint_input came without an endpoint"):
        EndpointConfig(endpoint_input="video")


def test_the_key_comes_from_the_environment_alone(monkeypatch):
    monkeypatch.delenv("VIDEOTHINKER_API_KEY", raising=False)
    assert read_key("VIDEOTHINKER_API_KEY") is None
    with pytest.raises(UserError, match="OTHER_KEY is not set"):
        read_key("OTHER_KEY")
    monkeypatch.setenv("OTHER_KEY", f" {KEY}\n")
    assert read_key("OTHER_KEY") == KEY
    for bad in (f"{KEY}\nX: y", "two words", "schlüssel"):
        monkeypatch.setenv("OTHER_KEY", bad)
        with pytest.raises(UserError, match="characters that no key has") as caught:
            read_key("OTHER_KEY")
        assert bad not in str(caught.value)


def test_a_key_on_an_open_line_is_warned_of(monkeypatch):
    monkeypatch.setenv("VIDEOTHINKER_API_KEY", KEY)
    for url, lines in (("http://far.example/v1", 2), ("https://far.example/v1", 1)):
        placed = place("big", AUTO, AUTO, EndpointConfig(endpoint=url))
        assert isinstance(placed, Elsewhere)
        assert len(placed.lines) == lines
        assert KEY not in f"{placed.lines} {placed}"
    assert len(place("big", AUTO, AUTO, EndpointConfig(endpoint="http://localhost/v1")).lines) == 1


def test_a_recipe_sets_an_endpoint_and_a_flag_beats_it(tmp_path):
    recipe = tmp_path / "served.yaml"
    recipe.write_text("endpoint: http://h/v1\nendpoint_requests: 3\nmodel: big\n")
    words_ = ["evaluate", "--data", "d", "--config", str(recipe), "--endpoint-requests", "4"]
    _, (_, config), _ = cli.parse(words_)
    assert config.served == EndpointConfig(endpoint="http://h/v1", endpoint_requests=4)


def test_a_server_that_refuses_many_in_a_row_refuses_them_all(videos, tmp_path, journal):
    """Two batches of 32: the first is answered, of the second nothing. Of one it is recorded."""
    asked = [ask_about(i, None, context="Frame 0: a red cube.") for i in range(64)]
    demo = resolve("demo", "jsonl")
    for first in (32, 1):
        samples_file = journal(tmp_path / f"{first}.jsonl")
        with ChatServer(acts=lambda body, n: "answer" if n < 32 else "nothing") as server:
            model = load(place("big", AUTO, AUTO, EndpointConfig(endpoint=server.url)))
            questions = asked[: 32 + first]
            if first == 1:
                found = answer_questions(model, questions, videos, demo, journal=samples_file)
                assert [s.verdict == "failed" for s in found] == [False] * 32 + [True]
                continue
            with pytest.raises(UserError, match="answered none of 32 requests"):
                answer_questions(model, questions, videos, demo, journal=samples_file)
            assert len(samples_file.records) == 32


def test_a_device_is_the_servers_to_choose():
    with pytest.raises(UserError, match="device 'cuda' came with an endpoint"):
        place("big", "cuda", AUTO, EndpointConfig(endpoint="http://h/v1"))
