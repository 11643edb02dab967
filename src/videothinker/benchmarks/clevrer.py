"""CLEVRER (Yi et al., ICLR 2020): `validation.json`, `video_validation/`, as downloaded.

Questions without a correct choice cannot be answered; the evaluation counts them and leaves them
out. Our simulated worlds have the same layout.
"""

from pathlib import Path

from videothinker.benchmarks.base import Benchmark
from videothinker.benchmarks.protocols import Protocol
from videothinker.clevrer import questions
from videothinker.clevrer.annotations import SPLITS
from videothinker.errors import UserError
from videothinker.prompts import THINK_TEMPLATE
from videothinker.records import Question

EXPECTED = {
    "validation": {"type counterfactual": 9_333, "videos": 5_000},
    "train": {
        "type descriptive": 109_952,
        "type explanatory": 16_799,
        "type predictive": 7_179,
        "type counterfactual": 18_642,
        "videos": 10_000,
    },
}
"""Split -> published counts."""
BENCHMARK = Benchmark(
    name="clevrer",
    groupings=("type", "negated"),
    expected=EXPECTED["validation"],
    official=Protocol(
        about="CLEVRER publishes its metrics (per option and per question) and no prompt for "
        "language models; prompt and frames are those of `videothinker`.",
        template=THINK_TEMPLATE,
        several=True,
    ),
    several=True,
    has_splits=True,
    published=(44.7, 59.3, 64.9, None, 79.1),
)


def _from_file(path: Path) -> Benchmark:
    """A question file alone, without its folder: a scene's number tells its split.

    Raises:
        UserError: it holds no question, or a scene of no split.
    """
    scenes = questions.read_questions(path)
    allowed = ", ".join(f"{name} {one.start} to {one.stop - 1}" for name, one in SPLITS.items())
    known = {index for numbers in SPLITS.values() for index in numbers}
    far = [f"scene {one.scene_index}" for one in scenes if one.scene_index not in known]
    if far or not any(scene.questions for scene in scenes):
        what = far[0] if far else "no question"
        raise UserError(f"{path}: holds {what}; give a question file with scenes of {allowed}")
    found: list[Question] = []
    for split, numbers in SPLITS.items():
        mine = [scene for scene in scenes if scene.scene_index in numbers]
        found += questions.to_records(mine, path.parent, split)
    return BENCHMARK.of(found, path, expected={})


def load(root: Path, split: str = "validation") -> Benchmark:
    """Read a split; ids are `clevrer/validation/10000-03`, the cluster is the scene's video.

    `minimal_pairs` of a simulated world is a split of its own. Of a question file alone, all is
    read.

    Raises:
        UserError: see `clevrer.questions.load`; or no folder.
    """
    if root.is_file():
        return _from_file(root)
    if not root.is_dir():
        raise UserError(f"{root}: is no folder; give CLEVRER's folder (validation.json, videos)")
    if split == questions.MINIMAL_PAIRS:
        found = questions.load_minimal_pairs(root)
        path = root / f"{questions.MINIMAL_PAIRS}.json"
        return BENCHMARK.of(found, path, groupings=("role",), expected={})
    path = questions.question_file(root, split)
    return BENCHMARK.of(questions.load(root, split), path, expected=EXPECTED.get(split, {}))
