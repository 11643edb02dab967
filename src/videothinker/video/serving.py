"""The child's loop: a request a line in, frames one by one out, so that it never holds them all."""

import gc
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from videothinker.errors import UserError

Message = tuple[dict[str, Any], np.ndarray | None]
"""What the parent is told, and a frame's pixels where it is told of one."""


def answer(request: dict[str, Any]) -> Iterator[Message]:
    """First `{"times", "seconds"}`, then every frame as `{"slots", "size"}` with its pixels.

    A frame's slots are its places in the clip; a slot told again replaces what was there.

    Raises:
        BadVideo: the video cannot give frames; what was told is void.
    """
    # Imported here: each kind of video needs its own library alone.
    path, name = Path(request["path"]), request["name"]
    frames, clip = request["frames"], request["clip"]
    if path.is_dir():
        from videothinker.video.folders import read_folder  # noqa: PLC0415

        base, follow = Path(request["base"]), request["follow_links"]
        yield from read_folder(path, name, frames, clip, base=base, follow_links=follow)
    else:
        from videothinker.video.files import read_file  # noqa: PLC0415

        yield from read_file(path, name, frames, clip)


def serve() -> None:
    """Answer the requests on stdin: each message is its length (4 bytes), JSON, then pixels."""
    # FFmpeg's libraries write to fd 1 on rare errors; keep the answers on a private copy.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        ending: dict[str, Any] = {"end": True}
        request = json.loads(line)
        try:
            _hold_at_most(request["megabytes"])
            for message, pixels in answer(request):
                # Before a word is told: it may find no memory, and the parent counts on the pixels.
                shown = None if pixels is None else np.ascontiguousarray(pixels).data
                _tell(answers, message)
                if shown is not None:
                    answers.write(shown)
        except MemoryError:
            ending = {"full": True}
        except UserError as error:
            ending = {"error": str(error)}
        _tell(answers, ending)
        answers.flush()
        # PyAV's codecs lie in cycles, and hold their threads and memory until those are collected;
        # what is left, the libraries, need not be looked at again.
        gc.collect()
        gc.freeze()


def _hold_at_most(megabytes: int) -> None:
    """Beyond it, asking for memory fails, here and in the libraries; never above a limit set."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = megabytes * 1_000_000
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _tell(answers: Any, message: dict[str, Any]) -> None:
    words = json.dumps(message).encode()
    answers.write(len(words).to_bytes(4, "big") + words)
