"""Our own records: a `questions.jsonl`, or a folder that holds one (a diagnose folder does).

As people write it: a list is read, or everything that is wrong with it is told in one list.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from videothinker import files
from videothinker.benchmarks.base import Benchmark
from videothinker.errors import UserError
from videothinker.prompts import LETTERS
from videothinker.records import Diagnosis, Question, read_jsonl
from videothinker.runs import read_run_file

BENCHMARK = Benchmark(name="jsonl", groupings=("type", "negated"), several=True, has_splits=True)
DO = (
    'a question is one object a line, as {"id": "q1", "dataset": "mine", "split": "train", '
    '"video": "a.mp4", "question": "Which way?", "choices": ["left", "right"], "answer": ["B"], '
    '"type": "direction"}; docs/your_data.md tells more'
)
NEEDED = ("id", "dataset", "split", "question", "choices", "answer", "type")
TEXTS = ("id", "dataset", "split", "video", "context", "question", "question_struck", "type")
PLACE = re.compile(r"<(?:video|image|audio)>", re.IGNORECASE)
OWN_LETTER = re.compile(r"\s*\(?([A-Za-z])[.:)]\s*\S")


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
    return BENCHMARK.of(found, path, left_out=dict(others))


def data_root(data: Path) -> Path:
    """Where the videos lie: what the diagnose run recorded, else the folder itself."""
    folder = data if data.is_dir() else data.parent
    run_json = folder / "run.json"
    if run_json.is_file():
        root = read_run_file(run_json).facts.get("data_root")
        if isinstance(root, str) and root:
            return Path(root)
    return folder


def labels_file(data: Path) -> Path:
    """Where the diagnosis of the questions lies, if there is one."""
    return (data if data.is_dir() else data.parent) / "diagnosis.jsonl"


def labels(data: Path) -> list[Diagnosis]:
    """The diagnosis beside the questions; empty where there is none."""
    path = labels_file(data)
    return read_jsonl(path, Diagnosis) if path.is_file() else []


def read_questions(path: Path) -> list[Question]:
    """Questions as our stages or people write them; all that is wrong in a list is told at once.

    What lies beside a `run.json` was written by us and is read as it is.

    Raises:
        UserError: no such file, or a list with problems: each line's, and ids that come twice.
    """
    if (path.parent / "run.json").is_file():
        return read_jsonl(path, Question)
    questions: list[Question] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for number, line in _lines(path):
        try:
            raw: Any = msgspec.json.decode(line)
            files.refuse_repeats(line)
        except UnicodeDecodeError as error:
            raise files.not_utf8(f"{path}:{number}", error) from error
        except (ValueError, RecursionError) as error:
            problems.append(f"{path}:{number}: is no JSON ({error})")
            continue
        wrong = list(_faults(raw))
        try:
            questions.append(msgspec.json.decode(line, type=Question))
        except msgspec.MsgspecError as error:
            wrong = wrong or [f"not a Question record: {error}"]
        name = raw.get("id") if isinstance(raw, dict) else None
        if isinstance(name, str) and seen.setdefault(name, number) != number:
            wrong.append(f"id {name!r} is that of line {seen[name]} too")
        problems += [f"{path}:{number}: {what}" for what in wrong]
    if problems:
        raise files.all_of(problems, DO)
    return questions


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not blank, of a file that is JSON lines."""
    wanted = "one JSON object a line (.jsonl)"
    data = files.read_bytes(path, wanted)
    if data.lstrip().startswith(b"[") or files.is_spread(data):
        files.refuse_whole(path, data, DO, columns=_columns(data))
    numbered = enumerate(data.split(b"\n"), 1)
    return ((number, line) for number, line in numbered if line.strip())


def _columns(data: bytes) -> str:
    """What the first item of a JSON array has; nothing where that cannot be told."""
    try:
        items = msgspec.json.decode(data)
    except (ValueError, RecursionError):  # of msgspec, or no UTF-8
        return ""
    first = items[0] if isinstance(items, list) and items else items
    return ", ".join(first) if isinstance(first, dict) else ""


def _faults(raw: Any) -> Iterator[str]:
    """What is wrong with one line, in the words of who wrote it."""
    if not isinstance(raw, dict):
        yield f"is {_kind(raw)}, not an object"
        return
    row: Mapping[str, Any] = raw
    known = Question.__struct_fields__
    unknown = [name for name in row if name not in known]
    missing = [name for name in NEEDED if name not in row]
    if unknown:
        yield f"unknown field {', '.join(unknown)}; allowed are {', '.join(known)}"
    if missing:
        yield f"has no {', '.join(missing)}"
    for name in TEXTS:
        if not isinstance(row.get(name), str | None) or (
            name in NEEDED and row.get(name, "") is None
        ):
            yield f"{name} is {_kind(row[name])}; give text"
    if isinstance(row.get("question"), str) and (mark := PLACE.search(row["question"])):
        yield f"question holds {mark[0]}, which would be shown as it stands; leave it out"
    choices = _texts(row.get("choices"))
    if choices:
        yield from _choice_faults(choices)
    elif "choices" in row and row["choices"] != []:
        what = _kind(row["choices"])
        yield f"choices is {what}; give a list of texts, in the order of their letters"
    if "answer" in row:
        yield from _answer_faults(row["answer"], choices)
    yield from _video_faults(row)


def _video_faults(row: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(video := row.get("video"), str) and video.startswith("/"):
        yield f"video {video!r} is an absolute path; give it from the data folder on (--data-root)"
    match row.get("clip"):
        case [int() | float() as start, int() | float() as end] if not 0 <= start < end:
            yield f"clip {[start, end]} is no part of a video; give start and end, in seconds"


def _texts(value: Any) -> list[str]:
    """A list of texts as it is; else an empty one."""
    items: list[Any] = value if isinstance(value, list) else []
    return items if all(isinstance(item, str) for item in items) else []


def _choice_faults(choices: list[str]) -> Iterator[str]:
    empty = [letter for letter, choice in zip(LETTERS, choices, strict=False) if not choice.strip()]
    if empty:
        yield f"choice {', '.join(empty)} is empty; give its text or leave it out"
    for text, count in Counter(choice.strip() for choice in choices).items():
        if text and count > 1:
            yield f"choice {text!r} comes {count} times; each must be its own"
    own = [match[1].upper() if (match := OWN_LETTER.match(c)) else "" for c in choices]
    if len(choices) > 1 and own == list(LETTERS[: len(choices)]):
        yield f"choices begin with letters ({choices[0]!r}), which are shown anyway; leave them out"


def _answer_faults(answer: Any, choices: list[str]) -> Iterator[str]:
    """An answer that is no list, or says a choice's text in the place of its letter."""
    said = answer if isinstance(answer, list) else [answer]
    meant = [_letter(one, choices) for one in said]
    example = msgspec.json.encode(sorted(set(meant)) if meant and all(meant) else ["A"]).decode()
    if not isinstance(answer, list):
        yield f"answer is {_kind(answer)} ({answer!r}); give a list of letters, as {example}"
    elif any(not isinstance(one, str) or len(one) != 1 for one in answer):
        yield f"answer is {answer!r}; give the letters of the right choices, as {example}"


def _letter(said: Any, choices: list[str]) -> str:
    """The letter that is meant; empty where that is not plain."""
    if said in choices:
        return LETTERS[choices.index(said)]
    single = isinstance(said, str) and len(said) == 1 and said.upper() in LETTERS
    return said.upper() if single else ""


def _kind(value: Any) -> str:
    kinds = {str: "text", bool: "true or false", dict: "an object", list: "a list"}
    return "null" if value is None else kinds.get(type(value), "a number")
