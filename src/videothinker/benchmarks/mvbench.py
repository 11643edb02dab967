"""MVBench (Li et al., CVPR 2024): `json/<task>.json` and one folder a source under `video/`.

1,000 of the 4,000 items ask about a part of their video (start and end); the 200 of episodic
reasoning have folders of frames. Five items have a single option and stay, as published.
"""

from pathlib import Path

import msgspec

from videothinker.benchmarks.base import Benchmark, OwnMetric, OwnVerdict
from videothinker.benchmarks.protocols import Protocol
from videothinker.benchmarks.rows import Place, letter_of, read_rows
from videothinker.records import Question

STAR, CLEVRER, PERCEPTION = "star/Charades_v1_480", "clevrer/video_validation", "perception/videos"
TASKS = {
    "action_sequence": STAR,
    "action_prediction": STAR,
    "action_antonym": "ssv2_video",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "unexpected_action": "FunQA_test/test",
    "object_existence": CLEVRER,
    "object_interaction": STAR,
    "object_shuffle": PERCEPTION,
    "moving_direction": CLEVRER,
    "action_localization": "sta/sta_video",
    "scene_transition": "scene_qa/video",
    "action_count": PERCEPTION,
    "moving_count": CLEVRER,
    "moving_attribute": CLEVRER,
    "state_change": PERCEPTION,
    "fine_grained_pose": "nturgbd",
    "character_order": PERCEPTION,
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/frames_fps3_hq",
    "counterfactual_inference": CLEVRER,
}
"""Task -> where its videos are, below `video/`."""


class SourceRow(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What some items say about their source, in either form."""

    start: float | None = None
    end: float | None = None
    accurate_start: float | None = None
    accurate_end: float | None = None
    fps: float | None = None
    show_name: str | None = None

    @property
    def clip(self) -> tuple[float, float] | None:
        """The part of the video that is asked about, seconds."""
        return None if self.start is None or self.end is None else (self.start, self.end)


class MVBenchRow(SourceRow, forbid_unknown_fields=True, kw_only=True):
    """One item as published."""

    video: str
    question: str
    candidates: list[str]
    answer: str
    subtitle: str | None = None


def _question(row: MVBenchRow, where: Place) -> Question:
    task = where.path.stem
    return Question(
        id=f"mvbench/{task}-{where.item:03d}",
        dataset="mvbench",
        split="test",
        video=f"video/{TASKS[task]}/{row.video}",
        clip=row.clip,
        question=row.question,
        choices=tuple(row.candidates),
        answer=letter_of(row.answer, row.candidates, where),
        type=task,
    )


def own_rule(question: Question, text: str) -> OwnVerdict:
    """Right or wrong as MVBench's notebook matches it; in words in BENCHMARK."""
    said = ("(" + text.strip().split("\n")[0]).lower().split(" ")[0]
    right = f"({question.answer[0]})".lower()
    return "right" if said.replace(".", "") in right or right in said else "wrong"


BENCHMARK = Benchmark(
    name="mvbench",
    groupings=("type",),
    expected={"questions": 4_000, **{f"type {task}": 200 for task in TASKS}},
    official=Protocol(
        about="MVBench's system message, prompt and answer beginning; 16 frames of the cut clip. "
        "Frames lie at the ends of equal steps, not in their middles.",
        system="Carefully watch the video and pay attention to the cause and sequence of events, "
        "the detail and movement of objects, and the action and pose of persons. Based on your "
        "observations, select the best option that accurately addresses the question.",
        template="Question: {question}\nOptions:\n{choices}\nOnly give the best option.",
        choice="({letter}) {choice}",
        prefill="Best option:(",
        frames=16,
        max_new_tokens=100,
        asked="letter",
    ),
    own=OwnMetric(
        "the first word of the first line, with an opening bracket before it and without its dots, "
        "is a part of `(a)` or holds it, in any case; an empty answer is such a part and counts as "
        "right (OpenGVLab/Ask-Anything, video_chat2/mvbench.ipynb)",
        own_rule,
    ),
    published=(49.6, 59.5, 54.9, 58.8, 60.9),
)


def load(root: Path) -> Benchmark:
    """All 20 tasks, reported by task.

    Raises:
        UserError: a task's file is missing or not the published one.
    """
    files = [root / "json" / f"{task}.json" for task in TASKS]
    return BENCHMARK.of(
        [q for path in files for q in read_rows(path, MVBenchRow, _question)], *files
    )
