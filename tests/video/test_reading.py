"""Video in: the frames at their times, all of them where there are few, or one clear sentence."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.video.made_videos import gray, write
from videothinker.errors import UserError
from videothinker.video import BadVideo, files, read_clip


def write_video(path: Path, count: int = 24, *, gop: int = 6, codec: str = "libx264") -> None:
    """A clip whose frame i is a flat gray of level 8 i."""
    write(path, [gray(8 * i) for i in range(count)], gop=gop, codec=codec)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    write_video(root / "gray.mp4")
    write_video(root / "gray.mkv")
    return root


@pytest.mark.parametrize("name", ["gray.mp4", "gray.mkv"])
@pytest.mark.parametrize("frames", [1, 2, 5, 24])
def test_frames_are_the_uniformly_spaced_ones(folder: Path, name: str, frames: int) -> None:
    clip = read_clip(folder, name, frames)
    wanted = np.linspace(0, 23, frames).round().astype(int)
    assert clip.frames.shape == (frames, 48, 64, 3)
    assert clip.frames.dtype == np.uint8
    np.testing.assert_allclose(clip.frames.mean(axis=(1, 2, 3)), wanted * 8, atol=3)
    np.testing.assert_allclose(clip.times, wanted / 25, atol=1e-3)
    assert clip.seconds == pytest.approx(24 / 25, abs=1e-3)


BURST = [*(i / 24 for i in range(24)), *range(2, 8)]
"""24 frames in the first second, then one a second: seven seconds."""


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.avi"])
def test_a_variable_rate_is_uniform_in_time(tmp_path: Path, name: str) -> None:
    """Each frame's gray level is 30 times the second at which it comes up."""
    if name == "v.avi":  # its times are whole frames; between two it stores empty ones
        write_avi(tmp_path / name, [round(24 * t) for t in BURST])
    else:
        write(tmp_path / name, [gray(round(30 * t)) for t in BURST], times=BURST)
    clip = read_clip(tmp_path, name, 8)
    np.testing.assert_allclose(clip.times, [0, 23 / 24, 2, 3, 4, 5, 6, 7], atol=2e-3)
    np.testing.assert_allclose(clip.frames.mean(axis=(1, 2, 3)), 30 * clip.times, atol=3)
    held = read_clip(tmp_path, name, 15)  # half a second apart: some frames stand that long
    np.testing.assert_allclose(held.frames.mean(axis=(1, 2, 3)), 30 * held.times, atol=3)
    assert np.abs(held.times - np.arange(15) / 2).max() <= 0.51
    every = read_clip(tmp_path, name, 32)
    np.testing.assert_allclose(every.times, BURST, atol=2e-3)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_the_last_frame_stands_as_long_as_the_file_says(tmp_path: Path, name: str) -> None:
    """Half a second, after frames of 1/24 s and of a second."""
    with av.open(str(tmp_path / name), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)  # no frames out of order, whose durations differ
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in BURST:
            frame = av.VideoFrame.from_ndarray(gray(round(30 * time)), format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            for packet in stream.encode(frame):
                if time == BURST[-1]:
                    packet.duration = 500
                out.mux(packet)
    assert read_clip(tmp_path, name, 8).seconds == pytest.approx(7.5, abs=2e-3)


def write_avi(path: Path, places: list[int]) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for place in places:
            frame = av.VideoFrame.from_ndarray(gray(round(30 * place / 24)), format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, 24)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def test_files_joined_end_to_end_go_on_counting(tmp_path: Path) -> None:
    """Each part of a joined transport stream has its own clock, the last one's is ahead."""
    for part, start in enumerate((0.0, 0.0, 0.2)):
        pictures = [gray(level) for level in range(80 * part, 80 * part + 80, 8)]
        times = [start + i / 25 for i in range(10)]
        write(tmp_path / f"{part}.ts", pictures, times=times)
    parts = [(tmp_path / f"{part}.ts").read_bytes() for part in range(3)]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    for frames in (5, 30):
        clip = read_clip(tmp_path, "joined.ts", frames)
        wanted = np.linspace(0, 29, frames).round()
        np.testing.assert_allclose(clip.frames.mean(axis=(1, 2, 3)), 8 * wanted, atol=3)
        np.testing.assert_allclose(clip.times, wanted / 25, atol=1e-3)
    # in the first part by the joined clock, in the third by its own
    early = read_clip(tmp_path, "joined.ts", 5, clip=(0.19, 0.37))
    np.testing.assert_allclose(early.frames.mean(axis=(1, 2, 3)), 40 + 8 * np.arange(5), atol=3)


@pytest.mark.parametrize("name", ["gray.avi", "gray.ts", "gray.webm"])
def test_containers_without_exact_times_or_seeking(tmp_path: Path, name: str) -> None:
    """B-frames in AVI carry the order of decoding; transport streams seek between keyframes."""
    write_video(tmp_path / name, gop=24, codec="libvpx-vp9" if name == "gray.webm" else "libx264")
    for frames in (6, 24):
        clip = read_clip(tmp_path, name, frames)
        wanted = np.linspace(0, 23, frames).round().astype(int)
        np.testing.assert_allclose(clip.frames.mean(axis=(1, 2, 3)), wanted * 8, atol=3)
        np.testing.assert_allclose(np.diff(clip.times), np.diff(wanted) / 25, atol=1e-3)


def test_frames_before_an_edit_list_are_not_shown(folder: Path, tmp_path: Path) -> None:
    """A clip cut at frame 9 without encoding it anew."""
    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    with (
        av.open(str(folder / "gray.mp4")) as whole,
        av.open(str(tmp_path / "cut.mp4"), "w", options=options) as out,
    ):
        stream = out.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None and packet.pts is not None:
                packet.pts -= round(9 / 25 / packet.time_base)
                packet.dts -= round(9 / 25 / packet.time_base)
                packet.stream = stream
                out.mux(packet)
    clip = read_clip(tmp_path, "cut.mp4", 15)
    np.testing.assert_allclose(clip.frames.mean(axis=(1, 2, 3)), np.arange(9, 24) * 8, atol=3)
    assert len(read_clip(tmp_path, "cut.mp4", 16).frames) == 15


def test_a_clip_keeps_to_its_seconds(folder: Path) -> None:
    clip = read_clip(folder, "gray.mp4", 3, clip=(0.4, 0.6))
    np.testing.assert_allclose(clip.times, [0.4, 0.48, 0.6], atol=0.021)
    assert clip.times.min() >= 0.4
    assert clip.times.max() <= 0.6


def test_a_seek_over_a_long_gap_finds_the_same_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "long.mp4", 31, gop=5)
    whole = read_clip(tmp_path, "long.mp4", 31)
    two = read_clip(tmp_path, "long.mp4", 2)
    np.testing.assert_array_equal(two.frames, whole.frames[[0, 30]])


