"""Is a Matroska or WebM file whole? Its parts stand end to end, each with its own length.

FFmpeg goes on behind a damaged part where the next one begins, and says nothing of the frames in
between. Only the parts' heads are read. Source: RFC 8794 (EBML) and RFC 9559 (Matroska).
"""

import os
from pathlib import Path
from typing import IO

from videothinker.video.clips import BadVideo

HEAD, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
LONGEST = 12
"""Bytes of a part's head: its name takes up to 4, its length up to 8."""


def check_chain(path: Path, name: str) -> None:
    """Walk from part to part to the end of the file.

    Parts whose length was not known when they were written, as in a live recording, end where the
    file does.

    Raises:
        BadVideo: a part is cut off, or stands where none can.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = _part(file, 0)
        if head is None or head[0] != HEAD or head[2] is None:
            return  # FFmpeg says what it is
        position, ends = head[1] + head[2], [size]
        while position < size:
            found = _part(file, position)
            end = size if found is None or found[2] is None else found[1] + found[2]
            if found is None or end > ends[-1]:
                raise BadVideo(
                    f"video {name!r} is cut off or damaged at byte {position:,} of {size:,}; "
                    "download it again"
                )
            entered = found[0] in (SEGMENT, CLUSTER)
            ends += [min(end, ends[-1])] if entered else []
            position = found[1] if entered else end
            while ends and position >= ends[-1]:
                ends.pop()
            if len(ends) == 1:
                return  # behind the segment players look no further


def _part(file: IO[bytes], position: int) -> tuple[int, int, int | None] | None:
    """A part's kind, where its content starts, and its length; None where no part can stand."""
    file.seek(position)
    head = file.read(LONGEST)
    if not head or not head[0] >> 4:
        return None
    wide = 9 - head[0].bit_length()
    rest = head[wide:]
    if not rest or not rest[0]:
        return None
    long = 9 - rest[0].bit_length()
    if len(rest) < long:
        return None
    mask = (1 << 7 * long) - 1
    length = int.from_bytes(rest[:long], "big") & mask
    kind = int.from_bytes(head[:wide], "big")
    return kind, position + wide + long, None if length == mask else length
