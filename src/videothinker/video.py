"""A video file -> uint8 frames `T H W 3` and their times: exactly as many as asked, or an error.

Decoding runs in a child process with a deadline, so that a file that makes the decoder hang is
killed and named. Only listed container formats are opened (a text file called .mp4 that says
`ffconcat` would otherwise open another file), and only inside the data folder.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from videothinker.errors import UserError

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
FRAME_FOLDER_FPS = 3.0
"""Frame folders carry no times; TVQA's are 3 frames a second (MVBench)."""


class BadVideo(UserError):
    """A video that cannot give the frames asked for; the message names it."""


@dataclass(frozen=True)
class Clip:
    """Frames and when they are shown.

    Attributes:
        frames: uint8, `T H W 3`, RGB.
        times: float64, `T`, seconds from the start of the file.
        seconds: how long the whole clip lasts, from its first frame's start to its last one's end;
            of a clip with start and end, the part that exists.
    """

    frames: np.ndarray
    times: np.ndarray
    seconds: float


def locate(root: Path, relative: str) -> Path:
    """The file `relative` names inside `root`; symbolic links may not lead out of it."""
    base = root.resolve()
    path = (base / relative).resolve()
    if Path(relative).is_absolute() or not path.is_relative_to(base):
        raise BadVideo(f"video {relative!r} lies outside its data folder {root}; keep it inside")
    if not path.exists():
        raise BadVideo(f"video {relative!r} is missing from {root}; add it or drop its questions")
    if path.is_file() and path.stat().st_size == 0:
        raise BadVideo(f"video {relative!r} is empty (0 bytes); download it again")
    return path


def read_clip(
    root: Path,
    relative: str,
    frames: int,
    *,
    clip: tuple[float, float] | None = None,
    deadline: float = 60.0,
) -> Clip:
    """Read `frames` frames, uniformly spaced from the first to the last one of `clip`.

    Args:
        root: the data folder; nothing outside it is opened.
        relative: a video file, or a folder of numbered images, relative to `root`.
        frames: how many, at least 1.
        clip: start and end in seconds; None is the whole video.
        deadline: seconds after which decoding is killed.

    Raises:
        BadVideo: missing, empty, truncated, not a video, outside the root, too slow, or with fewer
            frames than asked.
    """
    if frames < 1:
        raise UserError(f"{frames} frames were asked for; ask for at least 1")
    path = locate(root, relative)
    if path.is_dir():
        return _read_folder(path, relative, frames, clip)
    return _DECODER.read(path, relative, frames, clip, deadline)


def pick(times: np.ndarray, frames: int, clip: tuple[float, float] | None, name: str) -> np.ndarray:
    """Indices of `frames` uniformly spaced entries of `times` within `clip`, ends included."""
    start, end = clip or (-np.inf, np.inf)
    inside = np.flatnonzero((times >= start) & (times <= end))
    if len(inside) < frames:
        where = "" if clip is None else f" between {start:g} s and {end:g} s"
        raise BadVideo(
            f"video {name!r} has {len(inside)} frames{where}, {frames} were asked for; "
            "ask for fewer or check that the download is whole"
        )
    return inside[np.linspace(0, len(inside) - 1, frames).round().astype(int)]


