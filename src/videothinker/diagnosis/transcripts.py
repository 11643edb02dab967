"""The transcript tier: what the video shows, as text with a stated miss rate, in its place."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from videothinker.clevrer.annotations import SPLITS, annotation_path, complain, read_annotation
from videothinker.clevrer.compact import render_compact
from videothinker.clevrer.transcript import render
from videothinker.errors import UserError
from videothinker.records import Question
from videothinker.seeds import derive


def with_transcripts(
    questions: Sequence[Question],
    data: Path,
    *,
    miss_rate: float,
    seed: int,
    compact: bool = True,
    problems: list[UserError] | None = None,
) -> Iterator[Question]:
    """Put each scene's transcript in the place of its video.

    All questions of a scene see one transcript: an event that is missing is missing for all.

    Args:
        questions: of a CLEVRER folder, with their `scene` in `groups`, scene by scene.
        data: that folder; one annotation is read at a time, with its trajectories.
        miss_rate: each event is missing at this rate.
        seed: of the misses, together with the scene.
        compact: the form in few tokens, which the small base models are trained on.
        problems: collect what is wrong (such scenes are left out); else the first is raised.

    Raises:
        UserError: an annotation whose trajectories cannot be told.
    """
    write = render_compact if compact else render
    for scene, group in groupby(questions, key=lambda question: int(question.groups["scene"])):
        split = next(name for name, scenes in SPLITS.items() if scene in scenes)
        path = annotation_path(data, split, scene)
        drawn = derive(seed, "diagnose", "transcript", scene)
        try:
            told = write(read_annotation(path, trajectories=True), miss_rate=miss_rate, seed=drawn)
        except UserError as error:
            text = str(error)
            complain(problems, text if text.startswith(str(path)) else f"{path}: {text}")
            continue
        for question in group:
            yield msgspec.structs.replace(question, video=None, context=told)
