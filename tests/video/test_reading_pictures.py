"""Pictures as they are shown: upright, pixels square, the moving stream, one size, bounded."""

import io
import os
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from tests.video.made_videos import corners, gray, read_corners, write, write_sizes
from videothinker.video import BadVideo, clips, files, read_clip, reading

ONE = 1 << 16


def matrix(a: int, b: int, c: int, d: int) -> list[int]:
    """A display matrix: `x' = a x + c y, y' = b x + d y`, x to the right and y down."""
    return [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize(
    ("sides", "shown"),
    [  # by hand: stored red green over blue white
        ((1, 0, 0, 1), "rgbw"),
        ((0, 1, -1, 0), "brwg"),  # a phone held upright: a quarter turn clockwise
        ((-1, 0, 0, -1), "wbgr"),
        ((0, -1, 1, 0), "gwrb"),
        ((-1, 0, 0, 1), "grwb"),  # mirrored, as some front cameras do
        ((1, 0, 0, -1), "bwrg"),
        ((0, 1, 1, 0), "rbgw"),
        ((0, -1, -1, 0), "wgbr"),
    ],
)
@pytest.mark.parametrize("name", ["v.mp4", "v.mov"])
def test_the_display_matrix_is_applied(
    tmp_path: Path, name: str, sides: tuple[int, int, int, int], shown: str
) -> None:
    def setup(stream: Any) -> None:
        stream.set_display_matrix(matrix(*sides))

    write(tmp_path / name, [corners()] * 3, setup=setup)
    clip = read_clip(tmp_path, name, 3)
    assert clip.frames.shape[1:3] == ((48, 64) if sides[0] else (64, 48))
    assert [read_corners(frame) for frame in clip.frames] == [shown] * 3


def test_a_turn_in_between_is_refused(tmp_path: Path) -> None:
    def setup(stream: Any) -> None:
        stream.set_display_rotation(30)

    write(tmp_path / "v.mp4", [corners()], setup=setup)
    with pytest.raises(BadVideo, match="turned by about"):
        read_clip(tmp_path, "v.mp4", 2)


@pytest.mark.parametrize(
    ("aspect", "width"),
    [("2", 128), ("1/2", 32), ("16/15", 68), ("8/9", 57), ("1", 64), ("111/112", 64)],
)
@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_pixels_are_made_square(tmp_path: Path, name: str, aspect: str, width: int) -> None:
    """A width is the stored one times the aspect; a shape that rounding made is left alone."""

    def setup(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)

    write(tmp_path / name, [corners()] * 2, setup=setup)
    clip = read_clip(tmp_path, name, 2)
    assert clip.frames.shape == (2, 48, width, 3)
    assert read_corners(clip.frames[1]) == "rgbw"


def test_pixels_are_made_square_before_the_turn(tmp_path: Path) -> None:
    def setup(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        stream.set_display_matrix(matrix(0, 1, -1, 0))

    write(tmp_path / "v.mp4", [corners()] * 2, setup=setup)
    clip = read_clip(tmp_path, "v.mp4", 2)
    assert clip.frames.shape == (2, 128, 48, 3)
    assert read_corners(clip.frames[0]) == "brwg"


def jpeg(width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (width, height), (250, 0, 0)).save(data, "JPEG", quality=5)
    return data.getvalue()


def write_with_cover(path: Path, *, first: bool, moving: bool = True) -> None:
    with av.open(str(path), "w", format="mp4" if path.suffix == ".m4a" else None) as out:
        streams: dict[str, Any] = {}
        for kind in ("cover", "video") if first else ("video", "cover"):
            if kind == "cover" or moving:
                stream = out.add_stream("mjpeg" if kind == "cover" else "libx264", rate=25)
                stream.width, stream.height = (200, 200) if kind == "cover" else (64, 48)
                stream.pix_fmt = "yuvj420p" if kind == "cover" else "yuv420p"
                streams[kind] = stream
        streams["cover"].disposition = Disposition.attached_pic
        packet = av.Packet(jpeg(200, 200))
        packet.stream, packet.pts, packet.dts = streams["cover"], 0, 0
        packet.time_base = Fraction(1, 25)
        out.mux(packet)
        if moving:
            for i in range(12):
                picture = av.VideoFrame.from_ndarray(gray(8 * i), format="rgb24")
                out.mux(streams["video"].encode(picture))
            out.mux(streams["video"].encode())


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
@pytest.mark.parametrize("first", [True, False])
def test_cover_art_is_not_the_video(tmp_path: Path, name: str, first: bool) -> None:
    """In Matroska a cover that is a track of its own looks like any other video of one frame."""
    write_with_cover(tmp_path / name, first=first)
    clip = read_clip(tmp_path, name, 12)
    assert clip.frames.shape == (12, 48, 64, 3)
    np.testing.assert_allclose(clip.frames.mean(axis=(1, 2, 3)), np.arange(12) * 8, atol=3)


def test_an_attached_picture_is_not_the_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "v.mkv"), "w") as out:
        out.add_attachment("cover.jpg", "image/jpeg", jpeg(200, 200))
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(gray(80), format="rgb24")))
        out.mux(stream.encode())
    assert read_clip(tmp_path, "v.mkv", 4).frames.shape == (1, 48, 64, 3)


