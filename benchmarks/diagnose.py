"""How fast does `diagnose` read CLEVRER's training split, against the obvious way?

    python benchmarks/diagnose.py [--scenes 10000] [--folder DIR]

Writes a folder in CLEVRER's layout and of its size (annotations of about 230 KB, 15.26 questions
a scene), then labels it twice, each in a process of its own on one core: with `diagnose`, and with
`json.load` and string comparison. Both must give the same labels. CPU seconds, peak memory; the
last line is JSON. Goal: 10,000 scenes and 152,572 questions in 30 s and 1 GB.
"""

import argparse
import itertools
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PER_SCENE = {"descriptive": 10.9952, "explanatory": 1.6799, "predictive": 0.7179}
COUNTERFACTUAL = 1.8642
"""Questions a scene in CLEVRER's train.json (152,572 over 10,000 scenes)."""
LOOKS = list(
    itertools.product(
        ("gray", "red", "blue", "green", "brown", "yellow", "cyan", "purple"),
        ("metal", "rubber"),
        ("sphere", "cylinder", "cube"),
    )
)


def trajectory(rng: np.random.Generator, things: int) -> str:
    """128 frames in the file's own layout; full-precision floats, as published."""
    frames = [
        {
            "frame_id": frame,
            "objects": [
                {
                    "object_id": thing,
                    "location": rng.normal(size=3).tolist(),
                    "orientation": rng.normal(size=3).tolist(),
                    "inside_camera_view": True,
                    "velocity": rng.normal(size=3).tolist(),
                    "angular_velocity": rng.normal(size=3).tolist(),
                }
                for thing in range(things)
            ],
        }
        for frame in range(128)
    ]
    return json.dumps(frames)


def filters(look: tuple[str, str, str]) -> list[str]:
    color, material, shape = look
    named = ["objects", color, "filter_color", material, "filter_material", shape]
    return [*named, "filter_shape", "unique"]


def collision_choice(number: int, one, other, correct: bool) -> dict:  # noqa: FBT001
    return {
        "choice_id": number,
        "choice": f"The {' '.join(one)} collides with the {' '.join(other)}",
        "program": [
            *("all_events", *filters(one), "filter_collision"),
            *(*filters(other), "filter_collision", "unique"),
        ],
        "answer": "correct" if correct else "wrong",
    }


def question(rng: np.random.Generator, kind: str, number: int, looks: list) -> dict:
    base = {"question_id": number, "question_type": kind}
    if kind == "descriptive":
        look = looks[rng.integers(len(looks))]
        program = [*filters(look)[:-1], "null", "filter_moving", "count"]
        text = f"How many {' '.join(look)}s are moving?"
        subtype = {"question_subtype": "count", "answer": str(rng.integers(6))}
        return {**base, "question": text, "program": program, **subtype}
    pairs = list(itertools.combinations(looks, 2))
    drawn = rng.permutation(len(pairs))[: 2 if kind == "predictive" else rng.integers(3, 5)]
    choices = [
        collision_choice(i, *pairs[j], bool(rng.random() < 0.5)) for i, j in enumerate(drawn)
    ]
    if kind != "counterfactual":
        text = f"Which of the following is {kind}?"
        return {
            **base,
            "question": text,
            "program": ["unseen_events", "belong_to"],
            "choices": choices,
        }
    removed, negated = looks[rng.integers(len(looks))], bool(rng.random() < 0.5)
    program = ["all_events", *filters(removed), "get_counterfact", "belong_to"]
    stem = f"What will {'not ' if negated else ''}happen"
    clause = f"the {' '.join(removed)} is removed"
    front = rng.random() < 0.5
    text = f"If {clause}, {stem.lower()}?" if front else f"{stem} if {clause}?"
    program += ["negate"] if negated else []
    return {**base, "question": text, "program": program, "choices": choices}


