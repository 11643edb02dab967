"""MVBench in the list of VideoThinker's authors: one JSON list, options that begin with letters.

`video` begins with a slash and is relative to the folder that holds all benchmarks. Items carry no
task there, so they are counted by source.
"""

from dataclasses import replace
from pathlib import Path

from videothinker.benchmarks import mvbench
from videothinker.benchmarks.base import Benchmark
from videothinker.benchmarks.rows import Place, read_rows, solution_letter, without_labels
from videothinker.records import Question

SOURCES = {
    "clevrer": 1_000,
    "perception": 800,
    "star": 600,
    **dict.fromkeys(
        (
            *("FunQA_test", "Moments_in_Time_Raw", "nturgbd", "scene_qa", "ssv2_video", "sta"),
            *("tvqa", "vlnqa"),
        ),
        200,
    ),
}
"""MVBench's sources and their items in the published list."""


class MVBenchListRow(mvbench.SourceRow, forbid_unknown_fields=True, kw_only=True):
    """An item of the MVBench list; its options begin with their letters."""

    ori_video: str
    question: str
    options: list[str]
    answer: str
    problem: str
    data_type: str
    problem_type: str
    original_question_type: str
    solution: str
    video: str
    subtitle: str
    problem_id: int


def _question(row: MVBenchListRow, where: Place) -> Question:
    choices = without_labels(row.options, str(where))
    video = row.video.lstrip("/")
    return Question(
        id=f"mvbench/{row.problem_id:04d}",
        dataset="mvbench",
        split="test",
        video=video,
        clip=row.clip,
        question=row.question,
        choices=choices,
        answer=solution_letter(row.solution, choices, where),
        type="multiple choice",
        groups={"source": video.split("/")[1] if "/" in video else video},
    )


BENCHMARK = replace(
    mvbench.BENCHMARK,
    groupings=("source",),
    expected={"questions": 4_000, **{f"source {name}": n for name, n in SOURCES.items()}},
)


def load(path: Path) -> Benchmark:
    """All items, reported by source; start and end are kept where given.

    Raises:
        UserError: the file is missing or of another format.
    """
    return BENCHMARK.of(read_rows(path, MVBenchListRow, _question), path)
