"""Videos of every container and codec at hand, whole and damaged: right frames, or a sentence?

Frame i of each video is a flat gray of level 8 i, so that every frame that comes back says which
one it is. A whole file must give the right frames at the right times. A damaged one is refused, or
gives as many frames as a whole one would. What no container can tell is counted: other pixels, and
a table that says something else, as of one frame less. A transport stream has no length: one that
is cut is a shorter video.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random

import av
import numpy as np
from av.error import FFmpegError
from soak_record import Record

from videothinker.video import BadVideo, Clip, read_clip, reading

GOAL = 2000
"""Videos of each damage."""
FRAMES, STEP, OFF = 24, 8, 5
"""Frames of a video, gray levels between two, and by how much a level may be off."""
DEADLINE = 20.0
"""Seconds; one that takes as long counts as hung."""
MEGABYTES = 512
CONTAINERS = ("mp4", "mov", "mkv", "webm", "avi", "ts", "3gp")
CODECS = {
    "libx264": "yuv420p", "libx265": "yuv420p", "libsvtav1": "yuv420p", "libvpx": "yuv420p",
    "libvpx-vp9": "yuv420p", "mpeg4": "yuv420p", "mpeg2video": "yuv420p", "mjpeg": "yuvj420p",
    "ffv1": "yuv420p", "png": "rgb24", "rawvideo": "yuv420p", "msmpeg4v3": "yuv420p",
    "huffyuv": "yuv422p", "prores": "yuv422p10le", "qtrle": "rgb24",
}  # fmt: skip
"""Encoder -> its pixels."""
RATES = (Fraction(25), Fraction(24000, 1001))


@dataclass(frozen=True)
class Made:
    """A whole video: its bytes, and when each of its frames comes up."""

    suffix: str
    data: bytes
    times: np.ndarray


def make(path: Path, codec: str, rate: Fraction) -> Made:
    """Encode the frames.

    Raises:
        FFmpegError, ValueError: the container does not take the codec.
    """
    with av.open(str(path), "w") as out:
        options = {"crf": "1"} if codec in ("libx264", "libx265") else {}
        options |= {"x265-params": "log-level=none"} if codec == "libx265" else {}
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, CODECS[codec]
        stream.codec_context.gop_size = 6
        stream.codec_context.thread_count = 1
        stream.bit_rate = 2_000_000
        for i in range(FRAMES):
            gray = np.full((48, 64, 3), STEP * i, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(gray, format="rgb24")))
        out.mux(stream.encode())
    return Made(path.suffix, path.read_bytes(), np.arange(FRAMES) / float(rate))


def make_all(folder: Path) -> dict[str, Made]:
    """`container codec rate` -> a video, of all that can be written and, whole, are read."""
    made: dict[str, Made] = {}
    for suffix in CONTAINERS:
        for codec in CODECS:
            for rate in RATES:
                path = folder / f"whole.{suffix}"
                try:
                    one = make(path, codec, rate)
                    with av.open(str(path)) as container:
                        kept = sum(1 for _ in container.decode(video=0))
                except (FFmpegError, LookupError, ValueError, OSError):
                    continue
                if kept == FRAMES:
                    made[f"{suffix} {codec} {float(rate):.5g}"] = one
    return made


Damage = Callable[[bytes, Random], bytes]


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def _flip(data: bytes, random: Random) -> bytes:
    found = bytearray(data)
    for _ in range(random.choice((1, 3, 20))):
        found[random.randrange(len(found))] ^= 1 << random.randrange(8)
    return bytes(found)


def _block(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data))
    return start, min(len(data), start + random.choice((1, 16, 188, 1000)))


def _zero(data: bytes, random: Random) -> bytes:
    start, end = _block(data, random)
    return data[:start] + bytes(end - start) + data[end:]


def _drop(data: bytes, random: Random) -> bytes:
    start, end = _block(data, random)
    return data[:start] + data[end:]


def _double(data: bytes, random: Random) -> bytes:
    start, end = _block(data, random)
    return data[:end] + data[start:]


def _head(data: bytes, random: Random) -> bytes:
    count = random.choice((4, 16, 64, 400))
    return random.randbytes(count) + data[count:]


def _tail(data: bytes, random: Random) -> bytes:
    return data + random.randbytes(random.choice((1, 200, 5000)))


DAMAGES: dict[str, Damage] = {
    "whole": lambda data, _: data,
    "cut off": _cut,
    "bits flipped": _flip,
    "a block zeroed": _zero,
    "a block left out": _drop,
    "a block twice": _double,
    "another head": _head,
    "something behind it": _tail,
}


CHANGED = ("bits flipped", "a block zeroed", "a block twice")
"""Damages that can make one valid file into another: a table then says that there are fewer."""


def soak(record: Record) -> None:
    """Go on where the record stands, a hundred of each damage in turn."""
    goal = record.goal or GOAL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = make_all(folder)
        while not record.late and any(record.tried(one) < goal for one in DAMAGES):
            for damage in DAMAGES:
                done = record.tried(damage)
                for number in range(done, min(goal, done + 100)):
                    if record.late:
                        break
                    which = list(made)[number % len(made)]
                    try:
                        outcome = _try(folder, made[which], damage, number)
                    except BaseException:
                        sys.stderr.write(f"{damage}, trial {number}, of {which}:\n")
                        raise
                    row = record.table.setdefault(damage, {})
                    row[outcome] = row.get(outcome, 0) + 1
            largest = max(record.came("the decoder", "largest MB"), _megabytes())
            record.table["the decoder"] = {"largest MB": largest}
            record.save()


def _megabytes() -> int:
    """The most that the process that decodes has held."""
    child = reading._DECODER._child  # noqa: SLF001  nobody else asks
    if child is None:
        return 0
    rows = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    return next(int(row.split()[1]) // 1000 for row in rows if row.startswith("VmHWM"))


def _try(folder: Path, made: Made, damage: str, number: int) -> str:
    """Read one video; what came.

    Raises:
        AssertionError: fewer or wrong frames without a word, or a hang.
    """
    random = Random(f"{damage} {number}")
    data = DAMAGES[damage](made.data, random)
    path = folder / f"v{made.suffix}"
    path.write_bytes(data)
    wanted = random.choice((1, 2, 7, FRAMES, 32))
    began = time.monotonic()
    try:
        clip = read_clip(folder, path.name, wanted, deadline=DEADLINE, megabytes=MEGABYTES)
    except BadVideo as error:
        if time.monotonic() - began >= DEADLINE or "crashed" in str(error):
            raise AssertionError(f"hangs or crashes: {error}") from error
        if damage == "whole":
            raise AssertionError(f"a whole video is refused: {error}") from error
        return "refused in a sentence"
    return _judge(clip, made, damage, wanted)


def _judge(clip: Clip, made: Made, damage: str, wanted: int) -> str:
    count = min(wanted, FRAMES)
    levels = clip.frames.reshape(len(clip.frames), -1).mean(axis=1)
    numbers = np.linspace(0, FRAMES - 1, count).round()
    if len(levels) == count and np.abs(levels - STEP * numbers).max() <= OFF:
        # avi starts with a delay where frames are out of order
        late = clip.times - clip.times[0] - made.times[numbers.astype(int)]
        if damage == "whole" and np.abs(late).max() > 0.002:
            raise AssertionError(f"right frames at {clip.times}")
        return "right"
    if damage == "whole":
        raise AssertionError(f"of {count} frames came {levels}")
    if len(levels) == count:
        return "other pixels"
    if made.suffix == ".ts":
        return "a shorter transport stream"
    if damage in CHANGED:
        return "fewer frames, by a table that was changed"
    raise AssertionError(f"of {count} frames came {len(levels)}, and no word: {levels}")
