"""A benchmark's name -> how it is read."""

from pathlib import Path

from videothinker.benchmarks import (
    authors_list,
    clevrer,
    jsonl,
    mmvu,
    mvbench,
    tempcompass,
    video_holmes,
    videomme,
)
from videothinker.benchmarks.base import Benchmark
from videothinker.errors import UserError

FIXED = {
    "mmvu": mmvu.load,
    "video-holmes": video_holmes.load,
    "mvbench": mvbench.load,
    "tempcompass": tempcompass.load,
    "videomme": videomme.load,
    "video-holmes-list": authors_list.load_video_holmes,
    "mvbench-list": authors_list.load_mvbench,
}
NAMES = ("clevrer", *FIXED, "jsonl")


def load(name: str, data: Path, split: str | None = None) -> Benchmark:
    """Read a benchmark.

    Args:
        name: one of NAMES; `-list` is the authors' format.
        data: its folder as downloaded, or the file where the format is one file.
        split: of CLEVRER and of our own records; the other benchmarks have one.

    Raises:
        UserError: an unknown name, or files that are not the published ones.
    """
    if name == "clevrer":
        return clevrer.load(data, split or "validation")
    if name == "jsonl":
        return jsonl.load(data, split)
    if name not in FIXED:
        raise UserError(f"benchmark {name!r} is unknown; allowed are {', '.join(NAMES)}")
    return FIXED[name](data)
