"""A list of questions as people have it -> our records, with all that was found on the way."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from videothinker.lists.layout import split_of
from videothinker.lists.notes import Notes, Problem
from videothinker.lists.places import Places
from videothinker.lists.rows import Draft, Reader
from videothinker.lists.said import base_of
from videothinker.lists.table import Table, read_table
from videothinker.records import Question

UNSPLIT = "unsplit"
"""The split of a list that names none: nothing is held out, and training says so."""


@dataclass(frozen=True)
class QuestionList:
    """What a list holds."""

    table: Table
    root: Path
    """Where its videos lie."""
    questions: list[Question]
    problems: list[Problem]
    """In the file's order; a row may have several."""
    notes: Notes = field(default_factory=Notes)
    named: tuple[tuple[str, Any], ...] = ()
    """All videos that its rows name, faulty ones too, each with the clip that is asked about."""

    def guesses(self) -> list[str]:
        """What must be confirmed, a sentence each."""
        return list(self.notes.lines(self.table.unit, "guessed"))

    def told(self) -> list[str]:
        """Everything else that was found, a sentence each."""
        return list(self.notes.lines(self.table.unit, "left out", "read", "made", "not read"))

    def left_out(self) -> dict[str, int]:
        """Why -> how many rows are no multiple-choice questions about videos."""
        return {what: count for what, (count, _) in self.notes.of("left out").items()}


def read_list(path: Path, root: Path, answers_from: int | None = None) -> QuestionList:
    """Read a list.

    Args:
        path: JSON lines, a JSON array, CSV, parquet or a `datasets` folder.
        root: the folder from which its videos' paths start.
        answers_from: number of the first choice where answers are places; None is as the whole
            file tells.

    Raises:
        UserError: it is no list at all (see `table.read_table`); what is wrong with single rows is
            in `QuestionList.problems`.
    """
    table = read_table(path)
    notes, problems = Notes(), list[Problem]()
    places = Places(root)
    reader = Reader(notes, problems, places)
    drafts: list[Draft] = []
    for row in table.rows:
        if row.broken:
            problems.append(Problem(row.number, row.broken, "mend or remove it"))
        else:
            drafts += reader.read(row.number, row.value)
    _beside(drafts, places, notes)
    problems += _outside(drafts, places)
    away = places.outside | places.urls
    drafts = [draft for draft in drafts if draft.video_name not in away]
    named = [(draft.video, draft.clip) for draft in drafts]
    named += [(_path(n, places), None) for n in reader.faulty if n not in away]
    drafts = _answered(drafts, answers_from, notes, problems)
    drafts = _named(drafts, path, notes, problems, table.unit)
    made = [_record(draft, path, notes, problems) for draft in drafts]
    problems.sort(key=lambda problem: problem.number)
    return QuestionList(
        table=table,
        root=root,
        questions=[question for question in made if question is not None],
        problems=problems,
        notes=notes,
        named=tuple((video, clip) for video, clip in named if video is not None),
    )


def _outside(drafts: Sequence[Draft], places: Places) -> Iterator[Problem]:
    """Videos that are not in the data folder; where all are in another, which one holds them."""
    names = [draft.video_name for draft in drafts if draft.video_name is not None]
    mend = "keep it inside"
    if names and places.outside.issuperset(names) and all(name[0] == "/" for name in names):
        folders = [os.path.dirname(name) for name in names]  # noqa: PTH120 (names, any)
        mend = f"give the videos' folder: --data-root {os.path.commonpath(folders)}"
    for draft in drafts:
        video = f"video {draft.video_name!r}"
        if draft.video_name in places.outside:
            yield Problem(draft.number, f"{video} lies outside its data folder {places.root}", mend)
        elif draft.video_name in places.urls:
            yield Problem(draft.number, f"{video} is a URL", "download it and give the file")


def _beside(drafts: Sequence[Draft], places: Places, notes: Notes) -> None:
    """Videos that are nowhere are looked for where the others of their folder turned out to lie."""
    for draft in drafts:
        if draft.video_name in places.lost and (found := places.beside(draft.video_name)):
            draft.video, guess = found
            places.urls.discard(draft.video_name)
            notes.add("guessed", guess, draft.number)


def _path(name: str, places: Places) -> str:
    found = places.beside(name) if name in places.lost else None
    return (found or places.find(name))[0]


