"""Video-MME (Fu et al., CVPR 2025), without subtitles: `videomme.json` and `data/<videoID>.mp4`.

It is published as one parquet file, which needs pyarrow to read; convert it once, anywhere:

    python -c "import pyarrow.parquet as p, json; json.dump(p.read_table(
    'videomme/test-00000-of-00001.parquet').to_pylist(), open('videomme.json', 'w'))"
"""

from pathlib import Path
from typing import Literal

import msgspec

from videothinker.benchmarks.base import Benchmark, only_letter, read_json, without_labels
from videothinker.errors import UserError
from videothinker.records import Question

PARQUET = "videomme/test-00000-of-00001.parquet"
CONVERT = (
    'python -c "import pyarrow.parquet as p, json; json.dump(p.read_table('
    f"'{PARQUET}').to_pylist(), open('videomme.json', 'w'))\""
)
EXPECTED = {
    "questions": 2_700,
    "videos": 900,
    **{f"duration {name}": 900 for name in ("short", "medium", "long")},
}


class Row(msgspec.Struct, forbid_unknown_fields=True):
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


def _question(row: Row, where: str) -> Question:
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


def load(root: Path) -> Benchmark:
    """The 2,700 items, reported by duration, domain and task type.

    Raises:
        UserError: `videomme.json` is missing (with the way to make it) or not the published rows.
    """
    path = root / "videomme.json"
    if not path.is_file() and (root / PARQUET).is_file():
        raise UserError(f"{root / PARQUET}: is parquet; make {path} of it first: {CONVERT}")
    rows = read_json(path, list[Row])
    return Benchmark(
        name="videomme",
        questions=tuple(_question(row, f"{path}: item {i}") for i, row in enumerate(rows)),
        files=(path,),
        groupings=("duration", "domain", "type"),
        expected=EXPECTED,
    )
