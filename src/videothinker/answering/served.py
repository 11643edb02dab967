"""A model served elsewhere, as every verb asks it: frames to images or a video, words to messages.

Its replies are kept in the run folder as they come, with the tokens the server counted.
"""

import base64
import hashlib
import io
import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from PIL import Image

from videothinker.answering.endpoint import cannot_begin
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.generation.chat import Reply, Server
from videothinker.generation.served import ChatPrompt, ServerPace
from videothinker.models import base
from videothinker.models.base import Group, Model
from videothinker.prompts import without_controls
from videothinker.records import read_jsonl
from videothinker.runs import Journal
from videothinker.video.encode import write_mp4

REPLIES = "replies.jsonl"
JPEG_QUALITY = 95
MP4_CRF = 10
"""Near the frames: what is sent is 16 or 32 frames, not a film."""


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One answer of a server, as it came: what a resumed run does not ask again."""

    request: str
    """Digest of everything that was asked."""
    text: str
    truncated: bool
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, eq=False, kw_only=True)
class ServedVideo(base.Video):
    """Parts of a chat message that show the video, and words that say what they are."""

    parts: tuple[dict[str, Any], ...]
    words: str


@dataclass(eq=False)
class EndpointModel(Model):
    """A `models.base.Model` and a `generation.served.ServedModel`."""

    name: str
    server: Server
    input: str
    """images or video."""
    requests: int
    retries: int
    journal: Journal[Kept] | None = None
    pace: ServerPace = field(default_factory=ServerPace)
    replies: dict[str, Reply] = field(default_factory=dict)
    generator: str = field(init=False, default="served")

    def __post_init__(self) -> None:
        for kept in self.journal.records if self.journal is not None else ():
            told = msgspec.structs.asdict(kept)
            request = told.pop("request")
            self.replies[request] = Reply(**told)

    @property
    def digest(self) -> str:
        """Its name, which is all that is known of a served model, and how it is shown a video."""
        return f"{self.name}, served, {self.input}"

    def keep(self, request: str, reply: Reply) -> None:
        """Put an answer among `replies`, and on disk where there is a run."""
        self.replies[request] = reply
        if self.journal is not None:
            self.journal.append(Kept(request=request, **asdict(reply)))

    def tell(self, line: str) -> None:
        """Show a line to a person."""
        say(line)

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        times: Sequence[float] | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> ServedVideo:
        """Frames within the bounds, in their own proportions, encoded once for all questions.

        Images are told how far apart they are: by `times`, or else as from the first frame to the
        last. A video has the rate that loaded models are told: frames / `seconds`.
        """
        moving = self.input == "video"
        _, height, width, _ = frames_THW3.shape
        size = fit(height, width, min_pixels, max_pixels, 2 if moving else 1)
        shown = [_resized(frame, size) for frame in frames_THW3]
        if moving:
            parts = [_part("video", "video/mp4", _mp4(np.stack(shown), seconds / len(shown)))]
            words = ""
        else:
            parts = [_part("image", "image/jpeg", _jpeg(frame)) for frame in shown]
            words = _introduced(len(shown), times[-1] - times[0] if times else seconds)
        told = hashlib.sha256(f"{self.input} {size} {seconds!r} {words}".encode())
        for frame in shown:
            told.update(frame.tobytes())
        return ServedVideo(
            frames=len(shown),
            height=size[0],
            width=size[1],
            tokens=0,
            digest=told.hexdigest(),
            parts=tuple(parts),
            words=words,
        )

    def encode(
        self,
        user: str,
        video: ServedVideo | None = None,
        *,
        system: str | None = None,
        prefill: str = "",
        max_prompt_tokens: int | None = None,
    ) -> ChatPrompt:
        """Messages: the system's words, then the video and the user's words.

        Raises:
            UserError: words to begin the answer with, or a limit that only the server could keep.
        """
        if prefill:
            raise cannot_begin(prefill, "--prefill")
        if max_prompt_tokens is not None:
            raise UserError("a prompt's tokens cannot be limited through an endpoint")
        words = ("" if video is None else video.words) + without_controls(user)
        parts = () if video is None else video.parts
        content = [*parts, {"type": "text", "text": words}] if parts else words
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": without_controls(system)})
        told = repr((system, words, None if video is None else video.digest))
        none = torch.zeros(0, dtype=torch.int64)
        return ChatPrompt(
            none,
            none.bool(),
            video,
            messages=tuple(messages),
            digest=hashlib.sha256(told.encode()).hexdigest(),
        )

    def positions(self, prompt: base.Prompt) -> None:
        """Not known."""
        del prompt

    def decode(self, group: Group) -> list[str]:
        """The texts, whose bytes the ids are."""
        return [
            bytes(ids_C[mask_C].tolist()).decode()
            for ids_C, mask_C in zip(group.completion_ids_GC, group.mask_GC, strict=True)
        ]


def settle(policy: Model) -> None:
    """Put a served model's replies in an order that no thread decides; say what was in the way."""
    if isinstance(policy, EndpointModel) and policy.journal is not None:
        policy.journal.records.sort(key=lambda kept: kept.request)
        policy.journal.keep(lambda _: True)
        if policy.pace.again:
            say(f"endpoint: asked again after trouble {policy.pace.again:,} times")


