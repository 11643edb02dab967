"""Read a clip: decoding runs in a child process with a deadline, and its frames come back.

A file that makes the decoder hang, or ask for more memory than its budget, is stopped and named;
one that crashes it is named too.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from videothinker.budget import DEADLINE, MEGABYTES
from videothinker.errors import UserError
from videothinker.video.clips import BadVideo, Clip
from videothinker.video.paths import locate

ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Of the child, which does no linear algebra: stacks of threads would count as memory."""


def read_clip(
    root: Path,
    relative: str,
    frames: int,
    *,
    clip: tuple[float, float] | None = None,
    deadline: float = DEADLINE,
    megabytes: int = MEGABYTES,
    follow_links: bool = False,
) -> Clip:
    """Read at most `frames` frames, uniform in time from the first to the last one of `clip`.

    A video with fewer frames gives all it has: look at `len(Clip.frames)`.

    Args:
        root: the data folder; nothing outside it is opened.
        relative: a video file, or a folder of numbered images, relative to `root`.
        frames: how many are wanted, at least 1.
        clip: start and end in seconds; None is the whole video.
        deadline: seconds after which decoding is killed.
        megabytes: memory, of 10^6 bytes, that the process which decodes may hold.
        follow_links: symbolic links may lead out of `root`.

    Raises:
        BadVideo: missing, empty, truncated, not a video, outside the root, too large or too slow.
    """
    if frames < 1:
        raise UserError(f"{frames} frames were asked for; ask for at least 1")
    path = locate(root, relative, follow_links=follow_links)
    request = {
        "path": str(path),
        "name": relative,
        "frames": frames,
        "clip": clip,
        "base": str(root.resolve()),
        "follow_links": follow_links,
        "megabytes": megabytes,
    }
    return _DECODER.read(request, deadline)


def check_there(root: Path, relative: str, *, follow_links: bool = False) -> None:
    """Look for a video without decoding it; a folder must hold images in a clear order.

    Raises:
        BadVideo: see `locate`; or a folder that is no sequence of images.
    """
    path = locate(root, relative, follow_links=follow_links)
    if path.is_dir():
        from videothinker.video.folders import images  # noqa: PLC0415 (Pillow)

        images(path, relative, base=root.resolve(), follow_links=follow_links)


class _Decoder:
    """The parent's handle on the child; started at the first video, restarted after a kill."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def read(self, request: dict[str, Any], deadline: float) -> Clip:
        """One at a time, whichever thread asks."""
        with self._turn:
            return self._read(request, deadline)

    def _read(self, request: dict[str, Any], deadline: float) -> Clip:
        child = self._start()
        end, name = time.monotonic() + deadline, request["name"]
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            return self._take_clip(child, end)
        except TimeoutError:
            self.stop()
            raise BadVideo(
                f"video {name!r} did not decode within {deadline:g} s and was stopped; "
                "check the file"
            ) from None
        except MemoryError:
            self.stop()
            raise BadVideo(
                f"video {name!r} needs more than {request['megabytes']:,} MB to decode and was "
                "stopped; give more as --decode-megabytes, or make a smaller copy"
            ) from None
        except (BrokenPipeError, EOFError):
            self.stop()
            raise BadVideo(f"video {name!r} crashed the decoder; check the file") from None
        except BaseException as error:
            if not isinstance(error, BadVideo):
                self.stop()  # an interrupt mid-answer leaves the pipe out of step
            raise

    def _start(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "videothinker.video"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env=os.environ | ALONE,
            )
        return self._child

    def _take_clip(self, child: "subprocess.Popen[bytes]", end: float) -> Clip:
        frames: np.ndarray | None = None
        times, seconds = np.zeros(0), 0.0
        while "end" not in (told := self._take_message(child, end)):
            if "full" in told:
                raise MemoryError
            if "error" in told:
                raise BadVideo(told["error"])
            if "times" in told:
                times, seconds = np.array(told["times"]), told["seconds"]
                continue
            if frames is None:
                frames = np.empty((len(times), *told["size"], 3), np.uint8)
            slot, *others = told["slots"]
            self._fill(child, frames[slot].data.cast("B"), end)
            frames[others] = frames[slot]
        assert frames is not None
        return Clip(frames, times, seconds)

    def _take_message(self, child: "subprocess.Popen[bytes]", end: float) -> dict[str, Any]:
        length = bytearray(4)
        self._fill(child, memoryview(length), end)
        words = bytearray(int.from_bytes(length, "big"))
        self._fill(child, memoryview(words), end)
        return json.loads(words)

    def _fill(self, child: "subprocess.Popen[bytes]", view: memoryview, end: float) -> None:
        assert child.stdout is not None
        while len(view):
            ready, _, _ = select.select([child.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError
            count = os.readv(child.stdout.fileno(), [view])
            if not count:
                raise EOFError
            view = view[count:]

    def forget(self) -> None:
        """Leave the child to the process that started it (a fork must not share its pipes)."""
        self._child, self._turn = None, threading.Lock()

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
