"""Frames of a size far from what a model was trained on are shown all the same, and said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from videothinker.console import say
from videothinker.models.border import read_object
from videothinker.records import Sample
from videothinker.run_file import read_run_file

FAR = 2.0
"""Frames count as far from training above this many times its largest size, or with this many times
their pixels still below its smallest. Ours: the paper itself evaluates with twice the pixels of its
training."""


@dataclass(frozen=True)
class Trained:
    """What a model saw."""

    least: int
    """Pixels of a frame."""
    most: int
    where: str
    """Who says so."""
    whole_video: bool = False
    """The pixels are those of all frames together."""


def trained_on(folder: Path | None) -> Trained | None:
    """The sizes that the run which made a model trained it on, else those of its preprocessor.

    Args:
        folder: where its weights lie; None of a served model.

    Returns:
        None where neither speaks of the pixels of frames or of whole videos.
    """
    if folder is None:
        return None
    told = folder.parent / "run.json"
    if folder.name == "model" and told.is_file():
        run = read_run_file(told)
        if run.stage.startswith("train_"):
            least, most = run.config.get("min_pixels"), run.config.get("max_pixels")
            if isinstance(least, int) and isinstance(most, int):
                return Trained(least, most, "the run that trained it")
    of_video = folder / "video_preprocessor_config.json"
    found = read_object(of_video) if of_video.is_file() else {}
    whole = str(found.get("video_processor_type")).startswith("Qwen3VL")
    path = of_video if whole else folder / "preprocessor_config.json"
    found = read_object(path) if path.is_file() else {}
    if not (whole or str(found.get("image_processor_type")).startswith("Qwen2")):
        return None  # others count edges
    told_size = found.get("size")
    size = told_size if isinstance(told_size, dict) else {}
    least = found.get("min_pixels") or size.get("shortest_edge")
    most = found.get("max_pixels") or size.get("longest_edge")
    if not (isinstance(least, int) and isinstance(most, int)):
        return None
    return Trained(least, most, f"its {path.name}", whole)


def tell_far(samples: Sequence[Sample], folder: Path | None) -> None:
    """Say so where frames were far from what the model in `folder` was trained on."""
    for line in far_lines(samples, trained_on(folder)):
        say(line)


def far_lines(samples: Sequence[Sample], trained: Trained | None) -> Iterator[str]:
    """One line, or none."""
    if trained is None:
        return
    whole = trained.whole_video
    shown = [s.height * s.width * (s.frames if whole else bool(s.frames)) for s in samples]
    shown = [pixels for pixels in shown if pixels]
    far = [n for n in shown if n > FAR * trained.most or FAR * n < trained.least]
    if far:
        what = "videos" if whole else "frames"
        sizes = " to ".join(f"{size:,}" for size in sorted({min(far), max(far)}))
        yield (
            f"warning: {len(far):,} of {len(shown):,} answers saw {what} of {sizes} pixels, far "
            f"from the {trained.least:,} to {trained.most:,} of {trained.where}; a model can do "
            "worse there: give --max-pixels, or other videos"
        )
