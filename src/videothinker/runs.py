"""The run folder: what every stage leaves beside its output, and how it is resumed.

`run.json` (argv, config, seed, versions, commit, hardware, input digests, status, times) may differ
between two identical runs, as may `checkpoints/`, `trackers/` and `.lock` (the pid of who is at
work); nothing else may.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import msgspec
from msgspec import structs

from videothinker.errors import UserError
from videothinker.files import content, on_disk
from videothinker.records import (
    encode,
    halves,
    iter_jsonl,
    leftovers,
    write_atomic,
    write_jsonl,
)
from videothinker.run_file import RunFile, Session, compare, entry, read_run_file, stamp_of

R = TypeVar("R", bound=msgspec.Struct)

NOT_IN_DIGEST = ("run.json", "checkpoints", "trackers")

_finished_alone: ContextVar[bool] = ContextVar("finished_alone", default=False)

ROOM = 1 << 16
"""Bytes held back for the last `run.json` of a run whose disk is full."""


class NotFinished(BaseException):
    """There is work left: leaves a stage before it begins, past all that handles errors."""


@contextmanager
def finished_alone() -> Iterator[None]:
    """Inside, a stage holds a finished folder against its settings and inputs, and starts nothing.

    Raises:
        NotFinished: by the stage, where its run is not done.
    """
    token = _finished_alone.set(True)
    try:
        yield
    finally:
        _finished_alone.reset(token)


def digest_path(path: Path) -> str:
    """SHA-256 of a file, or of a folder's names and contents.

    Of a folder without what a run may vary and what nobody computes with: a model's README.md, and
    the hidden files in which a hub's client keeps the times of its downloads.

    Raises:
        UserError: a file that cannot be read.
    """
    if path.is_file():
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    total = hashlib.sha256()
    for child in sorted(p for p in path.rglob("*") if p.is_file()):
        relative = child.relative_to(path)
        hidden = any(part.startswith(".") for part in relative.parts)
        if set(relative.parts) & set(NOT_IN_DIGEST) or hidden or relative.suffix in (".md", ".tmp"):
            continue
        total.update(f"{relative.as_posix()}\0{digest_path(child)}\n".encode())
    return total.hexdigest()


def by_name(files: Sequence[Path]) -> dict[str, Path | None]:
    """Inputs of a run by the files' names, with their folder's where two are called the same."""
    names = Counter(path.name for path in files)
    return {
        path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}": path
        for path in files
    }


class Journal(Generic[R]):
    """A JSONL file that grows by one record at a time and survives kill -9 at any byte."""

    def __init__(self, path: Path, kind: type[R]) -> None:
        self.path, self.kind = path, kind
        if path.exists():
            data = content(path)
            whole = data.rfind(b"\n") + 1
            if whole != len(data):  # a line torn by a kill
                write_atomic(path, data[:whole])
        self.records: list[R] = list(iter_jsonl(path, kind)) if path.exists() else []
        self._file = path.open("ab", buffering=0)

    def append(self, *records: R) -> None:
        """Add records; they are on disk (in the page cache) when this returns, or none is."""
        size = os.fstat(self._file.fileno()).st_size
        rest = b"".join(encode(record) for record in records)
        try:
            while rest:  # a disk that is nearly full takes a part
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(size)
            raise
        self.records.extend(records)

    def keep(self, wanted: Callable[[R], bool]) -> None:
        """Drop records a resumed run will write again (steps after the last checkpoint)."""
        self._file.close()
        self.records = [record for record in self.records if wanted(record)]
        write_jsonl(self.path, self.records)
        self._file = self.path.open("ab", buffering=0)

    def close(self) -> None:
        """Sync and close; a second time does nothing."""
        if not self._file.closed:
            with self._file:
                os.fsync(self._file.fileno())


class Run:
    """An open run folder, held by this process."""

    def __init__(self, path: Path, *, resumed: bool, done: bool) -> None:
        self.path, self.resumed, self.done = path, resumed, done
        self.failures = 0
        self.facts: dict[str, Any] = {}
        """Goes into run.json: resolved values that only the run itself could know."""
        self._journals: list[Journal[Any]] = []

    def journal(self, name: str, kind: type[R]) -> Journal[R]:
        """Open `name` for appending; its `.records` are what an earlier, killed run left."""
        journal = Journal(self.path / name, kind)
        self._journals.append(journal)
        return journal

    def close(self) -> None:
        """Close every journal."""
        for journal in self._journals:
            journal.close()


def _take_lock(path: Path) -> Any:
    try:  # a link in a folder from elsewhere would have the file it leads to overwritten
        number = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise UserError(
            f"{path / '.lock'}: cannot be opened as a file ({error.strerror}); delete it"
        ) from error
    lock = os.fdopen(number, "r+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise UserError(
            f"{path}: another process (pid {holder}) is at work in this folder; "
            "wait for it or give another --out"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _has_work(path: Path, old: RunFile) -> bool:
    """False where an earlier run ended, on a user's mistake say, before it wrote anything."""
    names = {child.name for child in path.iterdir()}
    return old.status == "done" or bool(names - {"run.json", ".lock"})


