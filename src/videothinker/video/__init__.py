"""A video file or a folder of frames -> uint8 frames `T H W 3`, their times, and how long it is."""

from videothinker.video.clips import BadVideo, Clip
from videothinker.video.paths import locate
from videothinker.video.reading import check_there, read_clip

__all__ = ["BadVideo", "Clip", "check_there", "locate", "read_clip"]
