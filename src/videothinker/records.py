"""The records that travel down the line, one JSON object a line.

All are frozen, an unknown field is an error with file and line, and an answer is a sorted tuple of
letters. Aggregates are computed from these records, never from the state of a loop.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from videothinker import files
from videothinker.errors import UserError
from videothinker.ranks import is_alive

Letters = tuple[str, ...]
Label = Literal["observational", "inferential", "excluded"]
Verdict = Literal["ok", "unparsed", "truncated", "failed"]
Variant = Literal["full", "struck", "blind", "one_frame", "shuffled", "options_only"]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One multiple-choice question about one video (or about a transcript in its place)."""

    id: str
    dataset: str
    split: str
    video: str | None = None
    """Path relative to the data folder."""
    clip: tuple[float, float] | None = None
    """Start and end in seconds, where only a part of the video is asked about."""
    context: str | None = None
    """Text shown in place of a video (the transcript tier)."""
    question: str
    question_struck: str | None = None
    """The question without its counterfactual premise; null where it has none."""
    choices: tuple[str, ...]
    answer: Letters
    """Sorted letters; empty where no choice is correct."""
    type: str
    """descriptive | explanatory | predictive | counterfactual, or the benchmark's own type."""
    groups: dict[str, str] = {}

    def __post_init__(self) -> None:
        letters = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(self.choices)])
        if not self.choices:
            raise ValueError(f"question {self.id!r} has no choices; give at least one")
        if len(self.choices) > len(letters):
            raise ValueError(f"question {self.id!r} has {len(self.choices)} choices; at most 26")
        if list(self.answer) != sorted(set(self.answer)) or not set(self.answer) <= set(letters):
            raise ValueError(
                f"question {self.id!r} has answer {list(self.answer)}; "
                f"allowed are sorted letters among {', '.join(letters)}"
            )
        if (self.video is None) == (self.context is None) and self.video is not None:
            raise ValueError(f"question {self.id!r} has both a video and a context; give one")


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Why a question got its label: what the logs say."""

    removed: str | None = None
    """The object the premise takes away, as the question names it."""
    observed: tuple[str, ...] = ()
    """Events seen in the video, in order: "frame 41: red cube collides with blue sphere"."""
    truth_video: tuple[bool, ...] = ()
    """For each choice: does it happen in the video?"""
    truth_counterfactual: tuple[bool, ...] = ()
    """For each choice: does it happen once the object is removed?"""


class Diagnosis(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The label of one question under the chosen rule, with every rule's flag and the evidence."""

    question_id: str
    rule: str
    label: Label
    flags: dict[str, bool | None] = {}
    """rule -> observational? null where the rule does not apply."""
    evidence: Evidence = Evidence()
    probes: dict[str, tuple[int, int]] = {}
    """probe -> (correct answers, samples)."""


AUDIT = "audit.jsonl"
"""The file of `Audited` records, in a diagnose folder and in evaluations of it."""


