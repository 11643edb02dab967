"""Small videos whose pixels say when they are shown, or which corner is which."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

CORNERS = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255)}


def gray(level: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def corners(width: int = 64, height: int = 48) -> np.ndarray:
    """Red and green above, blue and white below."""
    picture = np.zeros((height, width, 3), np.uint8)
    for name, (row, column) in zip("rgbw", ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
        rows = slice(row * height // 2, (row + 1) * height // 2)
        picture[rows, column * width // 2 : (column + 1) * width // 2] = CORNERS[name]
    return picture


def read_corners(picture: np.ndarray) -> str:
    """The names of the corners, row by row."""
    height, width, _ = picture.shape
    names = {tuple(c > 128 for c in rgb): name for name, rgb in CORNERS.items()}
    places = [(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return "".join(names[tuple(bool(c > 128) for c in picture[place])] for place in places)


def write(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    rate: Fraction | int = 25,
    fmt: str | None = None,
    gop: int = 6,
    setup: Callable[[Any], None] | None = None,
) -> None:
    """Encode pictures at a constant rate, or at times in seconds, kept as milliseconds."""
    options = {"crf": "1", "g": str(gop)} if codec == "libx264" else {}
    with av.open(str(path), "w", format=fmt) as out:
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, _ = pictures[0].shape
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if setup is not None:
            setup(stream)
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[i] * 1000), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def write_sizes(path: Path, sizes: Sequence[tuple[int, int]], codec: str) -> None:
    """Ten frames of each size (width, height) in one stream; frame i is gray of level 8 i."""
    form = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    second = Fraction(1, 25)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        (stream.width, stream.height), stream.pix_fmt = sizes[0], form
        for part, (width, height) in enumerate(sizes):
            encoder = av.CodecContext.create(codec, "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, form
            encoder.time_base, encoder.framerate = second, Fraction(25)
            encoder.options = {"bf": "0"} if codec == "libx264" else {}
            packets = []
            for i in range(10 * part, 10 * part + 10):
                frame = av.VideoFrame.from_ndarray(gray(8 * i, width, height), format="rgb24")
                frame.pts, frame.time_base = i, second
                packets += encoder.encode(frame)
            for packet in packets + encoder.encode():
                packet.stream, packet.time_base = stream, second
                out.mux(packet)
