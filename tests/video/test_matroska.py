"""A Matroska file that is not whole is refused, however few frames it lacks."""

from pathlib import Path

import av
import pytest

from tests.video.made_videos import gray, write
from videothinker.video import BadVideo, read_clip

PICTURES = [gray(8 * i) for i in range(24)]


@pytest.fixture(params=["whole.mkv", "whole.webm"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    write(path, PICTURES, codec="libvpx" if path.suffix == ".webm" else "libx264")
    return path


def test_a_file_that_lacks_its_end_is_refused_wherever_it_was_cut(whole: Path) -> None:
    data = whole.read_bytes()
    for kept in range(400, len(data), 97):
        whole.write_bytes(data[:kept])
        with pytest.raises(BadVideo, match=whole.name):
            read_clip(whole.parent, whole.name, 32)


def test_a_part_left_out_in_the_middle_is_refused(whole: Path) -> None:
    data = whole.read_bytes()
    middle = len(data) // 2
    whole.write_bytes(data[:middle] + data[middle + 300 :])
    with pytest.raises(BadVideo, match=r"cut off or damaged at byte [\d,]+ of"):
        read_clip(whole.parent, whole.name, 32)


def test_what_lies_behind_the_video_is_no_damage(whole: Path) -> None:
    whole.write_bytes(whole.read_bytes() + bytes(range(1, 200)))
    assert len(read_clip(whole.parent, whole.name, 32).frames) == 24


def test_a_live_recording_tells_no_lengths_and_is_read(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "live.webm"), "w", options={"live": "1"}) as out:
        stream = out.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in PICTURES:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    assert (
        b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" in (tmp_path / "live.webm").read_bytes()
    )
    assert len(read_clip(tmp_path, "live.webm", 32).frames) == 24