def _duration(times: np.ndarray, clip: tuple[float, float] | None) -> float:
    """Frames within `clip` times the mean time between frames, seconds; a lone frame lasts 1."""
    start, end = clip or (-np.inf, np.inf)
    inside = int(((times >= start) & (times <= end)).sum())
    return inside * (float(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0)


def _read_folder(path: Path, relative: str, frames: int, clip: tuple[float, float] | None) -> Clip:
    from PIL import Image  # noqa: PLC0415  only frame folders need it

    images = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    times = np.arange(len(images)) / FRAME_FOLDER_FPS
    chosen = pick(times, frames, clip, relative)
    try:
        stack = np.stack([np.asarray(Image.open(images[i]).convert("RGB")) for i in chosen])
    except (OSError, ValueError) as error:
        raise BadVideo(f"frame folder {relative!r} cannot be read: {error}") from error
    return Clip(stack, times[chosen], _duration(times, clip))


# --- the child process -----------------------------------------------------------------------


def _frame_times(container: Any, stream: Any, name: str) -> np.ndarray:
    """Times of all frames that are shown, in ticks, without decoding; truncation is noticed.

    A file cut without encoding it anew keeps frames before its start that no player shows.
    """
    whole = stream.frames
    if "mp4" in container.format.name and len(stream.index_entries):
        whole = min(whole, len(stream.index_entries))  # the header counts what is cut away too
    packets = [p for p in container.demux(stream) if p.size and p.pts is not None]
    if len(packets) < whole:
        raise BadVideo(
            f"video {name!r} is cut off: {len(packets)} of {whole} frames are there; "
            "download it again"
        )
    ticks = np.array(sorted(p.pts for p in packets if not p.is_discard), dtype=int)
    if len(ticks) == 0:
        raise BadVideo(f"video {name!r} holds no frames; download it again")
    if container.duration and len(container.streams) == 1 and not stream.frames:
        shown = float((ticks[-1] - ticks[0]) * stream.time_base)
        whole = container.duration / 1e6
        if shown < 0.9 * whole - 0.5:
            raise BadVideo(
                f"video {name!r} is cut off: it ends at {shown:.1f} s of {whole:.1f} s; "
                "download it again"
            )
    return ticks


def _decode_ticks(container: Any, stream: Any, wanted: np.ndarray) -> Iterator[np.ndarray]:
    """RGB frames at the sorted ticks `wanted`, seeking over gaps that a keyframe can skip."""
    far = max(1, int(2.0 / stream.time_base))  # two seconds: cheaper to seek than decode
    position = None
    frames = container.decode(stream)
    for tick in wanted:
        if position is None or tick - position > far:
            container.seek(int(tick), stream=stream, backward=True)
            frames = container.decode(stream)
        for frame in frames:
            position = frame.pts
            if position is not None and position >= tick:
                if position == tick:
                    yield frame.to_ndarray(format="rgb24")
                break


def _decode_in_order(container: Any, stream: Any, wanted: np.ndarray, total: int) -> list[Any]:
    """RGB frames by their number, for containers in which times or seeking are inexact.

    None at all where fewer or more than `total` frames decode: their numbers would be off.
    """
    places, count, found = set(wanted.tolist()), 0, []
    for frame in container.decode(stream):
        if count in places:
            found.append(frame.to_ndarray(format="rgb24"))
        count += 1
    return found if count == total else []


def _decode(path: str, name: str, frames: int, clip: tuple[float, float] | None) -> Clip:
    import av  # noqa: PLC0415  only the child decodes
    from av.error import FFmpegError  # noqa: PLC0415

    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        with av.open(path, options=options) as container:
            if not container.streams.video:
                raise BadVideo(f"{name!r} has no video stream; give a video file")
            stream: Any = container.streams.video[0]
            ticks = _frame_times(container, stream, name)
            start = stream.start_time or 0
            times = (ticks - start) * float(stream.time_base)
            chosen = pick(times, frames, clip, name)
            timed = container.format.name != "avi"  # it stores an order, no times
        distinct, back = np.unique(chosen, return_inverse=True)
        decoded: list[np.ndarray] = []
        if timed:
            with av.open(path, options=options) as container:
                stream = container.streams.video[0]
                decoded = list(_decode_ticks(container, stream, ticks[distinct]))
        if len(decoded) != len(distinct):
            with av.open(path, options=options) as container:
                stream = container.streams.video[0]
                decoded = _decode_in_order(container, stream, distinct, len(ticks))
    except (FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadVideo(
            f"video {name!r} cannot be decoded ({reason}); give an mp4, mkv, webm, avi or ts file"
        ) from error
    if len(decoded) != len(distinct):
        raise BadVideo(
            f"video {name!r} is damaged: {len(decoded)} of {len(distinct)} chosen frames decode; "
            "download it again"
        )
    return Clip(np.stack(decoded)[back], times[chosen], _duration(times, clip))


def serve() -> None:
    """The child: read one request a line on stdin, answer with a JSON header and raw frames."""
    # FFmpeg libraries write to fd 1 on rare errors; keep the answers on a private copy.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            clip = _decode(**request)
            header: dict[str, Any] = {"shape": clip.frames.shape, "times": clip.times.tolist()}
            header["seconds"] = clip.seconds
            body = np.ascontiguousarray(clip.frames).tobytes()
        except UserError as error:
            header, body = {"error": str(error)}, b""
        answers.write(json.dumps(header).encode() + b"\n" + body)
        answers.flush()


class _Decoder:
    """The parent's handle on the child; started at the first video, restarted after a kill."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def read(
        self, path: Path, name: str, frames: int, clip: tuple[float, float] | None, deadline: float
    ) -> Clip:
        child = self._start()
        request = {"path": str(path), "name": name, "frames": frames, "clip": clip}
        end = time.monotonic() + deadline
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            header = json.loads(self._take_line(child, end))
            if "error" in header:
                raise BadVideo(header["error"])
            shape = tuple(header["shape"])
            body = self._take(child, int(np.prod(shape)), end)
        except TimeoutError:
            self.stop()
            raise BadVideo(
                f"video {name!r} did not decode within {deadline:g} s and was stopped; "
                "check the file"
            ) from None
        except (BrokenPipeError, EOFError):
            self.stop()
            raise BadVideo(f"video {name!r} crashed the decoder; check the file") from None
        except BaseException as error:
            if not isinstance(error, BadVideo):
                self.stop()  # an interrupt mid-answer leaves the pipe out of step
            raise
        frames_THW3 = np.frombuffer(body, np.uint8).reshape(shape)
        return Clip(frames_THW3, np.array(header["times"]), header["seconds"])

    def _start(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "videothinker.video"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        return self._child

    def _take_line(self, child: "subprocess.Popen[bytes]", end: float) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._take(child, 1, end)
        return line

    def _take(self, child: "subprocess.Popen[bytes]", count: int, end: float) -> bytearray:
        assert child.stdout is not None
        taken = bytearray()
        while len(taken) < count:
            ready, _, _ = select.select([child.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError
            piece = os.read(child.stdout.fileno(), count - len(taken))
            if not piece:
                raise EOFError
            taken += piece
        return taken

    def forget(self) -> None:
        """Leave the child to the process that started it (a fork must not share its pipes)."""
        self._child = None

    def stop(self) -> None:
        """Kill the child, if there is one."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    pipe.close()
            self._child = None


_DECODER = _Decoder()
atexit.register(_DECODER.stop)
os.register_at_fork(after_in_child=_DECODER.forget)

if __name__ == "__main__":
    serve()
