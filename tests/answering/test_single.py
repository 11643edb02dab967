"""`videothinker ask --json`: what the model was shown and where it stood, by hand."""

import io
import json
import re

import pytest

from tests.answering_toys import build_tiny
from videothinker import cli
from videothinker.answering import single
from videothinker.models.catalog import load_policy
from videothinker.records import Sample, read_jsonl
from videothinker.video import read_clip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("model"))


def test_ask_prints_times_and_positions(model, videos, tmp_path, capsys):
    """24 frames at 12 a second last 2 s; 2 x 2 merged patches a frame, 2 positions a second.

    Grid steps lie at 0, 2 or at 0, 1, 2, 3: the text begins one after the last.
    """
    words = ["ask", str(videos / "a.mp4"), "Which?", "--choice", "a", "b", "--json"]
    words += ["--out", str(tmp_path / "s.jsonl"), "--model", str(model), "--max-new-tokens", "4"]
    for frames, seconds, text in ((4, 1.0, 3), (8, 0.5, 4)):
        assert cli.main([*words, "--frames", str(frames)]) == 0
        said = capsys.readouterr()
        told = json.loads(said.out)
        assert "note: a model of this size knows" in said.err
        assert (told["frames"], told["height"], told["width"]) == (frames, 56, 56)
        places = [round(i * 23 / (frames - 1)) / 12 for i in range(frames)]
        assert told["times"] == pytest.approx(places, abs=1e-6)
        assert told["second_per_grid"] == pytest.approx(seconds)
        assert told["first_text_position"] == told["video_position"] + text
        after = told["last_text_position"] - told["first_text_position"] + 1
        assert told["prompt_tokens"] == told["video_position"] + frames // 2 * 4 + after
    (sample,) = read_jsonl(tmp_path / "s.jsonl", Sample)
    assert (sample.text, sample.verdict) == (told["text"], told["verdict"])


@pytest.mark.parametrize(("frames", "seconds"), [(16, 0.64), (4, 2.56)])
def test_a_real_clip_lasts_all_its_frames(shared, model, frames, seconds):
    """CLEVRER: 128 frames at 25 a second, the last one's 0.04 s included."""
    clip = read_clip(shared / "clevrer", "video_12176.mp4", frames)
    video = load_policy(model).to_video(clip.frames, clip.seconds, max_pixels=64 * 28 * 28)
    assert video.second_per_grid == pytest.approx(seconds, abs=1e-9)


def test_a_question_without_choices_is_answered_in_free_text(model, videos, tmp_path, capsys):
    words = ["ask", str(videos / "a.mp4"), "What happens?", "--json", "--model", str(model)]
    assert cli.main([*words, "--max-new-tokens", "4", "--out", str(tmp_path / "s.jsonl")]) == 0
    told = capsys.readouterr()
    record = json.loads(told.out)
    assert (record["answer"], record["lenient"]) == (None, None)
    assert record["verdict"] in ("ok", "truncated")
    assert (record["exact"], record["soft"]) == (None, None)
    assert f"answer: {record['text'].strip()}" in told.err
    (sample,) = read_jsonl(tmp_path / "s.jsonl", Sample)
    assert sample.text == record["text"]


def test_a_chat_answers_each_line_as_ask_would(model, videos, tmp_path, capsys, monkeypatch):
    """Until an empty line; with choices behind bars."""
    said = "What happens?\nWhich? | a | b\n\nnever asked\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    flags = ["--model", str(model), "--max-new-tokens", "4", "--json"]
    out = tmp_path / "chat.jsonl"
    assert cli.main(["chat", str(videos / "a.mp4"), *flags, "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)["answers"]
    assert len(told) == len(read_jsonl(out, Sample)) == 2
    asked = (("What happens?", []), ("Which?", ["a", "b"]))
    for (question, choices), answer in zip(asked, told, strict=True):
        more = ["--choice", *choices] if choices else []
        assert cli.main(["ask", str(videos / "a.mp4"), question, *more, *flags]) == 0
        assert json.loads(capsys.readouterr().out) == answer


def test_a_pipe_goes_on_after_a_line_that_is_no_question(model, videos, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("Which? | a | a\nWhat happens?\n"))
    flags = ["--model", str(model), "--max-new-tokens", "4", "--json"]
    assert cli.main(["chat", str(videos / "a.mp4"), *flags]) == cli.WITH_FAILURES
    told = capsys.readouterr()
    assert len(json.loads(told.out)["answers"]) == 1
    assert re.search("line 1: choice 'a' .* 2 times", told.err)


def test_of_a_free_answer_in_tags_thinking_stands_apart(model, videos, capsys, monkeypatch):
    text = "<think>It rolls.</think><answer>To the left</answer>"
    real = single.load

    def load(placed):
        policy = real(placed)
        policy.decode = lambda group: [text]
        return policy

    monkeypatch.setattr(single, "load", load)
    flags = ["--model", str(model), "--max-new-tokens", "4"]
    assert cli.main(["ask", str(videos / "a.mp4"), "Where?", *flags]) == cli.DONE
    told = capsys.readouterr().err
    assert "thinking: It rolls.\nanswer: To the left" in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([" "], "question is empty: give text"),
        (["Which?", "--choice", "a", "a", ""], "choice C is empty: .*; choice 'a' comes 2 times"),
        (
            ["Which?", "--choice"],
            "ask: --choice came with nothing; give it a value or leave it out",
        ),
        (["Which \udcff?"], "bytes that are no UTF-8"),
        (["Which?", "--choice", *map(str, range(27))], "has 27 choices: at most 26"),
        (["Which?"], "v.mp4 is not in .*; give a video file"),
        (["Which?", "--choice", "a"], "one choice came: give two or more"),
    ],
)
def test_what_is_no_question_is_refused_before_the_model_is_read(words, says, capsys):
    assert cli.main(["ask", "v.mp4", *words, "--model", "none"]) == cli.USER_ERROR
    assert re.search(says, capsys.readouterr().err)


class Keyboard(io.StringIO):
    """A terminal with lines; of `^C` comes Ctrl-C."""

    def isatty(self) -> bool:
        return True

    def readline(self, size: int = -1, /) -> str:
        line = super().readline(size)
        if line == "^C\n":
            raise KeyboardInterrupt
        return line


def test_a_slip_at_a_terminal_ends_no_chat(model, videos, capsys, monkeypatch):
    """Nor does Ctrl-C while an answer is written; where none is, it does."""
    lines = "Which? | a | a\nlong\nWhat happens?\n^C\nnever asked\n"
    monkeypatch.setattr("sys.stdin", Keyboard(lines))
    true = single.generate

    def stopped(policy, prompts, *rest):
        if "long" in policy.tokenizer.decode(prompts[0].input_ids_P):
            raise KeyboardInterrupt
        return true(policy, prompts, *rest)

    monkeypatch.setattr(single, "generate", stopped)
    flags = ["--model", str(model), "--max-new-tokens", "4", "--json"]
    assert cli.main(["chat", str(videos / "a.mp4"), *flags]) == cli.DONE
    told = capsys.readouterr()
    assert len(json.loads(told.out)["answers"]) == 1
    assert re.search("choice 'a' .* 2 times", told.err)
    assert "> stopped" in told.err
