"""A tiny folder in CLEVRER's layout, written by hand."""

import json
from dataclasses import dataclass, field
from pathlib import Path

# One scene: the red cube hits the blue sphere, which hits the green cylinder; gray stands aside.
OBJECTS = [
    ("red", "metal", "cube"),
    ("blue", "rubber", "sphere"),
    ("green", "metal", "cylinder"),
    ("gray", "rubber", "cube"),
]
COLLISIONS = [(20, 0, 1), (50, 2, 1)]


def annotation(scene, objects=OBJECTS, collisions=COLLISIONS):
    return {
        "scene_index": scene,
        "video_filename": f"video_{scene:05d}.mp4",
        "object_property": [
            {"object_id": i, "color": c, "material": m, "shape": s}
            for i, (c, m, s) in enumerate(objects)
        ],
        "motion_trajectory": [],
        "collision": [
            {"object_ids": [a, b], "frame_id": frame, "location": [0.0, 0.0, 0.0]}
            for frame, a, b in collisions
        ],
    }


def thing(color):
    return ["objects", color, "filter_color", "unique"]


def option(number, one, other, correct):
    return {
        "choice_id": number,
        "choice": f"The {one} object collides with the {other} object",
        "program": [
            *("all_events", *thing(one), "filter_collision"),
            *(*thing(other), "filter_collision", "unique"),
        ],
        "answer": "correct" if correct else "wrong",
    }


def counterfactual(number, removed, options, *, negated=False):
    return {
        "question_id": number,
        "question": f"Which event will {'not ' if negated else ''}happen "
        f"if the {removed} object is removed?",
        "question_type": "counterfactual",
        "program": [
            *("all_events", *thing(removed), "get_counterfact", "belong_to"),
            *(["negate"] if negated else []),
        ],
        "choices": [option(i, *pair_and_answer) for i, pair_and_answer in enumerate(options)],
    }


DESCRIPTIVE = {
    "question_id": 0,
    "question": "Are there any metal cubes that enter the scene?",
    "question_type": "descriptive",
    "question_subtype": "exist",
    "program": ["objects", "metal", "filter_material", "cube", "filter_shape", "exist"],
    "answer": "yes",
}
QUESTIONS = [
    DESCRIPTIVE,
    # Gray stands aside: nothing changes.
    counterfactual(1, "gray", [("red", "blue", True), ("red", "green", False)]),
    # Without red, blue is not pushed: green is not hit.
    counterfactual(2, "red", [("blue", "green", False), ("green", "gray", True)]),
    # Negated: what will not happen without red?
    counterfactual(3, "red", [("blue", "green", True), ("blue", "gray", True)], negated=True),
    # No correct choice.
    counterfactual(4, "blue", [("red", "green", False), ("red", "gray", False)]),
]


@dataclass
class Folder:
    """Write scenes into a split; each gets the questions above unless others are given."""

    root: Path
    entries: dict = field(default_factory=dict)

    def annotate(self, split, scene, told=None):
        low = scene // 1000 * 1000
        place = self.root / f"annotation_{split}" / f"annotation_{low:05d}-{low + 1000:05d}"
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"annotation_{scene:05d}.json"
        path.write_text(json.dumps(told if told is not None else annotation(scene)))
        return path

    def ask(self, split, scene, questions=QUESTIONS):
        self.entries.setdefault(split, []).append(
            {
                "scene_index": scene,
                "video_filename": f"video_{scene:05d}.mp4",
                "questions": list(questions),
            }
        )
        path = self.root / f"{split}.json"
        path.write_text(json.dumps(self.entries[split]))
        return path
