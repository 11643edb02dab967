"""The questions themselves, packed for the page's browser: evidence, answers, thinking, video.

The page holds them as gzip in base64 and unpacks them in the reader's browser; text is put on the
page as text nodes, never as markup. Where the models' texts do not fit into the page, whole
questions lose them, the most telling last, and the page says how many. Videos are linked where they
lie, or put into the page: as they are where small, shrunk where not.
"""

import base64
import gzip
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
from PIL import Image

from videothinker.console import progress
from videothinker.errors import UserError
from videothinker.prompts import LETTERS
from videothinker.records import Diagnosis, Question, Sample
from videothinker.report.diagnoses import Diagnosed
from videothinker.report.results import Board, Evaluation
from videothinker.report.telling import choices
from videothinker.report.terms import FLAGS, RULES, of_transcript
from videothinker.video import locate, read_clip
from videothinker.video.encode import write_mp4

EVENT = re.compile(r"frame (\d+): (.*)", re.DOTALL)
MEGABYTE = 1_000_000
LARGEST = 200_000
"""Bytes; a video of at most this size is embedded unchanged."""
FRAMES, WIDTH = 32, 240
"""What is left of a larger one: this many frames, evenly spaced, at most this wide (pixels)."""


@dataclass(frozen=True)
class Pack:
    """What the page's script reads, and what had to be left out."""

    base64: str
    without_text: int
    """Questions whose thinking is left out for size."""
    lost_videos: int
    """Questions whose video file is not where the run says."""
    videos: dict[Path, Path]
    """Videos the page shows, in the order of their numbers in the pack, and the folder that the run
    they come from says they lie in."""


def reason(diagnosis: Diagnosis) -> str:
    """Why a question has its label, in a sentence, from the evidence stored with it."""
    evidence, label = diagnosis.evidence, diagnosis.label
    told = list(zip(evidence.truth_video, evidence.truth_counterfactual, strict=False))
    moved = [LETTERS[i] for i, (video, after) in enumerate(told) if video != after]
    words = f"{label.capitalize()} under {diagnosis.rule}"
    if not told:
        return f"{words}{_probed(diagnosis)}."
    gone = f"the {evidence.removed}" if evidence.removed else "the object"
    if not moved:
        return f"{words}: every option's event is as true in the video as without {gone}."
    options = f"option {moved[0]}" if len(moved) == 1 else f"options {', '.join(moved)}"
    verb = "changes its" if len(moved) == 1 else "change their"
    return f"{words}: {options} {verb} truth once {gone} is removed."


def _probed(diagnosis: Diagnosis) -> str:
    """What the probes say of a question without event logs."""
    if "struck" not in diagnosis.probes:
        kept = [flag.replace("_", " ") for flag, told in diagnosis.flags.items() if told]
        return f": its right answer {' and '.join(kept) if kept else 'survives no probe'}"
    right, of = diagnosis.probes["struck"]
    verb = "keeps" if diagnosis.label == "observational" else "loses"
    return (
        f": with the premise removed, the majority of the probed model's answers {verb} the "
        f"right answer ({right} of {of} samples)"
    )


def _event(text: str) -> list[Any]:
    found = EVENT.fullmatch(text)
    return [int(found[1]), found[2]] if found else [None, text]


def _evidence(diagnosis: Diagnosis) -> dict[str, Any]:
    evidence = diagnosis.evidence
    return {
        "label": diagnosis.label,
        "rule": diagnosis.rule,
        "flags": diagnosis.flags,
        "reason": reason(diagnosis),
        "removed": evidence.removed,
        "events": [_event(text) for text in evidence.observed],
        "video": evidence.truth_video,
        "after": evidence.truth_counterfactual,
        "probes": diagnosis.probes,
    }


def _question(question: Question, diagnosis: Diagnosis | None) -> dict[str, Any]:
    return {
        "id": question.id,
        "question": question.question,
        "struck": question.question_struck,
        "choices": question.choices,
        "answer": question.answer,
        "type": question.type,
        "context": question.context,
        "clip": question.clip,
        "evidence": None if diagnosis is None else _evidence(diagnosis),
    }


