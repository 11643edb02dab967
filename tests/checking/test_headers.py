"""Whole files pass, and every cut of one is told, by formats that PyAV wrote."""

import av
import numpy as np
import pytest

from videothinker.checking.headers import damage


def written(path, codec):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(8):
            picture = np.full((48, 64, 3), 30 * i, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("ending", "codec"),
    [("mp4", "mpeg4"), ("mov", "mpeg4"), ("mkv", "mpeg4"), ("avi", "mpeg4"), ("ts", "mpeg4")],
)
def test_a_whole_file_passes_and_a_cut_one_does_not(tmp_path, ending, codec):
    path = written(tmp_path / f"a.{ending}", codec)
    assert damage(path) is None
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    if ending == "ts":  # it says nowhere how long it is
        assert damage(path) is None
    else:
        told = damage(path)
        assert told is not None
        assert f"ends in the middle ({len(data) * 2 // 3:,} of at least " in told


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x08free", "has no index"),
        (b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x02mdat", "a box b'mdat' of 2 bytes at byte 16"),
        (b"<!DOCTYPE html><title>404</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"nothing like a video", "is no mp4, mov, mkv, webm, avi or ts (b'nothing ')"),
        (b"{}", "is no mp4"),
    ],
)
def test_what_is_no_video_is_named(tmp_path, data, says):
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    assert says in (damage(path) or "")
