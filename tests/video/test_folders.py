"""A folder of images is a video: in the order of its numbers, and through the same checks."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.video.made_videos import corners, gray, read_corners
from videothinker.video import BadVideo, check_there, read_clip


def put(folder: Path, levels: dict[str, int], width: int = 8, height: int = 6) -> Path:
    """Images by name, each of a flat gray."""
    folder.mkdir(exist_ok=True, parents=True)
    for name, level in levels.items():
        Image.fromarray(gray(level, width, height)).save(folder / name)
    return folder


def levels_of(root: Path, name: str, frames: int) -> list[int]:
    return read_clip(root, name, frames).frames[:, 0, 0, 0].tolist()


def test_a_folder_reads_like_a_video_of_three_frames_a_second(tmp_path: Path) -> None:
    put(tmp_path / "f", {f"{i:05d}.png": 10 * i for i in range(6)})
    clip = read_clip(tmp_path, "f", 3, clip=(0.3, 1.7))
    np.testing.assert_allclose(clip.frames[:, 0, 0, 0], [10, 30, 50])
    np.testing.assert_allclose(clip.times, [1 / 3, 1, 5 / 3])
    assert clip.seconds == pytest.approx(1.4)
    whole = read_clip(tmp_path, "f", 32)
    assert (len(whole.frames), whole.seconds) == (6, pytest.approx(2.0))


@pytest.mark.parametrize("name", ["frame_{}.png", "{}.png", "s01e02_{}.PNG", "Frame {}.png"])
def test_order_is_natural(tmp_path: Path, name: str) -> None:
    put(tmp_path / "f", {name.format(i): i for i in range(30)})
    assert levels_of(tmp_path, "f", 30) == list(range(30))


def test_order_by_two_numbers(tmp_path: Path) -> None:
    names = [f"shot{s}_{i}.png" for s in (1, 2, 10) for i in (9, 10)]
    put(tmp_path / "f", {name: 10 * place for place, name in enumerate(names)})
    assert levels_of(tmp_path, "f", 6) == [0, 10, 20, 30, 40, 50]


def test_gaps_in_numbers_are_gaps_in_time(tmp_path: Path) -> None:
    """Levels are the numbers: 1 to 10, then 91 to 100, so that the middle stands still."""
    numbers = [*range(1, 11), *range(91, 101)]
    put(tmp_path / "f", {f"img_{n}.png": n for n in numbers})
    clip = read_clip(tmp_path, "f", 12)
    assert clip.frames[:, 0, 0, 0].tolist() == [1, 10, 10, 10, 10, 10, 91, 91, 91, 91, 91, 100]
    np.testing.assert_allclose(clip.times, (clip.frames[:, 0, 0, 0] - 1.0) / 3)
    assert clip.seconds == pytest.approx(100 / 3)
    assert levels_of(tmp_path, "f", 32) == numbers


def test_hidden_files_are_no_frames(tmp_path: Path) -> None:
    put(tmp_path / "f", {f"frame_{i}.png": 10 * i for i in range(4)})
    for i in range(4):
        (tmp_path / f"f/._frame_{i}.png").write_bytes(b"\x00\x05\x16\x07AppleDouble")
    (tmp_path / "f/.DS_Store").write_bytes(b"x")
    (tmp_path / "f/notes.txt").write_text("x")
    assert levels_of(tmp_path, "f", 8) == [0, 10, 20, 30]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], "holds no images"),
        (["a.png", "b.png"], "not one numbered sequence"),
        (["frame_1.png", "frame_2.png", "thumb.png"], "not one numbered sequence"),
        (["frame_1.png", "frame_01.png"], "not one numbered sequence"),
        (["t0.5.png", "t0.25.png", "t1.0.png"], "not one numbered sequence"),
    ],
)
def test_an_unclear_order_is_refused(tmp_path: Path, names: list[str], says: str) -> None:
    put(tmp_path / "f", dict.fromkeys(names, 0))
    for read in (check_there, lambda root, name: read_clip(root, name, 2)):
        with pytest.raises(BadVideo, match=says):
            read(tmp_path, "f")


def test_images_of_several_sizes_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "f", {f"{i}.png": i for i in range(8)})
    put(tmp_path / "f", {"8.png": 8}, width=9)
    with pytest.raises(BadVideo, match=r"2 sizes \(0\.png 8x6, 8\.png 9x6\)"):
        read_clip(tmp_path, "f", 2)


@pytest.mark.parametrize(("name", "width"), [("\udcff8.png", 8), ("f\udcff8.png", 8), ("0.png", 9)])
def test_a_name_that_is_not_utf8_can_be_told(tmp_path: Path, name: str, width: int) -> None:
    """As GBK leaves it on a disk; a failure is stored as UTF-8."""
    put(tmp_path / "f", {f"\udcff{i}.png": i for i in range(2)})
    put(tmp_path / "f", {name: 3}, width=width)
    if name == "\udcff8.png":
        assert len(read_clip(tmp_path, "f", 4).frames) == 3
        return
    with pytest.raises(BadVideo, match=r"\\udcff|one numbered") as caught:
        read_clip(tmp_path, "f", 4)
    str(caught.value).encode()


def test_a_photographs_orientation_is_applied(tmp_path: Path) -> None:
    """6 in EXIF: the stored picture is to be turned clockwise."""
    (tmp_path / "f").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(2):
        Image.fromarray(corners()).save(tmp_path / f"f/{i}.jpg", exif=exif, quality=95)
    clip = read_clip(tmp_path, "f", 2)
    assert clip.frames.shape == (2, 64, 48, 3)
    assert read_corners(clip.frames[1]) == "brwg"


def test_sixteen_bits_are_refused_and_not_clipped(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    Image.fromarray(np.full((6, 8), 30000, np.uint16)).save(tmp_path / "f/1.png")
    with pytest.raises(BadVideo, match="8 bits a channel"):
        read_clip(tmp_path, "f", 2)


@pytest.mark.parametrize("kind", ["garbage", "cut", "empty", "folder", "pipe"])
def test_a_bad_image_is_named_and_never_hangs(tmp_path: Path, kind: str) -> None:
    folder = put(tmp_path / "f", {f"{i}.png": 10 * i for i in range(4)}, width=300, height=300)
    bad = folder / "4.png"
    if kind == "garbage":
        bad.write_bytes(b"garbage" * 100)
    elif kind == "cut":
        bad.write_bytes((folder / "3.png").read_bytes()[:-100])
    elif kind == "empty":
        bad.touch()
    elif kind == "folder":
        bad.mkdir()
    else:
        os.mkfifo(bad)
    with pytest.raises(BadVideo, match=r"4\.png"):
        read_clip(tmp_path, "f", 5)


def test_links_to_images_keep_to_the_root(tmp_path: Path) -> None:
    put(tmp_path / "outside", {f"{i}.png": 10 * i for i in range(4)})
    put(tmp_path / "root/frames", {f"{i}.png": 10 * i for i in range(4)})
    for place, target in (("out", tmp_path / "outside"), ("in", tmp_path / "root/frames")):
        (tmp_path / f"root/{place}").mkdir()
        for i in range(4):
            (tmp_path / f"root/{place}/{i}.png").symlink_to(target / f"{i}.png")
    assert levels_of(tmp_path / "root", "in", 4) == [0, 10, 20, 30]
    with pytest.raises(BadVideo, match=r"symbolic link .* --follow-links"):
        read_clip(tmp_path / "root", "out", 4)
    followed = read_clip(tmp_path / "root", "out", 4, follow_links=True)
    assert followed.frames[:, 0, 0, 0].tolist() == [0, 10, 20, 30]