def right(samples: Sequence[Sample]) -> bool:
    """Is the question answered exactly by more than half of the samples?"""
    return sum(s.exact for s in samples) * 2 > len(samples)


def _answer(samples: Sequence[Sample]) -> dict[str, Any]:
    first = samples[0]
    return {
        "right": right(samples),
        "hits": sum(s.exact >= 1 for s in samples),
        "of": len(samples),
        "answer": first.answer,
        "verdict": first.verdict,
        "error": first.error,
        "text": first.text if first.thinking is None else first.thinking,
    }


def _answered(one: Evaluation, question: str) -> dict[str, Any] | None:
    samples = one.samples.get("full", {}).get(question)
    return None if samples is None else _answer(samples)


class _Videos:
    """Numbers every video shown, and links it from the page's folder."""

    def __init__(self, page: Path, *, follow_links: bool) -> None:
        self.base, self.follow_links = page.resolve().parent, follow_links
        self.paths: dict[Path, int] = {}
        self.roots: dict[Path, Path] = {}
        self.lost = 0

    def link(self, question: Question, root: Path) -> dict[str, Any] | None:
        if question.video is None:
            return None
        try:
            path = locate(root, question.video, follow_links=self.follow_links)
            if path.is_dir():
                raise UserError(f"{question.video} is a folder of frames; a page plays files")
        except UserError:
            self.lost += 1
            return {"href": None, "number": None, "name": question.video}
        number = self.paths.setdefault(path, len(self.paths))
        self.roots.setdefault(path, root.resolve())
        href = quote(Path(os.path.relpath(path, self.base)).as_posix())
        return {"href": href, "number": number, "name": question.video}


def _board_list(board: Board, videos: _Videos) -> dict[str, Any]:
    methods = [
        {
            "name": method.name,
            "role": method.role,
            "seeds": [one.seed for one in method.evaluations],
        }
        for method in board.methods
    ]
    root = board.methods[0].evaluations[0].run.data_root
    rows = []
    for q, question in board.questions.items():
        row = _question(question, board.labels.get(q))
        row["link"] = videos.link(question, root)
        row["answers"] = [
            [_answered(one, q) for one in method.evaluations] for method in board.methods
        ]
        if any(answer is not None for answers in row["answers"] for answer in answers):
            rows.append(row)
    at = {row["id"]: i for i, row in enumerate(rows)}
    show = [
        {"method": board.methods.index(one), "against": board.methods.index(other),
         "rows": [at[q] for q in ids]}
        for one, other, ids in choices(board)
    ]  # fmt: skip
    return {
        "kind": "answers",
        "anchor": slug(board.title),
        "methods": methods,
        "rows": rows,
        "show": show,
        "reading": of_transcript([q.context for q in board.questions.values()]),
    }