def _answered(
    drafts: Sequence[Draft], given: int | None, notes: Notes, problems: list[Problem]
) -> list[Draft]:
    """Places turned into letters, by how the whole file counts; keys that disagree are told."""
    counted = [
        (place, len(d.choices), d.number) for d in drafts for s in d.said for place in s.places
    ]
    known = [(place, count) for place, count, _ in counted]
    base, guess = base_of(known) if given is None else (given, "")
    for _, _, number in counted:
        notes.add("guessed" if guess else "read", guess or f"places count from {base}", number)
    kept: list[Draft] = []
    for draft in drafts:
        answers = {said.resolve(base, len(draft.choices)) for said in draft.said}
        if None in answers:
            places = next(
                s.places for s in draft.said if s.resolve(base, len(draft.choices)) is None
            )
            what = f"answer {', '.join(map(str, places))} is no place among {len(draft.choices)}"
            problems.append(
                Problem(draft.number, what, f"this file counts from {base}: correct it")
            )
        elif len(answers) > 1:
            told = " and ".join("".join(answer or ()) for answer in sorted(answers, key=str))
            problems.append(
                Problem(draft.number, f"its answers say {told}", "make them one, or keep one key")
            )
        else:
            draft.answer = answers.pop() or () if answers else ()
            kept.append(draft)
    return kept


def _named(
    drafts: Sequence[Draft], path: Path, notes: Notes, problems: list[Problem], unit: str
) -> list[Draft]:
    """Every question its own id: its own, one within its video, or one made of what it says."""
    own = Counter(draft.id for draft in drafts if draft.id is not None)
    inside = Counter(_within(draft) for draft in drafts if draft.id is not None)
    made: set[str] = set()
    strict = any(draft.own for draft in drafts)
    repeats = not strict and max(own.values(), default=0) > 1 == max(inside.values(), default=0)
    for draft in drafts:
        if draft.id is None:
            draft.id = f"{path.stem}/{_digest(draft)}"
            made.add(draft.id)
            notes.add("made", "ids, of video, question and choices", draft.number)
        elif repeats:
            draft.id = _within(draft)
            notes.add("guessed", "ids come again: each is one within its video", draft.number)
    kept: list[Draft] = []
    seen: dict[str, Draft] = {}
    for draft in drafts:
        name = draft.id or ""
        first = seen.get(name)
        if first is not None and name in made:
            other = "" if draft.answer == first.answer else ", with another answer"
            what = f"asks the same as {unit} {first.number}{other}"
            problems.append(Problem(draft.number, what, "leave one of them out"))
        elif first is not None:
            what = f"id {name!r} is that of {unit} {first.number} too"
            problems.append(Problem(draft.number, what, "give each question its own"))
        else:
            seen[name] = draft
            kept.append(draft)
    return kept


def _within(draft: Draft) -> str:
    return f"{PurePosixPath(draft.video or '').stem}/{draft.id}"


def _digest(draft: Draft) -> str:
    """Twelve letters that stay while the question does, wherever in the file it stands."""
    said = (draft.video_name, draft.clip, draft.context, draft.question, draft.choices)
    return hashlib.sha256(repr(said).encode("utf-8", "replace")).hexdigest()[:12]


def _record(draft: Draft, path: Path, notes: Notes, problems: list[Problem]) -> Question | None:
    """The question, with what its row does not name and decides no answer."""
    if draft.dataset is None:
        notes.add("made", f"dataset {path.stem!r}, after the file", draft.number)
    if draft.type is None:
        notes.add("made", "type 'question'", draft.number)
    split = draft.split
    if split is None:
        split = UNSPLIT
        notes.add("made", f"split {UNSPLIT!r}: nothing is held out", draft.number)
    elif (split := split_of(split)) != draft.split:
        notes.add("read", f"split {draft.split} as {split}", draft.number)
    fields = {
        "id": draft.id,
        "dataset": draft.dataset or path.stem,
        "split": split,
        "video": draft.video,
        "clip": draft.clip,
        "context": draft.context,
        "question": draft.question,
        "question_struck": draft.premise_removed,
        "choices": draft.choices,
        "answer": draft.answer,
        "type": draft.type or "question",
        "groups": draft.groups,
    }
    try:
        return msgspec.convert(fields, Question)
    except msgspec.ValidationError as error:
        problems.append(Problem(draft.number, f"is no question: {error}", "correct it"))
        return None


def lines_of(listing: QuestionList) -> Iterator[str]:
    """Each problem with its place in the file."""
    for problem in listing.problems:
        yield f"{listing.table.place(problem.number)}: {problem}"
