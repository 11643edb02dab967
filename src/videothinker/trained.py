"""What a training run trained on, as it writes it down and as later stages ask about it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from videothinker.records import Question, read_jsonl
from videothinker.run_file import RunFile, read_run_file

QUESTIONS = Path("checkpoints") / "questions.jsonl"
"""In the run's folder."""
READ = ("id", "video", "clip", "context", "question", "choices", "answer", "type")
"""The fields of a question that training reads, beside the pair it belongs to."""


class Used(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A question of the run, as it was."""

    question_id: str
    held_out: bool
    label: str
    digest: str
    """Of what training reads of it."""


def digest(question: Question) -> str:
    """Of what training reads of a question."""
    told = [getattr(question, name) for name in READ] + [question.groups.get("pair")]
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16]


def read_used(run: Path) -> tuple[Used, ...]:
    """What a run wrote down of its questions, in its order; empty where it has not begun."""
    path = run / QUESTIONS
    return tuple(read_jsonl(path, Used)) if path.is_file() else ()


def asked_again(model: Path | None, questions: Sequence[Question]) -> int:
    """How many of `questions` are in the training list of the run that made a model.

    A question whose premise was removed for the training is another one.

    Args:
        model: its folder, `model/` or a checkpoint of a run; none is known of any other.
        questions: those that it is to answer.
    """
    runs = (model.parent, model.parent.parent) if model is not None else ()
    known = {row.digest for run in runs for row in read_used(run) if not row.held_out}
    return sum(digest(question) in known for question in questions) if known else 0


def saw_no_video(model: Path | None) -> bool:
    """Was a model made by `pretrain` on transcripts alone? Of any other none is known.

    Args:
        model: its folder.
    """
    file = None if model is None else model.parent / "run.json"
    run = read_run_file(file) if file is not None and file.is_file() else RunFile()
    return run.stage == "pretrain" and run.config.get("tier") == "transcript"
