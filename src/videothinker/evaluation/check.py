"""Is a download whole? Counts against the published ones, and every missing video by name."""

from pathlib import Path

from videothinker.console import say
from videothinker.datasets.benchmark import Benchmark
from videothinker.errors import UserError
from videothinker.video import BadVideo, locate

NAMED = 10
"""Missing videos named one by one; the rest is counted."""


def missing_videos(benchmark: Benchmark, root: Path) -> list[str]:
    """One sentence for each video that is missing, empty or outside the folder."""
    found: list[str] = []
    for video in dict.fromkeys(q.video for q in benchmark.questions if q.video is not None):
        try:
            locate(root, video)
        except BadVideo as error:
            found.append(str(error))
    return found


def check(benchmark: Benchmark, root: Path) -> None:
    """Say what is there and what is missing.

    Raises:
        UserError: something is; the first missing videos are named and all are counted.
    """
    say(f"{benchmark.name}: " + ", ".join(f"{k} {n:,}" for k, n in benchmark.counts().items()))
    wrong = benchmark.wrong_counts()
    missing = missing_videos(benchmark, root)
    for sentence in [*wrong, *missing[:NAMED]]:
        say(sentence)
    if wrong or missing:
        raise UserError(
            f"{root}: is not the whole of {benchmark.name}: {len(wrong)} counts differ, "
            f"{len(missing)} videos cannot be used; download what is named above"
        )
    say(f"{root}: the whole of {benchmark.name} is there")
