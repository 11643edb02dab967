"""Run folders made by hand, with accuracies known beforehand, for the tests of the report."""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import av
import msgspec
import numpy as np

from videothinker.diagnosis.rotation import rotated
from videothinker.records import (
    Diagnosis,
    Evidence,
    Question,
    Sample,
    Step,
    read_jsonl,
    write_jsonl,
)
from videothinker.runs import open_run

EVIL = '<img src=x onerror="window.hacked=1"> What happens without the cube?</script><b>'
COLORS = ("red", "blue", "green", "gray")


@dataclass(frozen=True)
class Plain:
    """A config such as a stage has."""

    out: Path
    seed: int = 0
    data: str = ""
    model: str = ""
    bias: str | None = None
    divergence: str = "k3"
    repulsion: float = 0.01


def write_video(path: Path, frames: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as box:
        stream = box.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(frames):
            pixels = np.full((64, 96, 3), 200, np.uint8)
            pixels[24:40, 4 * i : 4 * i + 16] = (200, 40, 40)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels)):
                box.mux(packet)
        for packet in stream.encode():
            box.mux(packet)
    return path


def question(i: int, split: str) -> tuple[Question, Diagnosis]:
    """Every third is inferential, and of one family with the observational one behind it."""
    inferential, first = i % 3 == 0, i - (i % 3 == 1)
    a, b = COLORS[first % 4], COLORS[(first + 1) % 4]
    text = EVIL if i == 0 else f"Which event will happen without the {COLORS[i % 4]} cube?"
    q = Question(
        id=f"made/{split}/{i:04d}",
        dataset="made",
        split=split,
        video=f"video/{first // 4 % 24:03d}.mp4",
        question=text,
        question_struck=f"Which event will happen after {first} frames?",
        choices=(f"The {b} sphere hits the {a} cube", f"The {b} sphere and the green cube collide"),
        answer=("B",) if inferential else ("A",),
        type="counterfactual",
        groups={"negated": "yes" if i % 2 else "no", "scene": str(i)},
    )
    label = "inferential" if inferential else "observational"
    d = Diagnosis(
        question_id=q.id,
        rule="same_truth",
        label=label,
        flags={
            "untouched": i % 4 != 0,
            "same_truth": not inferential,
            "correct_seen": None if i % 5 == 0 else not inferential,
        },
        evidence=Evidence(
            removed=f"{a} cube",
            observed=(
                f"frame {10 + i % 9}: {b} sphere collides with {a} cube",
                "frame 61: tan ball collides with green cone",
            ),
            truth_video=(True, False),
            truth_counterfactual=(False, True) if inferential else (True, False),
        ),
        probes={"blind": (3, 8)},
    )
    return q, d


def diagnose_run(root: Path, split: str, n: int) -> Path:
    out = root / f"diagnose-{split}"
    with open_run(out, "diagnose", Plain(out), {}) as run:
        pairs = [question(i, split) for i in range(n)]
        write_jsonl(out / "questions.jsonl", [q for q, _ in pairs])
        write_jsonl(out / "diagnosis.jsonl", [d for _, d in pairs])
        run.facts["data_root"] = str(root)
    return out


def probed_run(root: Path, n: int = 60, samples: int = 4) -> Path:
    """A diagnose run whose model describes the video, and errs on every fifth struck question.

    In the video option A happens and B does not; every third question is inferential, and there it
    is the other way round after the removal. Nothing is negated.
    """
    out = root / "diagnose-probed"
    with open_run(out, "diagnose", Plain(out), {}) as run:
        asked, found, answers = [], [], []
        for i in range(n):
            q, d = question(i, "train")
            q = msgspec.structs.replace(q, groups={"negated": "no", "scene": str(i)})
            asked.append(q)
            says = {"full": ("A",), "struck": ("B",) if i % 5 == 0 else ("A",)}
            survives = says["struck"] == q.answer
            right = {name: (samples * (said == q.answer), samples) for name, said in says.items()}
            found.append(
                msgspec.structs.replace(
                    d,
                    rule="survives_strike",
                    label="observational" if survives else "inferential",
                    flags={**d.flags, "survives_strike": survives},
                    probes=right,
                )
            )
            for name, said in says.items():
                for k in range(samples):
                    shown = rotated(q, k)
                    place = ("A", "B") if k % 2 == 0 else ("B", "A")  # two options, rotated by k
                    letters = (place[("A", "B").index(said[0])],)
                    answers.append(
                        Sample(
                            question_id=shown.id, model="m", protocol="demo", variant=name,
                            answer=letters, verdict="ok", exact=float(said == q.answer),
                        )
                    )  # fmt: skip
        write_jsonl(out / "questions.jsonl", asked)
        write_jsonl(out / "diagnosis.jsonl", found)
        write_jsonl(out / "samples.jsonl", answers)
        run.facts["data_root"] = str(root)
    return out


def train_run(root: Path, stage: str, seed: int, steps: int = 40, **config: object) -> Path:
    words = "-".join(Path(str(v)).name for k, v in config.items() if k != "bias")
    out = root / "-".join(filter(None, [stage, words, f"seed{seed}"]))
    rng = random.Random(f"{stage}{seed}{words}")
    with open_run(out, stage, Plain(out, seed=seed, model=str(root / "pretrain"), **config), {}):
        write_jsonl(
            out / "metrics.jsonl",
            [
                Step(
                    step=i + 1,
                    loss=rng.random(),
                    reward={
                        "soft_accuracy": 0.4 + 0.3 * i / steps + rng.gauss(0, 0.03),
                        "format": min(1, 0.7 + i / steps),
                    },
                    divergence=0.3 * i / steps if stage == "train-cdpo" else None,
                    entropy=1.2 - 0.6 * i / steps + rng.gauss(0, 0.02),
                    valid=min(1, 0.8 + i / steps),
                    repulsion=0.01 if stage == "train-cdpo" else 0.0,
                    dropped_groups=rng.randrange(2),
                    guard="halved the repulsion: format below 0.5" if i in (9, 25) else None,
                )
                for i in range(steps)
            ],
        )
    return out


