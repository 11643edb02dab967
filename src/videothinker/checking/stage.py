"""The verbs `check` and `convert`: what is wrong with a list of questions, and the list as ours."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from videothinker import hub
from videothinker.benchmarks.jsonl import CONFIRM, data_root, unconfirmed
from videothinker.checking.config import CheckConfig, ConvertConfig
from videothinker.checking.videos import bad_videos
from videothinker.console import count, say
from videothinker.errors import UserError
from videothinker.files import NAMED
from videothinker.lists.notes import Problem
from videothinker.lists.reading import QuestionList, read_list
from videothinker.lists.table import list_in
from videothinker.records import Question, encode, write_alone


class Checked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `check` and `convert` found, for `--json`."""

    list: str
    rows: int
    questions: int
    """Rows, or turns of their conversations, that are whole multiple-choice questions."""
    data_root: str
    problems: tuple[Problem, ...]
    guesses: tuple[str, ...]
    accepted: bool
    """The guesses, by --accept-guesses."""
    read: tuple[str, ...]
    """What was read in other words than ours, made, left out or not read."""
    missing: dict[str, str]
    """Video -> why."""
    damaged: dict[str, str]
    """Video -> why."""
    written: str | None = None
    """The file that `convert` wrote."""

    @property
    def failures(self) -> int:
        """Problems, bad videos, guesses that nobody has accepted; a list without a question."""
        open_guesses = 0 if self.accepted else len(self.guesses)
        found = len(self.problems) + len(self.missing) + len(self.damaged) + open_guesses
        return found or int(self.questions == 0)


def check(path: Path, config: CheckConfig) -> Checked:
    """Say all that is wrong with a list, and all that was read, made or guessed of it.

    Args:
        path: JSON lines, a JSON array, CSV, parquet or a `datasets` folder.
        config: see `CheckConfig`.

    Raises:
        UserError: it is no list at all.
    """
    given, path = path, list_in(hub.local(path))
    root = config.data_root or data_root(path)
    listing = _read(path, root, config)
    found = _found(listing, listing.named, config, decode=config.decode)
    _tell_videos(found)
    if config.out is not None:
        write_alone(config.out, b"".join(_lines(found, listing.table.unit)))
    where = f" --data-root {hub.as_given(root)}" if config.data_root else ""
    counted = "" if config.answers_from is None else f" --answers-from {config.answers_from}"
    if not found.rows:
        say(f"{path}: is empty; give a file with questions in it")
    elif not found.questions:
        say(f"{path}: holds no whole question; mend what is named above and check again")
    elif found.problems or found.missing or found.damaged:
        flags = where + counted + (f" {CONFIRM}" if found.guesses else "")
        flags += " --keep-going" if found.problems else ""
        say(
            f"{path}: {_count(found)}; mend what is named above and check again, or write the "
            f"whole questions: videothinker convert {hub.as_given(path)}{flags} --out FILE"
        )
    elif found.guesses and not found.accepted:
        say(f"{path}: {_count(found)}; where every guess is right, add {CONFIRM} to each command")
    else:
        say(f"{path}: all its questions can be asked")
        confirmed = f" {CONFIRM}" if found.guesses else ""
        asked = hub.as_given(given if hub.is_address(given) else path)
        if counted:
            say(f"next: videothinker convert {asked}{where}{counted}{confirmed} --out FILE")
        else:
            say(f"next: videothinker diagnose {asked}{where}{confirmed} --out runs/audit")
    return found


def convert(path: Path, config: ConvertConfig) -> Checked:
    """Write a list as our records; videos that are missing are told and hinder nothing.

    Args:
        path: see `check`.
        config: see `ConvertConfig`.

    Raises:
        UserError: it is no list at all; rows have problems and `keep_going` is off; guesses are
            not accepted; or another file is in the way. Nothing is written then.
    """
    path = list_in(hub.local(path))
    root = config.data_root or data_root(path)
    listing = _read(path, root, config)
    guesses = listing.guesses()
    if listing.problems and not config.keep_going:
        raise UserError(
            f"{path}: {count(len(listing.problems), 'problem')}, named above; nothing was "
            "written. Mend them, or leave their rows out with --keep-going"
        )
    if not listing.questions:
        raise UserError(f"{path}: holds no whole question; nothing was written")
    if guesses and not config.accept_guesses:
        raise unconfirmed(path, guesses)
    parts = [(q.video, q.clip) for q in listing.questions if q.video is not None]
    found = _found(listing, parts, config, decode=False)
    inside, rooted = _from(config.out, root, listing.questions)
    _write(config.out, inside)
    _tell_videos(found)
    where = "" if rooted else f" --data-root {hub.as_given(root)}"
    say(f"wrote {count(len(inside), 'question')} to {config.out}")
    say(f"next: videothinker diagnose {hub.as_given(config.out)}{where} --out runs/audit")
    return msgspec.structs.replace(found, written=str(config.out))


