"""What every benchmark's file gives: how it is asked, counted and scored, and its questions."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from videothinker.benchmarks.protocols import Protocol
from videothinker.errors import UserError
from videothinker.records import Question

OwnVerdict = Literal["right", "wrong", "judge", "left out"]
"""What a benchmark's own rule says of an answer; `judge`: its authors ask a judge model where the
rule finds nothing; `left out`: they take such an answer out of the denominator."""


@dataclass(frozen=True)
class OwnMetric:
    """How a benchmark's authors score an answer."""

    words: str
    """Their rule in our words, with its source."""
    rule: Callable[[Question, str], OwnVerdict] | None = None
    """Question and completion -> verdict; None where a judge model decides every answer."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: what its authors say of it, and once it is loaded what was read."""

    name: str
    questions: tuple[Question, ...] = ()
    files: tuple[Path, ...] = ()
    """What was read."""
    groupings: tuple[str, ...] = ()
    """Keys of `Question.groups` (or `type`) by which it is officially reported, in order."""
    expected: Mapping[str, int] = field(default_factory=dict)
    """What a whole download holds: a grouping's value, or `questions`, `videos`, -> how many."""
    needs_judge: Mapping[str, int] = field(default_factory=dict)
    """Kind -> questions whose official metric needs a judge model; never silently left out."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why -> questions of the files that are not among `questions`."""
    official: Protocol | None = None
    """Its own prompt and settings; None where there is no such thing (jsonl)."""
    own: OwnMetric | None = None
    """None where the authors publish no way to read a text (CLEVRER), or there are none (jsonl)."""
    several: bool = False
    """Several choices can be right."""
    has_splits: bool = False
    """`load` takes one."""
    authors_options: str = "{question}Options:\n{choices}\n\n"
    """How the script of VideoThinker's authors puts question and choices."""
    published: tuple[float | None, ...] = ()
    """Percent in the main table of arXiv 2605.01324, in the order of `published.MODELS`."""

    def of(self, questions: Sequence[Question], *files: Path, **told: Any) -> "Benchmark":
        """This benchmark with what was read from `files`; `told` are fields that reading tells."""
        return replace(self, questions=tuple(questions), files=files, **told)

    def counts(self) -> dict[str, int]:
        """What is there, under the names of `expected`; a question that comes twice counts once."""
        different = {q.id: q for q in self.questions}.values()
        return {
            "questions": len(different),
            "videos": len({q.video for q in different if q.video is not None}),
            **{f"needs a judge: {kind}": n for kind, n in self.needs_judge.items()},
            **Counter(f"{key} {group_of(q, key)}" for q in different for key in self.groupings),
        }

    def wrong_counts(self) -> list[str]:
        """One sentence for each count that is not the published one."""
        found = self.counts()
        return [
            f"{name}: {found.get(name, 0):,} found, {wanted:,} published, "
            f"{abs(wanted - found.get(name, 0)):,} "
            f"{'missing' if found.get(name, 0) < wanted else 'too many'}"
            for name, wanted in self.expected.items()
            if found.get(name, 0) != wanted
        ]


def group_of(question: Question, key: str) -> str:
    """A question's value under a grouping."""
    return question.type if key == "type" else question.groups.get(key, "?")


def kinds_of(questions: Sequence[Question]) -> dict[str, list[str]]:
    """`a video`, `a transcript` or `neither` -> ids of the questions shown with it."""
    found: dict[str, list[str]] = {}
    for question in questions:
        video, told = question.video is not None, question.context is not None
        kind = "a video" if video else "a transcript" if told else "neither"
        found.setdefault(kind, []).append(question.id)
    return found


def tier_of(questions: Sequence[Question]) -> Literal["video", "transcript"]:
    """What is shown with the questions.

    Raises:
        UserError: with some a video and with some a transcript, or with some neither; each kind is
            counted and its first question named.
    """
    kinds = kinds_of(questions)
    if len(kinds) > 1 or "neither" in kinds:
        raise UserError(
            "questions of one kind are allowed together, all with a video or all with a transcript "
            f"(context), and there are {told_kinds(kinds)}; split the list by kind"
        )
    return "transcript" if "a transcript" in kinds else "video"


def told_kinds(kinds: Mapping[str, Sequence[str]]) -> str:
    """`3 with a video (first 'q1'), 2 with neither (first 'q7')`."""
    return ", ".join(f"{len(ids):,} with {kind} (first {ids[0]!r})" for kind, ids in kinds.items())
