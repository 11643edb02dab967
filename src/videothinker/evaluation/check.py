"""Is a download whole? Every item that cannot be asked is counted, against the published counts."""

from pathlib import Path

from videothinker.benchmarks.base import Benchmark
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.video import BadVideo, check_there

NAMED = 10
"""Missing videos named one by one; the rest is counted."""


def missing_videos(benchmark: Benchmark, root: Path, *, follow_links: bool) -> dict[str, str]:
    """Video -> one sentence, for each that is missing, empty or outside the folder."""
    found: dict[str, str] = {}
    for video in dict.fromkeys(q.video for q in benchmark.questions if q.video is not None):
        try:
            check_there(root, video, follow_links=follow_links)
        except BadVideo as error:
            found[video] = str(error)
    return found


def check(benchmark: Benchmark, root: Path, *, follow_links: bool = False) -> None:
    """Say what is there and what is missing.

    Raises:
        UserError: something is; the first missing videos are named and all items are counted.
    """
    counts = benchmark.counts()
    say(f"{benchmark.name}: " + ", ".join(f"{k} {n:,}" for k, n in counts.items()))
    wrong = benchmark.wrong_counts()
    missing = missing_videos(benchmark, root, follow_links=follow_links)
    for sentence in [*wrong, *list(missing.values())[:NAMED]]:
        say(sentence)
    usable = len({q.id for q in benchmark.questions if q.video not in missing})
    if wrong or missing:
        published = max(benchmark.expected.get("questions", 0), counts["questions"])
        raise UserError(
            f"{root}: is not the whole of {benchmark.name}: {usable:,} of {published:,} questions "
            f"can be asked; {len(wrong)} counts differ, {len(missing):,} videos cannot be used; "
            "download what is named above"
        )
    if not benchmark.expected:
        say(f"{root}: all {usable:,} questions have their videos; no counts are published for them")
        return
    say(f"{root}: the whole of {benchmark.name} is there, {usable:,} questions")
