"""Is a video file whole? By its first bytes and the length it announces; nothing is decoded.

Formats: ISO 14496-12 boxes (mp4, mov), EBML (mkv, webm; RFC 8794), RIFF (avi). A file that is whole
by its header can still be damaged inside; only decoding tells.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

EBML, SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp")
"""What an mp4 or mov may begin with."""
TRANSPORT = 188
"""Bytes of a packet of an MPEG transport stream; each begins with 0x47."""
AGAIN = "download it again"
CUT = f"ends in the middle ({{have:,}} of at least {{need:,}} bytes); {AGAIN}"


def damage(path: Path) -> str | None:
    """What is wrong with a video file, and what to do; None where its header shows nothing.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(2 * TRANSPORT + 1)
        if head[4:8] in BOXES:
            return _boxes(file, size)
        if head.startswith(EBML):
            return _ebml(head, size)
        if head.startswith(b"RIFF"):
            need = struct.unpack("<I", head[4:8])[0] + 8
            return CUT.format(have=size, need=need) if size < need else None
    packets = head[:1] == b"G" and head[TRANSPORT : TRANSPORT + 1] in (b"G", b"")
    if packets or head[4:5] == b"G":  # the latter with a time stamp before each (m2ts)
        return None
    return _no_video(head)


def _no_video(head: bytes) -> str:
    """What a file is that begins like no video."""
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer in the place of the video; run git lfs pull"
    if head.lstrip()[:1] == b"<":
        return f"is a web page or XML in the place of the video; {AGAIN}"
    return f"is no mp4, mov, mkv, webm, avi or ts ({head[:8]!r}); {AGAIN}"


def _boxes(file: BinaryIO, size: int) -> str | None:
    """The outer boxes, one behind the other up to the file's end; one of them is the index."""
    at, index = 0, False
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, name = struct.unpack(">I", head[:4])[0], head[4:8]
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        index |= name in (b"moov", b"moof")
        if length == 0:  # up to the end
            break
        if length < 8:
            return f"is damaged (a box {name!r} of {length} bytes at byte {at:,}); {AGAIN}"
        at += length
    if at > size:
        return CUT.format(have=size, need=at)
    return None if index else f"has no index (no moov box: its recording or copying broke); {AGAIN}"


def _ebml(head: bytes, size: int) -> str | None:
    """A header and a segment behind it, which says how long it is, or that it does not know."""
    length, at = _number(head, len(EBML))
    at += length
    if head[at : at + 4] != SEGMENT:
        return None
    length, start = _number(head, at + 4)
    unknown = length == (1 << 7 * (start - at - 4)) - 1
    need = start + length
    return CUT.format(have=size, need=need) if not unknown and size < need else None


def _number(data: bytes, at: int) -> tuple[int, int]:
    """An EBML length, whose leading zeros say of how many bytes; and where it ends."""
    width = 9 - data[at].bit_length() if at < len(data) and data[at] else 1
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return value, at + width