class Audited(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What becomes of one question in the hands of every answerer that simulates nothing."""

    question_id: str
    cluster: str
    """Its video: what is said about one video is not independent evidence."""
    label: Label | None = None
    """None where nothing labels it."""
    kind: str | None = None
    """Its type, or the benchmark's own grouping, where it has no label."""
    part: str | None = None
    """Of an inferential question: does it give itself away?"""
    gives_itself_away: bool | None = None
    right: dict[str, bool]
    """Answerer -> right, all options at once."""
    chance: float
    """What a guess is worth; of several letters where questions of its type have several."""
    family: str | None = None
    """The questions that differ from it in their premise alone share it."""
    ceiling: float | None = None
    """The largest share of one answer among these."""


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One answer of one model to one question."""

    question_id: str
    model: str
    """Digest of the model's weights; of a served model its name, and how it is shown a video."""
    protocol: str
    variant: Variant = "full"
    seed: int = 0
    frames: int = 0
    """Frames shown: fewer than asked for where the video has no more. One is shown twice by a
    model that takes two at a time."""
    height: int = 0
    width: int = 0
    """Pixels a frame as the model sees them."""
    prompt_tokens: int = 0
    text: str = ""
    """The completion, whole."""
    thinking: str | None = None
    answer: Letters | None = None
    """Strictly parsed; null where nothing could be."""
    verdict: Verdict
    exact: float = 0.0
    soft: float = 0.0
    format: float = 0.0
    error: str | None = None
    """Why it failed; a failure stays in the denominator."""
    lenient: Letters | None = None
    """What a forgiving parser reads; never scored, only reported beside."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One optimisation step of training."""

    step: int
    loss: float
    reward: dict[str, float] = {}
    """reward function -> mean over all completions drawn, those of dropped groups included."""
    divergence: float | None = None
    """Mean a token of the divergence that is trained, in nats; null where there is none. The
    KL(policy || bias) that controller and guard look at is `kl` among the metrics."""
    entropy: float | None = None
    """Mean entropy of the policy a token, in nats."""
    valid: float = 0.0
    """Share of completions with a valid format."""
    repulsion: float = 0.0
    """The weight in force at this step (after controller and guard); negative attracts."""
    dropped_groups: int = 0
    """Groups without signal: all rewards equal."""
    guard: str | None = None
    """What the guard did at this step, in words."""
    metrics: dict[str, float] = {}
    """Everything else: clip share, completion length, accuracy by label, tokens a second."""


R = TypeVar("R", bound=msgspec.Struct)


def encode(record: msgspec.Struct | Mapping[str, Any]) -> bytes:
    """One line of JSON, newline included, fields in the order of the class or the mapping."""
    return msgspec.json.encode(record) + b"\n"


def write_atomic(path: Path, data: bytes) -> None:
    """Write all of a file, or nothing."""
    with files.writing(path) as file:
        file.write(data)


def leftovers(path: Path) -> list[Path]:
    """What kills left of `files.writing(path)`: halves of the file, safe to delete."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9]+\.tmp")
    return [p for p in path.parent.iterdir() if name.fullmatch(p.name) and not p.is_dir()]


def write_alone(path: Path, data: bytes) -> None:
    """As `write_atomic`, of a file outside run folders: what kills left of earlier tries goes.

    Raises:
        UserError: the disk is full or cannot be written.
    """
    with files.on_disk(path):
        for left in leftovers(path) if path.parent.is_dir() else ():
            if not is_alive(int(left.name.split(".")[-2])):
                left.unlink(missing_ok=True)
        write_atomic(path, data)


def halves(folder: Path) -> list[Path]:
    """The same of all that was written in or below a folder whose lock the caller holds."""
    name = re.compile(r"\..+\.[0-9]+\.tmp")
    return [p for p in folder.rglob(".*.tmp") if name.fullmatch(p.name) and not p.is_dir()]


def write_jsonl(path: Path, records: Iterable[msgspec.Struct]) -> Path:
    """Write records, one JSON object a line, atomically."""
    write_atomic(path, b"".join(encode(record) for record in records))
    return path


def iter_jsonl(path: Path, kind: type[R]) -> Iterator[R]:
    """Read records of one kind; blank lines are skipped.

    Raises:
        UserError: the file is missing, or a line is not such a record (file and line named).
    """
    for found in _decoded(path, kind):
        if isinstance(found, str):
            raise files.all_of([found], _allowed(kind))
        yield found


def read_jsonl(path: Path, kind: type[R]) -> list[R]:
    """All records of `path`; see `iter_jsonl`.

    Raises:
        UserError: the file is missing, or lines are no such records: all are named in one list.
    """
    records: list[R] = []
    problems: list[str] = []
    for found in _decoded(path, kind):
        if isinstance(found, str):
            problems.append(found)
        else:
            records.append(found)
    if problems:
        raise files.all_of(problems, _allowed(kind))
    return records


def _allowed(kind: type[msgspec.Struct]) -> str:
    return f"allowed is one object a line with the fields {', '.join(kind.__struct_fields__)}"


def _decoded(path: Path, kind: type[R]) -> Iterator[R | str]:
    """Each line's record, or what is wrong with it, in words with file and line."""
    decoder = msgspec.json.Decoder(kind)
    try:
        file = files.opened(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a .jsonl file") from error
    with file:
        head = file.read(files.HEAD)
        files.refuse_foreign(path, head, "a .jsonl file, one JSON object a line")
        files.refuse_whole(path, head, _allowed(kind))
        file.seek(0)
        for number, line in enumerate(file, 1):
            text = line.removeprefix(files.BOM) if number == 1 else line
            if not text.strip():
                continue
            try:
                found = decoder.decode(text)
                if encode(found).rstrip() != text.rstrip():  # not as we write it
                    files.refuse_repeats(text)
            except UnicodeDecodeError as error:
                raise files.not_utf8(f"{path}:{number}", error) from error
            except (ValueError, RecursionError) as error:  # of msgspec and json
                yield f"{path}:{number}: not a {kind.__name__} record: {error}"
            else:
                yield found