def write_folder(root: Path, scenes: int) -> dict[str, float]:
    """A training split of synthetic scenes; trajectories are drawn once per object count."""
    rng = np.random.default_rng(0)
    motions = {n: trajectory(rng, n) for n in (4, 5, 6)}
    entries, size = [], 0
    due = dict.fromkeys((*PER_SCENE, "counterfactual"), 0.0)
    for scene in range(scenes):
        count = int(rng.integers(4, 7))
        looks = [LOOKS[i] for i in rng.permutation(len(LOOKS))[:count]]
        pairs = list(itertools.combinations(range(count), 2))
        hits = [pairs[i] for i in rng.permutation(len(pairs))[: rng.integers(2, 5)]]
        told = {
            "scene_index": scene,
            "video_filename": f"video_{scene:05d}.mp4",
            "object_property": [
                {"object_id": i, "color": c, "material": m, "shape": s}
                for i, (c, m, s) in enumerate(looks)
            ],
        }
        collisions = [
            {"object_ids": list(pair), "frame_id": 20 * (i + 1), "location": [0.1, 0.2, 0.3]}
            for i, pair in enumerate(hits)
        ]
        text = (
            f'{json.dumps(told)[:-1]}, "motion_trajectory": {motions[count]}, '
            f'"collision": {json.dumps(collisions)}}}'
        )
        low = scene // 1000 * 1000
        folder = root / "annotation_train" / f"annotation_{low:05d}-{low + 1000:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"annotation_{scene:05d}.json").write_text(text)
        size += len(text)
        asked = []
        for kind, rate in (*PER_SCENE.items(), ("counterfactual", COUNTERFACTUAL)):
            due[kind] += rate
            while due[kind] >= 1 - 1e-9:
                due[kind] -= 1
                asked.append(question(rng, kind, len(asked), looks))
        entries.append({"scene_index": scene, "video_filename": "", "questions": asked})
    (root / "train.json").write_text(json.dumps(entries))
    questions = sum(len(entry["questions"]) for entry in entries)
    return {"questions": questions, "annotation_kb": size / scenes / 1000}


OBVIOUS_PREMISE = re.compile(r"if the (\w+ \w+ \w+) is removed", re.IGNORECASE)
OBVIOUS_CHOICE = re.compile(r"The (\w+ \w+ \w+) collides with the (\w+ \w+ \w+)")


def obvious(data: Path, out: Path) -> None:
    """`json.load` every file, compare strings, write one line a question."""
    seen = {}
    for path in sorted(data.glob("annotation_train/*/annotation_*.json")):
        with path.open() as file:
            told = json.load(file)
        names = {
            o["object_id"]: f"{o['color']} {o['material']} {o['shape']}"
            for o in told["object_property"]
        }
        seen[told["scene_index"]] = {
            frozenset(names[i] for i in hit["object_ids"]) for hit in told["collision"]
        }
    with (data / "train.json").open() as file:
        entries = json.load(file)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "diagnosis.jsonl").open("w") as file:
        for entry in entries:
            for asked in entry["questions"]:
                if asked["question_type"] != "counterfactual":
                    continue
                assert OBVIOUS_PREMISE.search(asked["question"])
                negated = "will not" in asked["question"]
                label = "observational"
                for choice in asked["choices"]:
                    pair = frozenset(OBVIOUS_CHOICE.match(choice["choice"]).groups())
                    happens = (choice["answer"] == "correct") != negated
                    if happens != (pair in seen[entry["scene_index"]]):
                        label = "inferential"
                if not any(choice["answer"] == "correct" for choice in asked["choices"]):
                    label = "excluded"
                name = f"clevrer/train/{entry['scene_index']:05d}-{asked['question_id']:02d}"
                file.write(json.dumps({"question_id": name, "label": label}) + "\n")


def ours(data: Path, out: Path) -> None:
    from videothinker.diagnosis.config import DiagnoseConfig  # noqa: PLC0415
    from videothinker.diagnosis.stage import diagnose  # noqa: PLC0415

    diagnose(data, DiagnoseConfig(out=out))


def measure(way: str, data: Path, out: Path) -> dict[str, float]:
    """Run one way in a process of its own: CPU and wall seconds, peak memory."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(data), "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def labels(out: Path) -> dict[str, str]:
    rows = (json.loads(line) for line in (out / "diagnosis.jsonl").open())
    return {row["question_id"]: row["label"] for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--way", choices=("ours", "obvious"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.way is not None:
        started = time.perf_counter()
        {"ours": ours, "obvious": obvious}[args.way](args.folder, args.out)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        cpu, wall = time.process_time(), time.perf_counter() - started
        print(
            json.dumps({"cpu_s": round(cpu, 2), "wall_s": round(wall, 2), "peak_mb": round(peak)})
        )
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as place:
        root = Path(place)
        size = write_folder(root / "data", args.scenes)
        print(
            f"{args.scenes} scenes, {size['questions']} questions, {size['annotation_kb']:.0f} KB"
        )
        found = {way: measure(way, root / "data", root / way) for way in ("obvious", "ours")}
        same = labels(root / "ours") == labels(root / "obvious")
    for way, numbers in found.items():
        print(f"{way:8} {numbers}")
    print(json.dumps({"scenes": args.scenes, **size, **found, "same_labels": same}))
    if not same:
        raise SystemExit("the two ways give different labels")


if __name__ == "__main__":
    main()
