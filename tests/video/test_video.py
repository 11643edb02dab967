"""Video in: exactly the frames asked for, or one clear sentence."""

import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from videothinker.video import BadVideo, pick, read_clip


def write_video(
    path: Path, count: int = 24, *, gop: int = 6, fmt: str | None = None, codec: str = "libx264"
) -> np.ndarray:
    """A clip whose frame i is a flat gray of level 8 i; returns the levels."""
    levels = np.arange(count) * 8
    with av.open(str(path), "w", format=fmt) as out:
        stream = out.add_stream(codec, rate=25, options={"crf": "1", "g": str(gop)})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in levels:
            frame = np.full((48, 64, 3), level, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    return levels


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
    with pytest.raises(BadVideo, match="has 15 frames, 16 were asked for"):
        read_clip(tmp_path, "cut.mp4", 16)


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


def test_nothing_outside_the_root_is_opened(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.mp4").symlink_to(folder / "gray.mp4")
    for name in ("../gray.mp4", str(folder / "gray.mp4"), "link.mp4"):
        with pytest.raises(BadVideo, match="outside"):
            read_clip(root, name, 4)
    with pytest.raises(BadVideo, match="missing"):
        read_clip(root, "none.mp4", 4)


def test_fewer_frames_than_asked_is_an_error(folder: Path) -> None:
    with pytest.raises(BadVideo, match="24 frames, 25 were asked"):
        read_clip(folder, "gray.mp4", 25)
    with pytest.raises(BadVideo, match="between"):
        read_clip(folder, "gray.mp4", 4, clip=(0.9, 9.0))


def test_a_hang_is_killed_and_the_next_video_still_reads(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hang.mp4")
    with pytest.raises(BadVideo, match="within 1 s"):
        read_clip(tmp_path, "hang.mp4", 4, deadline=1.0)
    assert len(read_clip(folder, "gray.mp4", 4).frames) == 4


def test_a_frame_folder_reads_like_a_video(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    for i in range(6):
        Image.fromarray(np.full((8, 8, 3), i * 10, np.uint8)).save(tmp_path / f"f/{i:05d}.png")
    clip = read_clip(tmp_path, "f", 3, clip=(0.3, 1.7))
    np.testing.assert_allclose(clip.frames[:, 0, 0, 0], [10, 30, 50])


def test_pick_takes_both_ends() -> None:
    np.testing.assert_array_equal(pick(np.arange(10.0), 4, (2.0, 8.0), "x"), [2, 4, 6, 8])


def test_the_real_clip(shared: Path) -> None:
    clip = read_clip(shared / "clevrer", "video_12176.mp4", 128)
    assert clip.frames.shape == (128, 320, 480, 3)
    np.testing.assert_allclose(clip.times, np.arange(128) / 25, atol=1e-3)
