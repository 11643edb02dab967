"""Questions about one video, from the command line or from Python: one, or one after another."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from videothinker.answering.config import AskConfig, ChatConfig
from videothinker.answering.pixels import tell_far
from videothinker.answering.placing import Elsewhere, load, place
from videothinker.answering.served import EndpointModel, cost_line, tally
from videothinker.answers import Parsed, blocks, parse, record
from videothinker.budget import limits
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.files import not_there
from videothinker.generation.base import Sampling, generate
from videothinker.lists import options
from videothinker.models.base import Model, Prompt, Video
from videothinker.models.placement import Placement
from videothinker.prompts import neutralise, render
from videothinker.records import Sample, encode, write_alone
from videothinker.seeds import derive
from videothinker.video import Clip, read_clip

SMALL = 100_000_000
"""Parameters below which a model knows the world it was trained on and hardly another."""
SEPARATOR = "|"
"""In a chat, between a question and its choices."""
LEAVE = ("exit", "quit")


class AskResult(Sample, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answer, where video and words stood, and how it was computed: what `--json` prints."""

    exact: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    """Null: what is right is not known."""
    soft: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    """Null, too."""
    times: tuple[float, ...]
    """When the frames are shown, seconds."""
    second_per_grid: float | None
    """How long one step of the video's temporal grid lasts, seconds; null without such a grid."""
    device: str
    """Where the model ran."""
    dtype: str
    """The numbers it ran in."""
    video_position: int | None = None
    """Where the video begins on each axis; this and the next two null where it is not known."""
    first_text_position: int | None = None
    """Of the first token after the video."""
    last_text_position: int | None = None
    """Of the prompt's last token; the first of the completion is one further."""


class Chat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was said about one video: what `--json` prints."""

    answers: tuple[AskResult, ...]
    failures: int = 0
    """Lines of a pipe that were not answered."""


@dataclass(frozen=True)
class _Shown:
    """One video in front of one model."""

    config: AskConfig | ChatConfig
    placed: Placement | Elsewhere
    policy: Model
    clip: Clip
    video: Video


def ask(video: Path, question: str, config: AskConfig) -> AskResult:
    """Answer `question` about `video`; print resolved frames, size, tokens, thinking and answer.

    Without choices the answer is free text: the completion itself, and no letters.

    Raises:
        UserError: no question, or choices that cannot be told apart; the video cannot give the
            frames; or the model cannot be loaded.
    """
    _refuse(question, config.choice)
    shown = _show(video, config)
    prompt = _encode(shown, question, config.choice)
    _tell_prompt(video, shown, prompt)
    sample, found = _answer(shown, prompt, question, config.choice)
    if config.out is not None:
        write_alone(config.out, encode(sample))
    return found


def chat(video: Path, config: ChatConfig) -> Chat:
    """Answer the questions that come on stdin, one a line, each on its own, about one video.

    `question | first choice | second choice` gives choices. An empty line, `exit` or the end of
    the input ends it. The video is read and prepared once. A line that cannot be answered is
    told and the next one read; of a pipe it counts as a failure. On a terminal Ctrl-C stops an
    answer, and where none is written the chat.

    Raises:
        UserError: as `ask`, of the video and the model.
        KeyboardInterrupt: away from a terminal.
    """
    shown = _show(video, config)
    say(f"{video} is open; a question a line ({SEPARATOR} between choices), an empty line ends it")
    samples, found, failures = list[Sample](), list[AskResult](), 0
    for line, (question, choices) in enumerate(_questions(), 1):
        try:
            _refuse(question, choices)
            sample, answer = _answer(shown, _encode(shown, question, choices), question, choices)
        except (UserError, KeyboardInterrupt) as stopped:
            if sys.stdin.isatty():
                say(str(stopped) or "stopped")
                continue
            if isinstance(stopped, KeyboardInterrupt):
                raise
            say(f"line {line}: {stopped}")
            failures += 1
            continue
        samples.append(sample)
        found.append(answer)
        if config.out is not None:
            write_alone(config.out, b"".join(map(encode, samples)))
    return Chat(answers=tuple(found), failures=failures)


def _questions() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Question and choices of each line of stdin, up to an empty one."""
    while True:
        if sys.stdin.isatty():
            sys.stderr.write("> ")
            sys.stderr.flush()
        try:
            line = sys.stdin.readline().strip()
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            return
        if not line or line in LEAVE:
            return
        question, *choices = (part.strip() for part in line.split(SEPARATOR))
        yield question, tuple(choices)


