"""What a resumed run must find unchanged: the questions that it has used, not the file's bytes.

A run records its questions in `checkpoints/`, which no digest covers. Its list may change until it
is resumed, as long as (1) the questions drawn up to the last checkpoint are drawn again, in the
same order, with the same words, answer, video and label, and (2) the validation slice is the same,
once it was used. So the resumed run ends in the steps and weights that the list as it is now
would have given from the start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import msgspec

from videothinker import console
from videothinker.algorithms.base import TrainConfig
from videothinker.errors import UserError
from videothinker.records import Sample, read_jsonl, write_jsonl
from videothinker.trained import QUESTIONS, Used, digest, read_used
from videothinker.training.checkpoints import last_checkpoint, read_progress
from videothinker.training.data import Part, TrainingSet, part_of

BAD_VIDEOS = "bad_videos.jsonl"


class LeftOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A video whose questions were left out."""

    video: str
    clip: tuple[float, float] | None
    reason: str


@dataclass(frozen=True)
class Past:
    """How far a run has come, up to its last checkpoint, and with what."""

    step: int = 0
    position: int = 0
    """Questions drawn."""
    used: tuple[Used, ...] = ()
    """All questions of the run, in its order; empty where it has not begun."""
    left_out: dict[Part, str] = field(default_factory=dict)
    """Bad videos -> why. Their questions stay out of the run even if they were mended since."""


def read_past(run: Path) -> Past:
    """What an earlier process left in the run folder."""
    folder = run / "checkpoints"
    last, used = last_checkpoint(folder), read_used(run)
    if last is None:
        return Past(used=used)
    state = read_progress(last)
    path = folder / BAD_VIDEOS
    bad = {(row.video, row.clip): row.reason for row in read_jsonl(path, LeftOut)} if used else {}
    return Past(state.step, state.position, used, bad)


def refusal(past: Past, data: TrainingSet, config: TrainConfig) -> str | None:
    """What has changed of that which the run has used, and why it counts; null if nothing has."""
    old, now = past.used, _used(data)
    (was, was_held), (here, held) = _split(old), _split(now)
    if config.sampling != "uniform":
        why = f"sampling {config.sampling!r} weighs each question against the whole list"
    elif past.position > len(was):
        why = "it has gone through the whole list"
    else:
        why = "its place in the list was drawn"
        was, here = was[: past.position], here[: past.position]
    pair = _first_difference(was, here) if past.position else None
    if pair is None and config.eval_steps and past.step >= config.eval_steps:
        why = "it has been validated on its held-out slice"
        pair = _first_difference(was_held, held)
    if pair is None:
        return None
    return f"{_told(*pair, old, now, data)}, and up to step {past.step} {why}"


def check_unchanged(past: Past, data: TrainingSet, config: TrainConfig) -> None:
    """Refuse a run whose past the list does not fit any more.

    Raises:
        UserError: something that was used has changed (it is named), or what was used is unknown.
    """
    if past.position and not past.used:
        raise UserError(
            f"{config.out}: was begun by an older version, which did not record its questions; "
            "give another --out"
        )
    changed = refusal(past, data, config)
    if changed is not None:
        raise UserError(
            f"{config.out} holds a run on another list: {changed}; undo that, or give another --out"
        )


def record(run: Path, past: Past, data: TrainingSet) -> None:
    """Write down the run's questions and what it leaves out, before its next step."""
    now, folder = tuple(_used(data)), run / "checkpoints"
    gone, new = set(past.used) - set(now), set(now) - set(past.used)
    if past.used and past.used != now:
        console.say(
            f"{data.source} has changed since the run began ({len(gone)} questions gone, "
            f"{len(new)} new, a changed one being both), but nothing that the run has used: it "
            "goes on"
        )
    _forget_success(run / "success.jsonl", {row.question_id for row in gone})
    bad = [LeftOut(video=p[0], clip=p[1], reason=reason) for p, reason in data.bad.items()]
    write_jsonl(folder / BAD_VIDEOS, bad)
    write_jsonl(run / QUESTIONS, now)


def _used(data: TrainingSet) -> list[Used]:
    return [
        Used(
            question_id=q.id,
            held_out=held_out,
            label=data.labels.get(q.id, "unlabelled"),
            digest=digest(q),
        )
        for held_out, part in ((False, data.train), (True, data.validation))
        for q in part
    ]


def _forget_success(path: Path, gone: set[str]) -> None:
    """Measured answers to questions that are not there any more, or have changed."""
    if gone and path.is_file():
        write_jsonl(path, [s for s in read_jsonl(path, Sample) if s.question_id not in gone])


def _split(rows: Sequence[Used]) -> tuple[list[Used], list[Used]]:
    """Those in training, and those in validation."""
    return [r for r in rows if not r.held_out], [r for r in rows if r.held_out]


def _first_difference(
    was: Sequence[Used], now: Sequence[Used]
) -> tuple[Used | None, Used | None] | None:
    """What stands at the first place at which they differ; null where they do not."""
    return next(((a, b) for a, b in zip_longest(was, now) if a != b), None)


def _told(
    old: Used | None, new: Used | None, was: Sequence[Used], now: Sequence[Used], data: TrainingSet
) -> str:
    """A difference in words."""
    known, here = ({row.question_id for row in rows} for rows in (was, now))
    if old is not None and old.question_id not in here:
        lost = any(q.id == old.question_id and part_of(q) in data.bad for q in data.pool)
        return f"question {old.question_id!r} {'has lost its video' if lost else 'is gone'}"
    if new is not None and new.question_id not in known:
        return f"question {new.question_id!r} has come in"
    if old is None or new is None or old.question_id != new.question_id:
        moved = old or new
        assert moved is not None
        return f"question {moved.question_id!r} has moved"
    if old.digest == new.digest:
        labels = f"{old.label} there, {new.label} here"
        return f"question {old.question_id!r} has another label ({labels})"
    return f"question {old.question_id!r} has other words, choices, answer, type or video"
