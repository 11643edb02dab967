"""Videos put into the page itself: as they are where small, shrunk where not."""

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from videothinker.console import progress
from videothinker.errors import UserError
from videothinker.video import read_clip
from videothinker.video.encode import write_mp4

LARGEST = 200_000
"""Bytes; a video of at most this size is embedded unchanged."""
FRAMES, WIDTH = 32, 240
"""What is left of a larger one: this many frames, evenly spaced, at most this wide (pixels)."""


def shrink(path: Path) -> bytes:
    """A small MP4 of the same length.

    Raises:
        UserError: the video cannot be read.
    """
    clip = read_clip(path.parent, path.name, FRAMES)
    height, width = clip.frames.shape[1:3]
    scale = min(1.0, WIDTH / width)
    size = (2 * max(1, round(width * scale / 2)), 2 * max(1, round(height * scale / 2)))
    small = [np.asarray(Image.fromarray(frame).resize(size)) for frame in clip.frames]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "small.mp4"
        write_mp4(out, np.stack(small), len(small) / max(clip.seconds, 0.1))
        return out.read_bytes()


def embed(paths: Sequence[Path], megabytes: float) -> dict[int, str]:
    """Number -> base64 of an MP4 of each path, in order, as far as there is room.

    One that cannot be shrunk, or has no room, stays a link; the page counts those.
    """
    found: dict[int, str] = {}
    room = int(megabytes * 1_000_000)
    with progress("embedding videos", len(paths)) as bar:
        for number, path in enumerate(paths):
            bar.advance()
            try:
                data = path.read_bytes() if path.stat().st_size <= LARGEST else shrink(path)
            except UserError:
                continue
            text = base64.b64encode(data).decode()
            if len(text) <= room:
                room -= len(text)
                found[number] = text
    return found
