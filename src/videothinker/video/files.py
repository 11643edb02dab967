"""A video file, decoded with PyAV: upright, pixels square, each frame at its own time.

Only listed container formats are opened: a text file called .mp4 that says `ffconcat` would
otherwise open another file.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.sidedata.sidedata import Type
from av.stream import Disposition

from videothinker.video.clips import (
    FRAME_PIXELS,
    BadVideo,
    Timeline,
    check_size,
    choose,
    fit,
)
from videothinker.video.matroska import check_chain
from videothinker.video.serving import Message

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts"
SQUARE = 0.01
"""Pixels this near to square are square: encoders round a frame's sides to even numbers and keep
its shape in the aspect of the pixels."""
GUESS = 1 / 25
"""Seconds a single frame lasts where its file does not say; FFmpeg's own default rate."""


@dataclass(frozen=True)
class Frames:
    """A file's frames, in the order in which they are shown."""

    ticks: np.ndarray
    """int64, time stamps as stored; of files joined end to end, counted on."""
    line: Timeline
    timed: bool
    """The decoder's time stamps are `ticks`."""


def read_file(
    path: Path, name: str, frames: int, clip: tuple[float, float] | None
) -> Iterator[Message]:
    """The messages of `serving.answer` for one file.

    Raises:
        BadVideo: not a video, cut off, damaged, or too large.
    """
    try:
        with _open(path) as container:
            stream = _main_stream(container, name)
            check_size(stream.width, stream.height, name)
            if "matroska" in container.format.name:
                check_chain(path, name)
            shown = _read_frames(container, stream, name)
        chosen, seconds = choose(shown.line, frames, clip, name)
        yield {"times": shown.line.times[chosen].tolist(), "seconds": seconds}, None
        distinct, back = np.unique(chosen, return_inverse=True)
        slots = [np.flatnonzero(back == k).tolist() for k in range(len(distinct))]
        picture, told = _Picture(len(chosen), name), 0
        if shown.timed:
            with _open(path) as container:
                stream = _main_stream(container, name)
                for frame in _decode_ticks(container, stream, shown.ticks[distinct]):
                    yield picture.message(frame, stream, slots[told])
                    told += 1
        if told < len(distinct):
            places = dict(zip(distinct.tolist(), slots, strict=True))
            yield from _in_order(path, picture, places, total=len(shown.ticks))
    except (MemoryError, BlockingIOError) as error:  # no file blocks: no room for a thread
        raise MemoryError from error
    except (FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadVideo(
            f"video {name!r} cannot be decoded ({reason}); give an mp4, mkv, webm, avi or ts file"
        ) from error


def _open(path: Path) -> Any:
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    return av.open(str(path), options=options, metadata_errors="replace")


def _main_stream(container: Any, name: str) -> Any:
    """FFmpeg's choice among the streams of moving pictures; cover art is a video stream too."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    moving = [s for s in container.streams.video if not s.disposition & still]
    if not moving:
        what = "only a cover picture" if container.streams.video else "no video stream"
        raise BadVideo(f"{name!r} has {what}; give a video file")
    best = container.streams.best("video").index
    stream = next((s for s in moving if s.index == best), moving[0])
    if stream.codec_context is None:
        raise BadVideo(f"video {name!r} is in a codec that is unknown here; encode it as h264")
    # A frame may turn out larger than the header says: then the decoder refuses it.
    stream.codec_context.options = {"max_pixels": str(FRAME_PIXELS)}
    return stream


# --- when the frames are shown -----------------------------------------------------------------


def _read_frames(container: Any, stream: Any, name: str) -> Frames:
    """All frames that are shown, without decoding; truncation is noticed.

    A file cut without encoding it anew keeps frames before its start that no player shows.
    """
    packets = [
        (p.pts, p.dts, p.duration or 0, bool(p.is_discard))
        for p in container.demux(stream)
        if p.size and p.pts is not None
    ]
    stamps, joined = _count_on(packets)
    kept = sorted(stamps[i, :2].tolist() for i in range(len(stamps)) if not packets[i][3])
    if not kept:
        raise BadVideo(f"video {name!r} holds no frames; download it again")
    ticks, durations = np.array(kept, dtype=np.int64).T
    base = float(stream.time_base)
    last = float(durations[-1]) * base
    if len(ticks) == 1 and not last:
        last = float(1 / stream.guessed_rate) if stream.guessed_rate else GUESS
    line = Timeline((ticks - (stream.start_time or 0)) * base, last, base)
    _check_whole(container, stream, name, line=line, ticks=ticks, packets=len(packets))
    avi = container.format.name == "avi"  # it stores an order, no times
    return Frames(ticks, line, timed=not (avi or joined))


def _count_on(packets: list[tuple[int, int | None, int, bool]]) -> tuple[np.ndarray, bool]:
    """Time stamps and durations `[N, 2]`, and whether the file is several joined end to end.

    Transport streams can be joined as they are; each part then starts its own clock.
    """
    stamps = np.zeros((len(packets), 2), dtype=np.int64)
    shift, before = 0, None
    for i, (pts, dts, duration, _) in enumerate(packets):
        if dts is not None:
            if before is not None and dts + shift < before[0]:
                shift = before[0] + before[1] - dts
            step = 0 if before is None else dts + shift - before[0]
            before = (dts + shift, duration or step)
        stamps[i] = pts + shift, duration
    return stamps, shift > 0


def _check_whole(
    container: Any, stream: Any, name: str, *, line: Timeline, ticks: np.ndarray, packets: int
) -> None:
    whole, there = stream.frames, packets
    if "mp4" in container.format.name and len(stream.index_entries):
        whole = min(whole, len(stream.index_entries))  # the header counts what is cut away too
    if container.format.name == "avi":  # its header counts places, empty ones too
        there = int(ticks[-1] - ticks[0]) + 1
    if there < whole:
        raise BadVideo(
            f"video {name!r} is cut off: {there} of {whole} frames are there; download it again"
        )
    if container.duration and len(container.streams) == 1 and not stream.frames:
        shown, told = line.end - float(line.times[0]), container.duration / 1e6
        if "matroska" in container.format.name:  # it counts from 0, wherever the first frame is
            shown += max(0.0, float(ticks[0] * stream.time_base))
        if shown < 0.9 * told - 0.5:
            raise BadVideo(
                f"video {name!r} is cut off: it ends at {shown:.1f} s of {told:.1f} s; "
                "download it again"
            )


# --- their pixels ------------------------------------------------------------------------------


def _decode_ticks(container: Any, stream: Any, wanted: np.ndarray) -> Iterator[Any]:
    """Frames at the sorted ticks `wanted`, seeking over gaps that a keyframe can skip.

    It ends at the first that is not where it should be.
    """
    far = max(1, int(2.0 / stream.time_base))  # two seconds: cheaper to seek than decode
    position = None
    frames = container.decode(stream)
    for tick in wanted.tolist():
        if position is None or tick - position > far:
            container.seek(tick, stream=stream, backward=True)
            frames = container.decode(stream)
        frame = next((f for f in frames if f.pts is not None and f.pts >= tick), None)
        if frame is None or frame.pts != tick:
            return
        position = tick
        yield frame


def _in_order(
    path: Path, picture: "_Picture", places: dict[int, list[int]], *, total: int
) -> Iterator[Message]:
    """Frames by their number (-> slots), for files in which times or seeking are inexact.

    Raises:
        BadVideo: fewer or more than `total` frames decode: their numbers would be off.
    """
    count = 0
    with _open(path) as container:
        stream = _main_stream(container, picture.name)
        for frame in container.decode(stream):
            if count in places:
                yield picture.message(frame, stream, places[count])
            count += 1
    if count != total:
        raise BadVideo(
            f"video {picture.name!r} is damaged: {count} of {total} frames decode; "
            "download it again"
        )


class _Picture:
    """Stored frames to pictures as they are shown, all of the first one's size."""

    def __init__(self, frames: int, name: str) -> None:
        self.frames, self.name = frames, name
        self.turn, self.rotation = _Turn(), 0
        self.size: tuple[int, int] | None = None
        """Width and height, upright."""

    def message(self, frame: Any, stream: Any, slots: list[int]) -> Message:
        """One frame and its places in the clip."""
        # Only then: PyAV keeps each frame whose side data was looked at.
        if self.size is None or frame.rotation != self.rotation:
            self.turn, self.rotation = _turn(frame, self.name), frame.rotation
        if self.size is None:
            self.size = fit(*self.turn.sides(_square(frame, stream), frame.height), self.frames)
        width, height = self.turn.sides(*self.size)
        changed = {}
        if (width, height) != (frame.width, frame.height):
            changed = {"width": width, "height": height, "interpolation": "BICUBIC"}
        pixels = self.turn.apply(frame.to_ndarray(format="rgb24", **changed))
        return {"slots": slots, "size": list(self.size[::-1])}, pixels


def _square(frame: Any, stream: Any) -> int:
    """How wide a frame is in square pixels."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return frame.width if abs(aspect - 1) <= SQUARE else max(1, round(frame.width * aspect))


@dataclass(frozen=True)
class _Turn:
    """A quarter turn or a mirror image: which stored axis and direction each shown axis is."""

    swapped: bool = False
    right: int = 1
    down: int = 1

    def sides(self, width: int, height: int) -> tuple[int, int]:
        """Width and height once turned; turning them back is the same."""
        return (height, width) if self.swapped else (width, height)

    def apply(self, pixels_HW3: np.ndarray) -> np.ndarray:
        """The picture as it is shown."""
        shown = pixels_HW3.swapaxes(0, 1) if self.swapped else pixels_HW3
        return shown[:: self.down, :: self.right]


def _turn(frame: Any, name: str) -> _Turn:
    """How a frame is to be turned, by its display matrix: `x' = a x + c y, y' = b x + d y`.

    Raises:
        BadVideo: it is turned by an angle in between.
    """
    matrix = next((d for d in frame.side_data if d.type == Type.DISPLAYMATRIX), None)
    if matrix is None:
        return _Turn()
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    swapped = abs(b) > abs(a)
    right, down, rest = (c, b, (a, d)) if swapped else (a, d, (b, c))
    if not right or not down:
        return _Turn()  # says nothing
    if max(map(abs, rest)) > 0.01 * min(abs(right), abs(down)):
        raise BadVideo(
            f"video {name!r} is turned by about {abs(frame.rotation)} degrees; only quarter turns "
            "and mirror images are read: encode it upright"
        )
    return _Turn(swapped, 1 if right > 0 else -1, 1 if down > 0 else -1)