def prepare_out(path: Path) -> None:
    """Make sure `path` can be written, before any work starts."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be made ({error.strerror}); give an --out that can be written"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"{path}: cannot be written; give another --out")
    if shutil.disk_usage(path).free < 1 << 20:
        raise UserError(f"{path}: its disk is full; free some room or give another --out")


@contextmanager
def open_run(
    out: Path,
    stage: str,
    config: object,
    inputs: Mapping[str, Path | None] | None = None,
    *,
    may_change: Collection[str] = (),
    grows: str | None = None,
) -> Iterator[Run]:
    """Hold the run folder `out` for one stage.

    A new or empty folder starts a run; an unfinished one of the same config and inputs is resumed;
    a finished one is opened with `done=True` (the stage then returns at once).

    Args:
        out: the folder.
        stage: the stage's name.
        config: its frozen dataclass; the fields `out` and `json` are not compared.
        inputs: name -> file or folder read; their digests are stored and compared on resume.
        may_change: fields that change where things lie but no result; a resumed run may differ.
        grows: a number of the config that says how long the run is; with a larger one an earlier
            run, even a finished one, goes on from where it stands.

    Raises:
        UserError: unwritable, foreign (non-empty without run.json), another config or input, or
            held by another process (its pid is named).
    """
    with on_disk(out):
        prepare_out(out)
        run_json = out / "run.json"
        killed = {p.name for p in leftovers(run_json)}
        strangers = {p.name for p in out.iterdir()} - killed - {".lock"}
        if strangers and not run_json.exists():
            raise UserError(
                f"{out}: is not empty and holds no run.json (found {sorted(strangers)[0]!r}); "
                "give a new folder"
            )
        lock = _take_lock(out)
        try:
            for left in leftovers(run_json):
                left.unlink()
            digests = {k: p and digest_path(p) for k, p in (inputs or {}).items()}
            new = entry(stage, config, digests)
            yield from _held(out, new, config, lock, may_change=may_change, grows=grows)
        finally:
            lock.close()


def _has_grown(old: Mapping[str, Any], new: Mapping[str, Any], name: str | None) -> bool:
    """Is a run asked to be longer than it was?"""
    was = old.get(name) if name is not None else None
    return name is not None and isinstance(was, int) and new[name] > was


def _held(
    out: Path,
    new: RunFile,
    config: object,
    lock: IO[str],
    *,
    may_change: Collection[str],
    grows: str | None,
) -> Iterator[Run]:
    """The run in a folder that is ours: begun, taken up or done."""
    run_json = out / "run.json"
    old = read_run_file(run_json) if run_json.exists() else None
    run = Run(out, resumed=False, done=False)
    if old is not None and _has_work(out, old):
        grown = _has_grown(old.config, new.config, grows)
        compare(out, old, new, config, [*may_change, grows] if grows and grown else may_change)
        new = structs.replace(new, times=old.times)
        run.resumed, run.done = True, old.status == "done" and not grown
    if _finished_alone.get() and not run.done:
        raise NotFinished
    if run.done and old is not None:
        run.facts = old.facts
        yield run
    else:
        for left in halves(out):
            left.unlink()
        yield from _recorded(run, run_json, new, lock)


def _recorded(run: Run, run_json: Path, new: RunFile, lock: IO[str]) -> Iterator[Run]:
    started = time.time()

    def save(status: str) -> None:
        _refuse_gone(run.path, lock)
        times = [*new.times, Session(started=started, ended=time.time(), status=status)]
        facts, stamp = run.facts, stamp_of(run.path)
        if "data_root" in facts and stamp is not None:  # see `benchmarks.jsonl.data_root`
            facts = {**facts, "stamp": stamp}
        told = structs.replace(new, status=status, facts=facts, failures=run.failures, times=times)
        write_atomic(run_json, msgspec.json.format(msgspec.json.encode(told)))

    save("running")
    # without a name: it is gone with the process, however that ends
    with tempfile.TemporaryFile(dir=run.path, prefix=".room", buffering=0) as room:
        room.write(bytes(ROOM))
        try:
            yield run
            run.close()
            room.close()
            save("done")
        except BaseException as error:
            room.close()
            with suppress(OSError, UserError):  # the first failure is the one to tell
                run.close()
            with suppress(OSError, UserError):
                save("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise


def _refuse_gone(path: Path, lock: IO[str]) -> None:
    """Refuse to go on in a folder that is not there any more: its files have no names."""
    try:
        there = os.path.samestat(os.fstat(lock.fileno()), (path / ".lock").stat())
    except OSError:
        there = False
    if not there:
        raise UserError(
            f"{path}: was removed, or its disk unplugged, while the run wrote in it; put it back "
            "and run the same command"
        )