def pretrain_run(root: Path, warnings: tuple[str, ...] = ()) -> Path:
    out = root / "pretrain"
    with open_run(out, "pretrain", Plain(out), {}) as run:
        write_jsonl(out / "metrics.jsonl", [Step(step=i + 1, loss=3 / (i + 1)) for i in range(30)])
        run.facts["warnings"] = list(warnings)
    return out


def evaluate_run(
    root: Path, data: Path, model: Path, *, accuracy: dict[str, float], name: str, seed: int = 0
) -> Path:
    """Answers right on a fixed share of each label; which ones depends on `name` and the seed."""
    out = root / f"evaluate-{name}"
    rng = random.Random(name)
    with open_run(out, "evaluate", Plain(out, seed=seed, model=str(model)), {}) as run:
        run.facts["data_root"] = str(root)
        (out / "questions.jsonl").write_bytes((data / "questions.jsonl").read_bytes())
        (out / "diagnosis.jsonl").write_bytes((data / "diagnosis.jsonl").read_bytes())
        pairs = [question(i, "validation") for i in range(len(lines(data / "questions.jsonl")))]
        samples = []
        for label, share in accuracy.items():
            ids = [q for q, d in pairs if d.label == label]
            hits = set(rng.sample(range(len(ids)), round(share * len(ids))))
            for i, q in enumerate(ids):
                answer = q.answer if i in hits else tuple(sorted({"A", "B"} - set(q.answer)))
                thinking = f"{name} looks at {q.id}. " + "The sphere rolls towards the cube. " * 6
                samples.append(
                    Sample(
                        question_id=q.id, model=name, protocol="demo", seed=seed, frames=8,
                        height=56, width=56, prompt_tokens=120, thinking=thinking, answer=answer,
                        text=f"<think>{thinking}</think><answer>{','.join(answer)}</answer>",
                        verdict="ok", exact=float(i in hits), soft=float(i in hits), format=1.0,
                    )
                )  # fmt: skip
        write_jsonl(out / "samples.jsonl", samples)
    return out


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def whole_line(root: Path, *, n: int = 48, seeds: tuple[int, ...] = (0, 1, 2)) -> list[Path]:
    """Every stage, several seeds: base .68/.62, GRPO .78/.40, CDPO .76/.70."""
    for i in range(min(24, -(-n // 2))):
        write_video(root / "video" / f"{i:03d}.mp4")
    held, train = diagnose_run(root, "validation", n), diagnose_run(root, "train", 2 * n)
    base = pretrain_run(root)
    runs = [train, held, base]
    points = {"observational": 0.68, "inferential": 0.62}
    runs.append(evaluate_run(root, held, base / "model", accuracy=points, name="base"))
    for seed in seeds:
        wobble = 0.02 * (seed - 1)
        bias = train_run(root, "train-bias", seed)
        grpo = train_run(root, "train-grpo", seed)
        cdpo = train_run(root, "train-cdpo", seed, bias=str(bias / "model"))
        down = {"observational": 0.78 + wobble, "inferential": 0.40 + wobble}
        up = {"observational": 0.76 - wobble, "inferential": 0.70 + wobble}
        runs += [bias, grpo, cdpo]
        runs.append(
            evaluate_run(root, held, grpo / "model", accuracy=down, name=f"grpo-seed{seed}")
        )
        runs.append(evaluate_run(root, held, cdpo / "model", accuracy=up, name=f"cdpo-seed{seed}"))
    return runs


def copied(made_runs: list[Path], to: Path) -> list[Path]:
    shutil.copytree(made_runs[0].parent, to, dirs_exist_ok=True)
    return [to / path.name for path in made_runs]


Truths = dict[int, tuple[bool, ...]]


def with_truths(paths: list[Path], truths: Truths) -> list[Path]:
    """The k-th inferential question's options happen in the video as `truths[k % len]` says."""
    for path in (run / "diagnosis.jsonl" for run in paths):
        rows = read_jsonl(path, Diagnosis) if path.is_file() else []
        hard = [row.question_id for row in rows if row.label == "inferential"]
        place = {name: k for k, name in enumerate(hard)}
        changed = [
            msgspec.structs.replace(
                row, evidence=Evidence(truth_video=truths[place[row.question_id] % len(truths)])
            )
            if row.question_id in place
            else row
            for row in rows
        ]
        if rows:
            write_jsonl(path, changed)
    return paths


def answered_right(paths: list[Path], method: str, right: tuple[bool, ...]) -> None:
    """A method answers the k-th inferential question as `right[k % len]` says, with every seed."""
    for run in paths:
        if not run.name.startswith(f"evaluate-{method}"):
            continue
        rows = read_jsonl(run / "diagnosis.jsonl", Diagnosis)
        hard = [row.question_id for row in rows if row.label == "inferential"]
        place = {name: k for k, name in enumerate(hard)}
        samples = [
            msgspec.structs.replace(s, exact=float(right[place[s.question_id] % len(right)]))
            if s.question_id in place
            else s
            for s in read_jsonl(run / "samples.jsonl", Sample)
        ]
        write_jsonl(run / "samples.jsonl", samples)


AWAY = {0: (False, False), 1: (True, True), 2: (False, False), 3: (True, False)}
"""Three inferential questions of four give themselves away."""