def _refuse(question: str, choices: tuple[str, ...]) -> None:
    """Refuse what is no question, as a list of questions would.

    Raises:
        UserError: all that is wrong with it.
    """
    wrong = [] if question.strip() else [("question is empty", "give text")]
    wrong += options.faults(choices) if choices else ()
    if len(choices) == 1:
        wrong.append(("one choice came", "give two or more, or none for an answer in free text"))
    if any("\ud800" <= letter <= "\udfff" for letter in "".join((question, *choices))):
        wrong.append(("it holds bytes that are no UTF-8", "write it as that"))
    if wrong:
        raise UserError("; ".join(f"{what}: {mend}" for what, mend in wrong))


def _show(video: Path, config: AskConfig | ChatConfig) -> _Shown:
    if not os.path.lexists(video):
        raise UserError(f"{not_there(video)}; give a video file")
    clip = read_clip(video.parent, video.name, config.frames, **limits(config))
    placed = place(config.model, config.device, config.dtype, config.served)
    for line in placed.lines:
        say(line)
    if isinstance(placed, Placement) and placed.parameters < SMALL:
        say(
            "note: a model of this size knows the videos or transcripts and the kinds of question "
            "that it was trained on; to anything else it answers as well, by guessing"
        )
    policy = load(placed)
    seen = policy.to_video(
        clip.frames, clip.seconds, times=clip.times.tolist(), max_pixels=config.max_pixels
    )
    return _Shown(config, placed, policy, clip, seen)


def _encode(shown: _Shown, question: str, choices: tuple[str, ...]) -> Prompt:
    words = render(question, choices) if choices else neutralise(question)
    return shown.policy.encode(words, shown.video)


def _tell_prompt(video: Path, shown: _Shown, prompt: Prompt) -> None:
    frames, times = f"{prompt.frames} frames", shown.clip.times
    if prompt.frames == 1 and shown.video.second_per_grid is not None:
        frames = "1 frame, shown twice to fill a temporal patch,"
    counted = f"; {prompt.prompt_tokens} prompt tokens" if prompt.prompt_tokens else ""
    say(
        f"{video}: {frames} of {prompt.width}x{prompt.height} pixels, "
        f"{times[0]:.2f} to {times[-1]:.2f} s{counted}"
    )


def _answer(
    shown: _Shown, prompt: Prompt, question: str, choices: tuple[str, ...]
) -> tuple[Sample, AskResult]:
    """The completion, told to a person and as records."""
    config, policy, placed = shown.config, shown.policy, shown.placed
    sampling = Sampling(
        num_generations=1,
        max_completion_length=config.max_new_tokens,
        temperature=config.temperature,
    )
    (group,) = generate(policy, [prompt], sampling, [derive(config.seed, "ask", 0, question)])
    if group.errors:
        raise UserError(f"{placed.source} did not answer: {group.errors[0]}")
    if isinstance(policy, EndpointModel):
        say(cost_line(tally(policy.replies.values())))
    (text,) = policy.decode(group)
    parsed = _parsed(text, choices, truncated=bool(group.truncated_G[0]))
    _tell(text, parsed, choices)
    sample = record(
        "ask", text, parsed, group.prompt, model=policy.digest, protocol="ask", seed=config.seed
    )
    tell_far([sample], placed.folder)
    told = {**msgspec.structs.asdict(sample), "exact": None, "soft": None}
    return sample, AskResult(
        **told,
        times=tuple(shown.clip.times.tolist()),
        second_per_grid=shown.video.second_per_grid,
        device=placed.device,
        dtype=placed.dtype,
        **_where(policy, prompt),
    )


def _parsed(text: str, choices: tuple[str, ...], *, truncated: bool) -> Parsed:
    """The letters of a completion; of free text there are none to read."""
    read = parse(text, choices, truncated=truncated)
    if choices:
        return read
    verdict = "truncated" if truncated else "ok"
    return Parsed(read.thinking, None, None, verdict, read.format)


def _tell(text: str, parsed: Parsed, choices: tuple[str, ...]) -> None:
    if not choices and parsed.format:
        say(f"thinking: {parsed.thinking}")
        say(f"answer: {blocks(text, 'answer')[0].strip()}")
        return
    if not choices:
        say(f"answer: {text.strip()}{' (cut off)' if parsed.verdict == 'truncated' else ''}")
        return
    say(f"thinking: {parsed.thinking if parsed.thinking is not None else '(none)'}")
    letters = ", ".join(parsed.answer) if parsed.answer else "(none)"
    say(f"answer: {letters} ({parsed.verdict})")
    if parsed.verdict != "ok":
        say(f"the model wrote: {text!r}")


def _where(policy: Model, prompt: Prompt) -> dict[str, Any]:
    """Where the video begins and its words stand; nothing where that is not known."""
    places_XP = policy.positions(prompt)
    if places_XP is None:
        return {}
    places_P = places_XP[0].tolist()
    video_P = prompt.video_P.nonzero().flatten()
    return {
        "video_position": places_P[int(video_P[0])],
        "first_text_position": places_P[int(video_P[-1]) + 1],
        "last_text_position": places_P[-1],
    }
