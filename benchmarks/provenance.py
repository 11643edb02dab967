"""What a measurement was taken of."""

import subprocess
from pathlib import Path


def commit() -> str | None:
    """What this was measured at, with a + where files differ; null without git or its folder."""
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        told = subprocess.run(
            [*words, "--exclude", "*"], check=False, capture_output=True, text=True
        )
    except OSError:
        return None
    return told.stdout.strip() or None
