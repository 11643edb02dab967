"""Video-MME (Fu et al., CVPR 2025), without subtitles: its rows and `data/<videoID>.mp4`.

It is published as one parquet file, which is read where pyarrow is installed; else as the same rows
in a JSON list or in JSON lines.
"""

import re
from pathlib import Path
from typing import Literal

import msgspec

from videothinker.benchmarks.base import Benchmark, OwnMetric, OwnVerdict
from videothinker.benchmarks.protocols import Protocol
from videothinker.benchmarks.rows import Place, only_letter, read_rows, without_labels
from videothinker.records import Question

ROWS = "test-00000-of-00001"
PLACES = (
    *("videomme.json", "videomme.jsonl"),
    *(f"{folder}{ROWS}{kind}" for kind in (".json", ".parquet") for folder in ("videomme/", "")),
)
"""Where the rows are looked for, in this order."""


class VideoMMERow(msgspec.Struct, forbid_unknown_fields=True):
    """One item as published."""

    video_id: str
    duration: Literal["short", "medium", "long"]
    domain: str
    sub_category: str
    url: str
    videoID: str
    question_id: str
    task_type: str
    question: str
    options: list[str]
    answer: str


def _question(row: VideoMMERow, where: Place) -> Question:
    choices = without_labels(row.options, where)
    return Question(
        id=f"videomme/{row.question_id}",
        dataset="videomme",
        split="test",
        video=f"data/{row.videoID}.mp4",
        question=row.question,
        choices=choices,
        answer=only_letter(row.answer, choices, where),
        type=row.task_type,
        groups={
            "duration": row.duration,
            "domain": row.domain,
            "sub_category": row.sub_category,
        },
    )


BEFORE = (
    *("The best answer is", "The correct answer is", "The answer is", "The answer"),
    *("The best option isThe correct option is", "Best answer:Best option:"),
)
"""What is cut out first; the last two are two each in the source, where a comma is missing."""


def own_rule(question: Question, text: str) -> OwnVerdict:
    """As Video-MME's `eval_your_results.py` counts; in words in BENCHMARK."""
    for words in BEFORE:
        text = text.replace(words, "")
    first = re.search("[ABCD]", text)
    if first is None:
        return "left out"
    return "right" if (first[0],) == question.answer else "wrong"


BENCHMARK = Benchmark(
    name="videomme",
    groupings=("duration", "domain", "type"),
    expected={
        "questions": 2_700,
        "videos": 900,
        **{f"duration {name}": 900 for name in ("short", "medium", "long")},
    },
    official=Protocol(
        about="Video-MME's prompt without subtitles; frames are the model's choice there.",
        template="Select the best answer to the following multiple-choice question based on the "
        "video. Respond with only the letter (A, B, C, or D) of the correct option.\n"
        "{question}\n{choices}\nThe best answer is:",
        max_new_tokens=16,
        asked="letter",
    ),
    own=OwnMetric(
        "the first capital from A to D anywhere, once phrases such as `The best answer is` are cut "
        "out (so `Answer: B` counts as A); an answer without any is left out of the denominator "
        "(BradyFU/Video-MME, evaluation/eval_your_results.py)",
        own_rule,
    ),
    published=(52.0, 45.4, 50.3, 52.6, 52.4),
)


def load(root: Path) -> Benchmark:
    """The 2,700 items, reported by duration, domain and task type.

    Args:
        root: the folder as downloaded, or the file of the rows.

    Raises:
        UserError: no such file, rows that are not the published ones, or parquet without pyarrow.
    """
    places = [root] if root.is_file() else [root / name for name in PLACES]
    path = next((place for place in places if place.is_file()), places[0])
    return BENCHMARK.of(read_rows(path, VideoMMERow, _question), path)
