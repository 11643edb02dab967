"""One question about one video, from the command line or from Python."""

from pathlib import Path
from typing import Any

import msgspec

from videothinker.answering.config import AskConfig
from videothinker.answering.placing import load, place
from videothinker.answering.served import Served, cost_line, tally
from videothinker.answers import parse, record
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.generation.base import Sampling, generate
from videothinker.models.base import Model, Prompt
from videothinker.prompts import render
from videothinker.records import Sample, encode, write_alone
from videothinker.seeds import derive
from videothinker.video import read_clip


class AskResult(Sample, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answer, where video and words stood, and how it was computed: what `--json` prints."""

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


def ask(video: Path, question: str, config: AskConfig) -> AskResult:
    """Answer `question` about `video`; print resolved frames, size, tokens, thinking and answer.

    Raises:
        UserError: the video cannot give the frames, or the model cannot be loaded.
    """
    clip = read_clip(
        video.parent,
        video.name,
        config.frames,
        deadline=config.deadline,
        megabytes=config.decode_megabytes,
        follow_links=config.follow_links,
    )
    placed = place(config.model, config.device, config.dtype, config.served)
    for line in placed.lines:
        say(line)
    policy = load(placed)
    shown = policy.to_video(
        clip.frames, clip.seconds, times=clip.times.tolist(), max_pixels=config.max_pixels
    )
    prompt = policy.encode(render(question, config.choice), shown)
    frames = f"{prompt.frames} frames"
    if prompt.frames == 1 and shown.second_per_grid is not None:
        frames = "1 frame, shown twice to fill a temporal patch,"
    counted = f"; {prompt.prompt_tokens} prompt tokens" if prompt.prompt_tokens else ""
    say(
        f"{video}: {frames} of {prompt.width}x{prompt.height} pixels, "
        f"{clip.times[0]:.2f} to {clip.times[-1]:.2f} s{counted}"
    )
    sampling = Sampling(
        num_generations=1,
        max_completion_length=config.max_new_tokens,
        temperature=config.temperature,
    )
    (group,) = generate(policy, [prompt], sampling, [derive(config.seed, "ask", 0, question)])
    if group.errors:
        raise UserError(f"{placed.source} did not answer: {group.errors[0]}")
    if isinstance(policy, Served):
        say(cost_line(tally(policy.replies.values())))
    (text,) = policy.decode(group)
    parsed = parse(text, config.choice, truncated=bool(group.truncated_G[0]))
    sample = record(
        "ask", text, parsed, group.prompt, model=policy.digest, protocol="ask", seed=config.seed
    )
    say(f"thinking: {parsed.thinking if parsed.thinking is not None else '(none)'}")
    letters = ", ".join(parsed.answer) if parsed.answer else "(none)"
    say(f"answer: {letters} ({parsed.verdict})")
    if parsed.verdict != "ok":
        say(f"the model wrote: {text!r}")
    if config.out is not None:
        write_alone(config.out, encode(sample))
    return AskResult(
        **msgspec.structs.asdict(sample),
        times=tuple(clip.times.tolist()),
        second_per_grid=shown.second_per_grid,
        device=placed.device,
        dtype=placed.dtype,
        **_where(policy, prompt),
    )


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
