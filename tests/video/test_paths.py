"""What may be opened: what lies inside the data folder; links that lead out of it, if meant."""

import os
import socket
from pathlib import Path

import pytest

from tests.video.made_videos import gray, write
from videothinker.video import BadVideo, locate, read_clip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data folder with a video, and another disk beside it with one more."""
    for name in ("root/videos", "disk"):
        (tmp_path / name).mkdir(parents=True)
    write(tmp_path / "root/videos/in.mp4", [gray(40)] * 2)
    write(tmp_path / "disk/out.mp4", [gray(200)] * 2)
    return tmp_path / "root"


def test_a_linked_folder_is_read_where_links_are_meant(root: Path) -> None:
    (root / "linked").symlink_to(root.parent / "disk")
    with pytest.raises(BadVideo, match=r"behind a symbolic link .* give --follow-links"):
        read_clip(root, "linked/out.mp4", 2)
    clip = read_clip(root, "linked/out.mp4", 2, follow_links=True)
    assert clip.frames.mean() == pytest.approx(200, abs=3)


def test_a_hub_cache_is_one_folder_with_its_blobs(tmp_path: Path) -> None:
    """`snapshots/REVISION/x.mp4 -> ../../blobs/HASH`: the file has no suffix of its own."""
    (tmp_path / "blobs").mkdir()
    snapshot = tmp_path / "snapshots/abc123/videos"
    snapshot.mkdir(parents=True)
    write(tmp_path / "blobs/00ff.mp4", [gray(120)] * 2)
    (tmp_path / "blobs/00ff.mp4").rename(tmp_path / "blobs/00ff")
    (snapshot / "a.mp4").symlink_to("../../../blobs/00ff")
    for root, name in ((snapshot.parent, "videos/a.mp4"), (snapshot, "a.mp4")):
        assert read_clip(root, name, 2).frames.mean() == pytest.approx(120, abs=3)
    (tmp_path / "other").mkdir()
    (tmp_path / "blobs/00ff").rename(tmp_path / "other/00ff")
    (tmp_path / "blobs/00ff").symlink_to("../other/00ff")
    with pytest.raises(BadVideo, match="symbolic link"):
        locate(snapshot, "a.mp4")


def test_links_inside_and_a_linked_root_need_no_leave(root: Path, tmp_path: Path) -> None:
    (root / "again.mp4").symlink_to("videos/in.mp4")
    assert len(read_clip(root, "again.mp4", 2).frames) == 2
    (tmp_path / "short").symlink_to(root)
    assert len(read_clip(tmp_path / "short", "videos/in.mp4", 2).frames) == 2


@pytest.mark.parametrize("follow_links", [False, True])
def test_names_never_lead_out(root: Path, follow_links: bool) -> None:
    for name in ("../disk/out.mp4", "videos/../../disk/out.mp4", str(root.parent / "disk/out.mp4")):
        with pytest.raises(BadVideo, match="lies outside"):
            read_clip(root, name, 2, follow_links=follow_links)


@pytest.mark.parametrize("follow_links", [False, True])
def test_no_name_is_a_traceback(root: Path, follow_links: bool) -> None:
    (root / "round.mp4").symlink_to("around.mp4")
    (root / "around.mp4").symlink_to("round.mp4")
    (root / "gone.mp4").symlink_to("videos/none.mp4")
    (root / "empty.mp4").touch()
    os.mkfifo(root / "pipe.mp4")
    names = {
        "a\0b.mp4": "cannot be found",
        "n" * 400 + ".mp4": "cannot be found",
        "d/" * 3000: "cannot be found",
        "\ud800.mp4": "cannot be found",
        "round.mp4": "cannot be found",
        "videos/in.mp4/more.mp4": "cannot be found|missing",
        "gone.mp4": "a symbolic link leads to",
        "none.mp4": "missing .* --data-root",
        "empty.mp4": "is empty",
        "pipe.mp4": "is a pipe",
    }
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(root)  # a socket's path is short
        listening.bind("socket.mp4")
        os.chdir(here)
        names["socket.mp4"] = "is a pipe, a socket or a device"
        for name, says in names.items():
            with pytest.raises(BadVideo, match=says) as caught:
                read_clip(root, name, 2, follow_links=follow_links)
            str(caught.value).encode()  # can be printed and stored
            assert len(str(caught.value)) < 700
    assert len(read_clip(root, "videos/in.mp4", 2).frames) == 2


def test_a_device_is_not_opened(root: Path) -> None:
    (root / "zero.mp4").symlink_to("/dev/zero")
    with pytest.raises(BadVideo, match="symbolic link"):
        read_clip(root, "zero.mp4", 2)
    with pytest.raises(BadVideo, match="a device"):
        read_clip(root, "zero.mp4", 2, follow_links=True)