def _diagnosis_list(found: Diagnosed, videos: _Videos, most: int) -> dict[str, Any]:
    count = min(most, len(found.rows))
    picked = [found.rows[i * len(found.rows) // count] for i in range(count)]
    root = found.run.data_root
    rows = []
    for diagnosis in picked:
        question = found.questions[diagnosis.question_id]
        row = _question(question, diagnosis)
        row["link"] = videos.link(question, root)
        row["answers"] = []
        rows.append(row)
    reading = of_transcript([row["context"] for row in rows])
    kept = {"methods": [], "rows": rows, "show": [], "reading": reading}
    return {"kind": "diagnosis", "anchor": slug(f"diagnosis {found.run.name}"), **kept}


def slug(words: str) -> str:
    """What links to a list's questions begin with: the same on a page made of other runs too."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", words)


def _telling(row: Mapping[str, Any]) -> bool:
    """Do the methods part on this question?"""
    verdicts = {a["right"] for answers in row["answers"] for a in answers if a is not None}
    return len(verdicts) > 1


def _texts(row: dict[str, Any], *, kept: bool) -> dict[str, Any]:
    if kept:
        return row
    bare = [[a and {**a, "text": None} for a in answers] for answers in row["answers"]]
    return {**row, "answers": bare, "context": None, "bare": True}


def _squeeze(lists: Mapping[str, Any], kept: set[tuple[str, int]]) -> str:
    plain = {
        name: {
            **one,
            "rows": [_texts(r, kept=(name, i) in kept) for i, r in enumerate(one["rows"])],
        }
        for name, one in lists.items()
    }
    plain["meanings"] = {**RULES, **FLAGS}
    return base64.b64encode(gzip.compress(msgspec.json.encode(plain), 9, mtime=0)).decode()


def pack(
    boards: Sequence[Board],
    diagnoses: Sequence[Diagnosed],
    page: Path,
    *,
    follow_links: bool = False,
    listed: int,
    megabytes: float,
) -> Pack:
    """Pack every question a reader can open.

    Args:
        boards: their lists are named board-0, board-1, ...
        diagnoses: their lists are named diagnosis-0, ...
        page: the HTML file the videos are linked from.
        follow_links: symbolic links may lead out of a run's data folder.
        listed: questions of a diagnosis that are shown, evenly spaced over its records.
        megabytes: room for the pack; texts are left out, least telling first, until it fits.
    """
    videos = _Videos(page, follow_links=follow_links)
    lists = {f"board-{i}": _board_list(board, videos) for i, board in enumerate(boards)}
    for i, found in enumerate(diagnoses):
        lists[f"diagnosis-{i}"] = _diagnosis_list(found, videos, listed)
    order = [
        (name, i)
        for name, one in lists.items()
        for i, row in enumerate(one["rows"])
        if row["answers"] or row["context"]
    ]
    order.sort(key=lambda at: not _telling(lists[at[0]]["rows"][at[1]]))
    packed, room = _squeeze(lists, set(order)), int(megabytes * MEGABYTE)
    low, high = 0, len(order)
    if len(packed) > room:
        while high - low > max(1, len(order) // 100):
            middle = (low + high) // 2
            fits = len(_squeeze(lists, set(order[:middle]))) <= room
            low, high = (middle, high) if fits else (low, middle)
        packed = _squeeze(lists, set(order[:low]))
        return Pack(packed, len(order) - low, videos.lost, videos.roots)
    return Pack(packed, 0, videos.lost, videos.roots)


def shrink(path: Path) -> bytes:
    """A small MP4 of the same length.

    Raises:
        UserError: the video cannot be read.
    """
    clip = read_clip(path.parent, path.name, FRAMES)
    height, width = clip.frames.shape[1:3]
    scale = min(1.0, WIDTH / width)
    size = (2 * max(1, round(width * scale / 2)), 2 * max(1, round(height * scale / 2)))
    small = [np.asarray(Image.fromarray(frame).resize(size)) for frame in clip.frames]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "small.mp4"
        write_mp4(out, np.stack(small), len(small) / max(clip.seconds, 0.1))
        return out.read_bytes()


def embed(videos: Mapping[Path, Path], allowed: Sequence[Path], megabytes: float) -> dict[int, str]:
    """Number -> base64 of an MP4 of each video, in order, as far as there is room.

    One that lies elsewhere than the user said, does not decode, or has no room, stays a link; the
    page counts those. Where a run's videos lie is told by its own run.json, which may be a
    stranger's: it must be within what the user named.

    Args:
        videos: path -> the folder that its run says it lies in.
        allowed: the folders the user named.
        megabytes: room in the page.
    """
    found: dict[int, str] = {}
    room = int(megabytes * MEGABYTE)
    roots = [root.resolve() for root in allowed]
    with progress("embedding videos", len(videos)) as bar:
        for number, (path, root) in enumerate(videos.items()):
            bar.advance()
            if not any(root.is_relative_to(one) or path.is_relative_to(one) for one in roots):
                continue
            try:
                text = base64.b64encode(_playable(path)).decode()
            except (UserError, OSError):
                continue
            if len(text) <= room:
                room -= len(text)
                found[number] = text
    return found


def _playable(path: Path) -> bytes:
    """A video's bytes: its own where it is small, and only if they decode.

    Raises:
        UserError: it is no video that can be read.
        OSError: it is gone.
    """
    if path.stat().st_size > LARGEST:
        return shrink(path)
    read_clip(path.parent, path.name, 1)
    return path.read_bytes()
