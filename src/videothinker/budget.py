"""What decoding one video may cost: `--deadline` and `--decode-megabytes` of every verb."""

import math
from typing import Any, TypedDict

from videothinker.errors import UserError

DEADLINE = 60.0
"""Seconds that decoding one clip may take."""
MEGABYTES = 2048
"""Memory, of 10^6 bytes, that the process which decodes may hold."""
LEAST = 256
"""The decoder's libraries take a part of it before they see a video."""


class Limits(TypedDict, total=False):
    """What `video.read_clip` may do for one video: its keywords."""

    deadline: float
    megabytes: int
    follow_links: bool


def limits(config: Any) -> Limits:
    """Those that a verb's settings give."""
    return {
        "deadline": config.deadline,
        "megabytes": config.decode_megabytes,
        "follow_links": config.follow_links,
    }


def check_budget(deadline: float, megabytes: int) -> None:
    """Refuse a budget in which nothing decodes.

    Raises:
        UserError: no time, or less memory than the decoder itself takes.
    """
    if not 0 < deadline < math.inf:
        raise UserError(f"deadline is {deadline}; give seconds above 0")
    if megabytes < LEAST:
        raise UserError(f"decode_megabytes is {megabytes}; give {LEAST} or more")