def costs(run: Path) -> dict[str, int] | None:
    """What the answers of a run cost, from its records; None where no endpoint was asked."""
    path = run / REPLIES
    return tally(read_jsonl(path, Kept)) if path.exists() else None


def tally(replies: Iterable[Reply | Kept]) -> dict[str, int]:
    """Answers and their tokens, and how many of them the server did not count."""
    found = {"answers": 0, "prompt_tokens": 0, "completion_tokens": 0, "answers_without_count": 0}
    for one in replies:
        found["answers"] += 1
        found["prompt_tokens"] += one.prompt_tokens or 0
        found["completion_tokens"] += one.completion_tokens or 0
        found["answers_without_count"] += None in (one.prompt_tokens, one.completion_tokens)
    return found


def cost_line(found: dict[str, int]) -> str:
    """For a person."""
    missing = found["answers_without_count"]
    ending = f"; of {missing:,} answers the server did not count them" if missing else ""
    return (
        f"endpoint: answers {found['answers']:,}, prompt tokens {found['prompt_tokens']:,}, "
        f"completion tokens {found['completion_tokens']:,}{ending}"
    )


def fit(
    height: int, width: int, low: int | None, high: int | None, step: int = 1
) -> tuple[int, int]:
    """Sides in the same proportion, multiples of `step`, whose product keeps to the bounds.

    Bounds that both are met leave the sides as they are, but for `step`.
    """
    pixels = height * width
    scale = 1.0
    if high is not None and pixels > high:
        scale = math.sqrt(high / pixels)
    elif low is not None and pixels < low:
        scale = math.sqrt(low / pixels)
    near = math.ceil if scale > 1 else math.floor
    tall, wide = (max(step, near(side * scale / step) * step) for side in (height, width))
    return tall, wide


def _resized(frame_HW3: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if frame_HW3.shape[:2] == size:
        return frame_HW3
    height, width = size
    picture = Image.fromarray(frame_HW3).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _introduced(count: int, span: float) -> str:
    """What images are that stand for a video, `span` seconds from the first to the last."""
    if count == 1:
        return "This is one frame of a video.\n"
    return f"These are {count} frames of a video, about {span / (count - 1):.2f} s apart.\n"


def _jpeg(frame_HW3: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame_HW3).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return file.getvalue()


def _mp4(frames_THW3: np.ndarray, spread: float) -> bytes:
    """The frames, each shown for `spread` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shown.mp4"
        rate = 1 / spread if spread > 0 else 1.0
        write_mp4(path, frames_THW3, min(max(rate, 0.001), 1000.0), crf=MP4_CRF)
        return path.read_bytes()


def _part(kind: str, media: str, data: bytes) -> dict[str, Any]:
    """One part of a message, its data in a data: URL."""
    url = f"data:{media};base64,{base64.b64encode(data).decode()}"
    return {"type": f"{kind}_url", f"{kind}_url": {"url": url}}
