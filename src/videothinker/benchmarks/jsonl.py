"""Our own records: a `questions.jsonl`, or a folder that holds one (a diagnose folder does)."""

from collections import Counter
from pathlib import Path

import msgspec

from videothinker.benchmarks.base import Benchmark
from videothinker.benchmarks.lists import DO, read_questions
from videothinker.errors import UserError
from videothinker.records import Diagnosis, read_jsonl


def load(data: Path, split: str | None = None) -> Benchmark:
    """Read the questions of one split, or of `all`; by default validation where they have it.

    Raises:
        UserError: no such file, no such split (the present ones are named), or no question.
    """
    path = data / "questions.jsonl" if data.is_dir() else data
    questions = read_questions(path)
    if split is None:
        split = "validation" if any(q.split == "validation" for q in questions) else "all"
    found = tuple(q for q in questions if split in ("all", q.split))
    others = Counter(f"of split {q.split}" for q in questions if split not in ("all", q.split))
    if not questions:
        raise UserError(f"{path}: holds no question; {DO}")
    if not found:
        splits = ", ".join(sorted({q.split for q in questions}))
        raise UserError(f"{path}: holds no question of split {split!r}; it has {splits}")
    groupings = ("type", "negated")
    return Benchmark("jsonl", found, (path,), groupings=groupings, left_out=dict(others))


def data_root(data: Path) -> Path:
    """Where the videos lie: what the diagnose run recorded, else the folder itself."""
    folder = data if data.is_dir() else data.parent
    book = folder / "run.json"
    if book.is_file():
        facts = msgspec.json.decode(book.read_bytes()).get("facts") or {}
        if facts.get("data_root"):
            return Path(facts["data_root"])
    return folder


def labels_file(data: Path) -> Path:
    """Where the diagnosis of the questions lies, if there is one."""
    return (data if data.is_dir() else data.parent) / "diagnosis.jsonl"


def labels(data: Path) -> list[Diagnosis]:
    """The diagnosis beside the questions; empty where there is none."""
    path = labels_file(data)
    return read_jsonl(path, Diagnosis) if path.is_file() else []
