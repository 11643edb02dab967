"""MVBench (Li et al., CVPR 2024): `json/<task>.json` and one folder a source under `video/`.

1,000 of the 4,000 items ask about a part of their video (start and end); the 200 of episodic
reasoning have folders of frames. Five items have a single option and stay, as published.
"""

from pathlib import Path

import msgspec

from videothinker.benchmarks.base import Benchmark, letter_of, read_json
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
EXPECTED = {"questions": 4_000, **{f"type {task}": 200 for task in TASKS}}


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One item as published; some tasks say more about the source."""

    video: str
    question: str
    candidates: list[str]
    answer: str
    start: float | None = None
    end: float | None = None
    accurate_start: float | None = None
    accurate_end: float | None = None
    fps: float | None = None
    show_name: str | None = None
    subtitle: str | None = None


def _question(row: Row, task: str, index: int, where: str) -> Question:
    clip = None if row.start is None or row.end is None else (row.start, row.end)
    return Question(
        id=f"mvbench/{task}-{index:03d}",
        dataset="mvbench",
        split="test",
        video=f"video/{TASKS[task]}/{row.video}",
        clip=clip,
        question=row.question,
        choices=tuple(row.candidates),
        answer=letter_of(row.answer, row.candidates, where),
        type=task,
    )


def load(root: Path) -> Benchmark:
    """All 20 tasks, reported by task.

    Raises:
        UserError: a task's file is missing or not the published one.
    """
    questions: list[Question] = []
    for task in TASKS:
        path = root / "json" / f"{task}.json"
        for i, row in enumerate(read_json(path, list[Row])):
            questions.append(_question(row, task, i, f"{path}: item {i}"))
    files = tuple(root / "json" / f"{task}.json" for task in TASKS)
    return Benchmark("mvbench", tuple(questions), files, groupings=("type",), expected=EXPECTED)
