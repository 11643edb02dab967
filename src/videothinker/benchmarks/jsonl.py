"""Lists of questions: our own `questions.jsonl`, a folder that holds one, or a list of any shape.

As people write it: a list is read, or everything that is wrong with it is told at once.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from videothinker import files
from videothinker.benchmarks.base import Benchmark
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.lists.layout import split_of
from videothinker.lists.reading import QuestionList, lines_of, read_list
from videothinker.lists.table import Table, files_of, list_in, refuse_absent
from videothinker.records import AUDIT, Audited, Diagnosis, Question, iter_jsonl, read_jsonl
from videothinker.run_file import (
    QUESTIONS,
    SIMULATED,
    RunFacts,
    is_world,
    read_run_file,
    stamp_of,
)

BENCHMARK = Benchmark(name="jsonl", groupings=("type", "negated"), several=True, has_splits=True)
DO = (
    'a question is one object a line, as {"id": "q1", "dataset": "mine", "split": "train", '
    '"video": "a.mp4", "question": "Which way?", "choices": ["left", "right"], "answer": ["B"], '
    '"type": "direction"}; docs/your_data.md tells more, and '
    "videothinker check shows every problem"
)
CONFIRM = "--accept-guesses"

HELD_OUT = ("validation", "test")
"""Splits that are never trained on; the first that a list has is asked."""


def load(
    data: Path,
    split: str | None = None,
    *,
    root: Path | None = None,
    accept_guesses: bool = False,
) -> Benchmark:
    """Read the questions of one split, or of `all`; by default of the one that is held out.

    Args:
        data: a list in any shape that `lists` reads, or a folder with a questions.jsonl.
        split: the one to keep; None is validation, else test, else the only one there is.
        root: where the videos lie; None is what `data_root` says.
        accept_guesses: what had to be guessed of the list is right.

    Raises:
        UserError: no such file, no question, no such split, or of several splits none that is held
            out; the present ones are named.
    """
    path = list_in(data)
    listing = _read(path, root, accept_guesses=accept_guesses)
    questions = listing.questions
    present = {question.split for question in questions}
    if split is None:
        split = next((held_out for held_out in HELD_OUT if held_out in present), "all")
        if split == "all" and len(present) > 1:
            raise UserError(
                f"{path}: none of its splits is {' or '.join(HELD_OUT)}; it has "
                f"{', '.join(sorted(present))}: give one as --split, or all"
            )
    elif split not in present:
        split = split_of(split)
    found = tuple(q for q in questions if split in ("all", q.split))
    others = Counter(f"of split {q.split}" for q in questions if split not in ("all", q.split))
    if not questions:
        rest = ", ".join(f"{count:,} {why}" for why, count in listing.left_out().items())
        raise UserError(f"{path}: holds no question{f' (rows: {rest})' if rest else ''}; {DO}")
    if not found:
        splits = ", ".join(sorted(present))
        raise UserError(f"{path}: holds no question of split {split!r}; it has {splits}")
    return BENCHMARK.of(found, *files_of(path), left_out={**others, **listing.left_out()})


def data_root(data: Path) -> Path:
    """Where the videos lie: what the diagnose run recorded, else the folder itself.

    A run folder may be a stranger's and name any folder of this machine. So what it says counts
    where it leads into the folder itself, or where the folder is as a run left it on this disk.

    Args:
        data: a list, or the folder that holds it.

    Raises:
        UserError: questions about videos that a folder from elsewhere says to lie elsewhere.
    """
    folder = data if data.is_dir() else data.parent
    known = facts(data)
    if not known.data_root:
        return folder
    root = Path(known.data_root)
    here = known.stamp is not None and known.stamp == stamp_of(folder)
    if here or root.resolve().is_relative_to(folder.resolve()):
        return root
    path = folder / QUESTIONS if data.is_dir() else data
    if path.is_file() and any(question.video for question in iter_jsonl(path, Question)):
        raise UserError(
            f"{folder / 'run.json'}: says that the videos lie in {root}, but the folder was not "
            f"made here, or was copied or changed since; where it is right, add --data-root {root}"
        )
    return root


def facts(data: Path) -> RunFacts:
    """What the run that wrote a list knew of it; nothing where no run did, or it was published."""
    run_json = (data if data.is_dir() else data.parent) / "run.json"
    return read_run_file(run_json).known if run_json.is_file() else RunFacts()


def of_world(data: Path, root: Path, questions: Sequence[Question]) -> bool:
    """Are the questions about a simulated world? Their layout is CLEVRER's, and they are not.

    Args:
        data: the list, or the folder that holds it.
        root: where its videos lie.
        questions: those of the list; published ones say it themselves, and have no run.json.
    """
    told = {question.dataset for question in questions}
    return is_world(root) or facts(data).of_world or told == {SIMULATED}


def labels_file(data: Path) -> Path:
    """Where the diagnosis of the questions lies, if there is one."""
    return (data if data.is_dir() else data.parent) / "diagnosis.jsonl"


def labels(data: Path) -> list[Diagnosis]:
    """The diagnosis beside the questions; empty where there is none."""
    path = labels_file(data)
    return read_jsonl(path, Diagnosis) if path.is_file() else []


def audited(data: Path) -> list[Audited]:
    """What answerers that simulate nothing make of the questions; empty where nobody asked them."""
    path = labels_file(data).with_name(AUDIT)
    return read_jsonl(path, Audited) if path.is_file() else []


def read_questions(
    path: Path, *, root: Path | None = None, accept_guesses: bool = False
) -> list[Question]:
    """Questions as our stages or people write them; all that is wrong in a list is told at once.

    What lies beside a `run.json` was written by us and is read as it is. Of any other list what
    was read in another word than ours is said, and what was guessed must be accepted.

    Args:
        path: the list.
        root: where its videos lie; None is what `data_root` says.
        accept_guesses: what had to be guessed is right.

    Raises:
        UserError: no such file, a list with problems (each line's, and ids that come twice), or
            one with guesses that are not accepted.
    """
    return _read(path, root, accept_guesses=accept_guesses).questions


def _read(path: Path, root: Path | None, *, accept_guesses: bool) -> QuestionList:
    refuse_absent(path)
    root = root or data_root(path)
    if (path.parent / "run.json").is_file():
        return QuestionList(Table(path, "line", []), root, read_jsonl(path, Question), [])
    listing = read_list(path, root)
    if listing.problems:
        raise files.all_of(list(lines_of(listing)), DO)
    if not listing.table.rows:
        raise UserError(f"{path}: holds no question; {DO}")
    guesses = listing.guesses()
    if guesses and not accept_guesses:
        raise unconfirmed(path, guesses)
    for line in (*listing.told(), *guesses):
        say(f"{path}: {line}")
    return listing


def unconfirmed(path: Path, guesses: Sequence[str]) -> UserError:
    """A list whose guesses nobody has accepted."""
    return UserError(
        f"{path}: {'; '.join(guesses)}. Where that is right add {CONFIRM}; where it is not, write "
        "the list so that nothing is left to guess (docs/your_data.md)"
    )