def test_a_cover_alone_is_no_video(tmp_path: Path) -> None:
    write_with_cover(tmp_path / "song.m4a", first=True, moving=False)
    with pytest.raises(BadVideo, match="only a cover picture"):
        read_clip(tmp_path, "song.m4a", 4)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("v.webm", "libvpx"),
        ("v.mkv", "libvpx-vp9"),
        ("v.mkv", "mjpeg"),
        ("v.ts", "libx264"),
        ("v.mkv", "libx264"),
    ],
)
def test_a_change_of_size_is_brought_to_the_first_size(
    tmp_path: Path, name: str, codec: str
) -> None:
    write_sizes(tmp_path / name, [(64, 48), (128, 96), (80, 32)], codec)
    for frames in (6, 30):
        clip = read_clip(tmp_path, name, frames)
        wanted = np.linspace(0, 29, frames).round()
        assert clip.frames.shape == (frames, 48, 64, 3)
        np.testing.assert_allclose(clip.frames.mean(axis=(1, 2, 3)), 8 * wanted, atol=4)


# --- budgets -----------------------------------------------------------------------------------


def write_jpegs(path: Path, pictures: Sequence[bytes], width: int, height: int) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        for i, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts = stream, i, i
            packet.time_base, packet.is_keyframe = Fraction(1, 25), True
            out.mux(packet)


def test_the_child_holds_one_frame_at_a_time(tmp_path: Path) -> None:
    """Eight frames of 16 million pixels: 384 MB in RGB alone, where all were held at once."""
    write_jpegs(tmp_path / "large.mkv", [jpeg(4000, 4000)] * 8, 4000, 4000)
    reading._DECODER.stop()
    clip = read_clip(tmp_path, "large.mkv", 8)
    assert clip.frames.shape == (8, 4000, 4000, 3)
    child = reading._DECODER._child
    assert child is not None
    status = Path(f"/proc/{child.pid}/status")
    if status.is_file():
        (peak,) = [line for line in status.read_text().splitlines() if "VmHWM" in line]
        assert int(peak.split()[1]) < 400_000  # kB


def test_the_child_holds_the_threads_of_one_video(tmp_path: Path) -> None:
    """Their stacks count as memory: kept from video to video, they would use up the budget."""
    write(tmp_path / "a.mp4", [corners()] * 8)
    reading._DECODER.stop()
    threads = []
    for _ in range(12):
        read_clip(tmp_path, "a.mp4", 4)
        child = reading._DECODER._child
        assert child is not None
        tasks = Path(f"/proc/{child.pid}/task")
        threads.append(len(list(tasks.iterdir())) if tasks.is_dir() else 0)
    assert max(threads) <= threads[0]


def test_a_video_beyond_the_memory_budget_is_refused_and_the_next_one_reads(
    tmp_path: Path,
) -> None:
    """64 million pixels: 96 MB as stored and 192 MB in RGB, beside the decoder's own."""
    write_jpegs(tmp_path / "large.mkv", [jpeg(8000, 8000)], 8000, 8000)
    write_jpegs(tmp_path / "small.mkv", [jpeg(64, 48)] * 2, 64, 48)
    for _ in range(2):
        with pytest.raises(BadVideo, match=r"'large\.mkv' .*256 MB .*--decode-mega"):
            read_clip(tmp_path, "large.mkv", 1, megabytes=256)
        assert len(read_clip(tmp_path, "small.mkv", 2, megabytes=256).frames) == 2
    assert read_clip(tmp_path, "large.mkv", 1, megabytes=1024).frames.shape == (1, 8000, 8000, 3)


def test_frames_beyond_the_budget_are_refused(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "larger.mkv", [jpeg(9000, 8000)], 9000, 8000)
    with pytest.raises(BadVideo, match="9000x8000 pixels; at most 67 million"):
        read_clip(tmp_path, "larger.mkv", 2)


def test_a_frame_larger_than_the_header_says_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sizes(tmp_path / "v.webm", [(64, 48), (128, 96)], "libvpx")
    monkeypatch.setattr(files, "FRAME_PIXELS", 64 * 48)
    with pytest.raises(BadVideo, match="cannot be decoded"):
        list(files.read_file(tmp_path / "v.webm", "v.webm", 20, None))


def test_a_clip_beyond_the_budget_is_scaled_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def setup(stream: Any) -> None:
        stream.set_display_matrix(matrix(0, 1, -1, 0))

    write(tmp_path / "v.mp4", [corners()] * 8, setup=setup)
    monkeypatch.setattr(clips, "CLIP_PIXELS", 8 * 32 * 24)
    told = list(files.read_file(tmp_path / "v.mp4", "v.mp4", 8, None))
    assert [message["size"] for message, _ in told[1:]] == [[32, 24]] * 8
    assert {read_corners(pixels) for _, pixels in told[1:] if pixels is not None} == {"brwg"}


def test_a_png_that_claims_to_be_huge_is_refused_unread(tmp_path: Path) -> None:
    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    (tmp_path / "f").mkdir()
    (tmp_path / "f/1.png").write_bytes(data)
    with pytest.raises(BadVideo, match="60000x60000 pixels"):
        read_clip(tmp_path, "f", 2)


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(BadVideo, match="is a pipe"):
        read_clip(tmp_path, "pipe.mp4", 4)