def _read(path: Path, root: Path, config: CheckConfig | ConvertConfig) -> QuestionList:
    listing = read_list(path, root, config.answers_from)
    rows = count(len(listing.table.rows), listing.table.unit)
    say(f"{path}: {count(len(listing.questions), 'whole question')} in {rows}")
    for line in listing.told():
        say(line)
    for line in listing.guesses():
        say(line)
    if listing.problems:
        say(problem_table(listing.problems, listing.table.unit))
    return listing


def problem_table(problems: Sequence[Problem], unit: str) -> Table:
    """The first problems in a table, and how many there are beyond."""
    table = Table(unit, "what is wrong", "how to mend it", title=count(len(problems), "problem"))
    for one in problems[:NAMED]:
        table.add_row(str(one.number), Text(one.what), Text(one.mend))
    if len(problems) > NAMED:
        table.add_row(
            "...", f"and {len(problems) - NAMED:,} more", "videothinker check --out has them all"
        )
    return table


def _found(
    listing: QuestionList,
    parts: Iterable[tuple[str, Any]],
    config: CheckConfig | ConvertConfig,
    *,
    decode: bool,
) -> Checked:
    missing, damaged = bad_videos(
        listing.root, parts, follow_links=config.follow_links, decode=decode
    )
    return Checked(
        list=str(listing.table.path),
        rows=len(listing.table.rows),
        questions=len(listing.questions),
        data_root=str(listing.root),
        problems=tuple(listing.problems),
        guesses=tuple(listing.guesses()),
        accepted=config.accept_guesses,
        read=tuple(listing.told()),
        missing=missing,
        damaged=damaged,
    )


def _lines(found: Checked, unit: str) -> Iterator[bytes]:
    """What was found, each by itself: `line` (`item`, `row`) or `video`, `what`, and `mend`."""
    for one in found.problems:
        yield encode({unit: one.number, "what": one.what, "mend": one.mend})
    for kind, videos in (("missing", found.missing), ("damaged", found.damaged)):
        for name, mend in videos.items():
            yield encode({"video": name, "what": kind, "mend": mend})
    for guess in found.guesses:
        yield encode({"what": guess, "mend": f"where it is right, add {CONFIRM}"})


def _tell_videos(found: Checked) -> None:
    for kind, videos in (("missing", found.missing), ("damaged", found.damaged)):
        _tell_kind(kind, videos)
    if found.missing:
        say("add them, drop their questions, or say where videos lie with --data-root")


def _tell_kind(kind: str, videos: Mapping[str, str]) -> None:
    if not videos:
        return
    say(f"{count(len(videos), f'{kind} video')}:")
    for sentence in list(videos.values())[:NAMED]:
        say(f"  {sentence}")
    if len(videos) > NAMED:
        say(f"  and {len(videos) - NAMED:,} more, which videothinker check --out has")


def _count(found: Checked) -> str:
    """`3 problems, 2 missing videos`."""
    guesses = 0 if found.accepted else len(found.guesses)
    counts = {
        "problem": len(found.problems),
        "missing video": len(found.missing),
        "damaged video": len(found.damaged),
    }
    told = [count(number, name) for name, number in counts.items() if number]
    return ", ".join([*told, *([f"{guesses:,} to confirm"] if guesses else [])])


def _from(out: Path, root: Path, questions: Sequence[Question]) -> tuple[list[Question], bool]:
    """The questions with videos named from `out`'s folder on, where they lie inside it.

    Returns:
        The questions, and whether their videos start there; else they start from `root`.
    """
    folder, videos = out.resolve().parent, root.resolve()
    if not videos.is_relative_to(folder):
        return list(questions), False
    start = videos.relative_to(folder)
    return [
        q
        if q.video is None
        else msgspec.structs.replace(q, video=os.path.normpath(start / q.video))
        for q in questions
    ], True


def _write(out: Path, questions: Sequence[Question]) -> None:
    """The records; a file that holds anything else is left alone.

    Raises:
        UserError: there is one, or it cannot be written.
    """
    data = b"".join(encode(question) for question in questions)
    try:
        if out.exists() and (not out.is_file() or out.read_bytes() != data):
            raise UserError(f"{out}: is there already and holds something else; give another --out")
        write_alone(out, data)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror}); give another --out"
        ) from error