def test_a_truncated_file_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("gray.mp4", "gray.mkv"):
        data = (folder / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
        with pytest.raises(BadVideo, match=name):
            read_clip(tmp_path, name, 4)


def test_a_truncated_faststart_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fast.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(40):
            frame = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(BadVideo, match="fast"):
        read_clip(tmp_path, "fast.mp4", 8)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.mp4", b"", "is empty"),
        ("text.mp4", b"not a video " * 50, "cannot be decoded"),
        ("list.mp4", b"ffconcat version 1.0\nfile 'gray.mp4'\n", "cannot be decoded"),
    ],
)
def test_what_is_no_video_is_refused(
    folder: Path, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / "gray.mp4").write_bytes((folder / "gray.mp4").read_bytes())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadVideo, match=says):
        read_clip(tmp_path, name, 4)


def test_a_short_video_gives_all_it_has(folder: Path, tmp_path: Path) -> None:
    clip = read_clip(folder, "gray.mp4", 32)
    np.testing.assert_allclose(clip.frames.mean(axis=(1, 2, 3)), np.arange(24) * 8, atol=3)
    part = read_clip(folder, "gray.mp4", 32, clip=(0.8, 9.0))
    np.testing.assert_allclose(part.times, [0.8, 0.84, 0.88, 0.92], atol=1e-3)
    assert part.seconds == pytest.approx(0.16)
    write_video(tmp_path / "one.mp4", 1)
    one = read_clip(tmp_path, "one.mp4", 32)
    assert (len(one.frames), one.times.tolist(), one.seconds) == (1, [0.0], 0.04)
    with pytest.raises(UserError, match="at least 1"):
        read_clip(folder, "gray.mp4", 0)


def test_frames_are_not_numbered_where_some_do_not_decode(folder: Path) -> None:
    picture = files._Picture(1, "gray.mp4")
    with pytest.raises(BadVideo, match="24 of 25 frames decode"):
        list(files._in_order(folder / "gray.mp4", picture, {0: [0]}, total=25))


def test_an_unknown_codec_is_named(folder: Path, tmp_path: Path) -> None:
    data = (folder / "gray.mp4").read_bytes()
    (tmp_path / "odd.mp4").write_bytes(data.replace(b"avc1", b"zzzz"))
    with pytest.raises(BadVideo, match="codec that is unknown"):
        read_clip(tmp_path, "odd.mp4", 4)


def test_a_title_that_is_not_utf8_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "t.mp4"
    with av.open(str(path), "w", metadata_encoding="gbk") as out:
        out.metadata["title"] = "\u89c6\u9891"
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(gray(80), format="rgb24")))
        out.mux(stream.encode())
    assert "\u89c6\u9891".encode("gbk") in path.read_bytes()
    assert read_clip(tmp_path, "t.mp4", 4).frames.mean() == pytest.approx(80, abs=3)


def test_the_deadline_kills_and_the_next_video_still_reads(folder: Path) -> None:
    with pytest.raises(BadVideo, match=r"within 1e-06 s"):
        read_clip(folder, "gray.mp4", 4, deadline=1e-6)
    assert len(read_clip(folder, "gray.mp4", 4).frames) == 4


def test_a_frame_that_does_not_decode_is_named(folder: Path, tmp_path: Path) -> None:
    """Its first message is told already: the parent drops what was told."""
    data = bytearray((folder / "gray.mkv").read_bytes())
    told = list(files.read_file(folder / "gray.mkv", "gray.mkv", 24, None))
    assert len(told) == 25
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    (tmp_path / "hole.mkv").write_bytes(data)
    with pytest.raises(BadVideo, match="hole"):
        read_clip(tmp_path, "hole.mkv", 24)
    assert len(read_clip(folder, "gray.mkv", 4).frames) == 4


def test_the_real_clip(shared: Path) -> None:
    clip = read_clip(shared / "clevrer", "video_12176.mp4", 128)
    assert clip.frames.shape == (128, 320, 480, 3)
    np.testing.assert_allclose(clip.times, np.arange(128) / 25, atol=1e-3)
