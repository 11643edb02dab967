"""The transcript tier: what the video shows, as text with a stated miss rate, in its place."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from videothinker.clevrer.annotations import SPLITS, annotation_path, read_annotation
from videothinker.clevrer.compact import render_compact
from videothinker.clevrer.transcript import render
from videothinker.records import Question
from videothinker.seeds import derive


def with_transcripts(
    questions: Sequence[Question], data: Path, *, miss_rate: float, seed: int, compact: bool = True
) -> Iterable[Question]:
    """Put each scene's transcript in the place of its video.

    All questions of a scene see one transcript: an event that is missing is missing for all.

    Args:
        questions: of a CLEVRER folder, with their `scene` in `groups`, scene by scene.
        data: that folder; one annotation is read at a time, with its trajectories.
        miss_rate: each event is missing at this rate.
        seed: of the misses, together with the scene.
        compact: the form in few tokens, which the small base models are trained on.
    """
    write = render_compact if compact else render
    last, context = -1, ""
    for question in questions:
        scene = int(question.groups["scene"])
        split = next(name for name, scenes in SPLITS.items() if scene in scenes)
        if last != scene:
            last = scene
            told = read_annotation(annotation_path(data, split, scene), trajectories=True)
            drawn = derive(seed, "diagnose", "transcript", scene)
            context = write(told, miss_rate=miss_rate, seed=drawn)
        yield msgspec.structs.replace(question, video=None, context=context)
