"""Run every verb on a small world and write down the digest of what each left.

Whoever moves code runs it before and after, and compares:

    python benchmarks/every_verb.py run OUT            (OUT/digests.json)
    python benchmarks/every_verb.py compare OUT_BEFORE OUT_AFTER

A digest covers all of a run folder but run.json, .lock and checkpoints, which alone may differ
between two identical runs. The same command on a started OUT goes on where it stopped.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
VIDEO_BASE = str(REPOSITORY / "models/base-video")
TEXT_BASE = str(REPOSITORY / "models/base-transcript")
IGNORED = ("run.json", ".lock")


def flags(**settings: object) -> list[str]:
    """`max_steps=2, freeze_vision=True` -> `--max-steps 2 --freeze-vision`."""
    words: list[str] = []
    for name, value in settings.items():
        values = () if value is True else value if isinstance(value, tuple) else (value,)
        words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return words


SMALL = flags(
    max_steps=2,
    prompts_per_step=2,
    num_generations=4,
    max_completion_length=64,
    eval_steps=2,
    eval_questions=4,
    save_steps=1,
    dtype="float32",
)
TEXT = [*SMALL, *flags(max_prompt_length=512, train_questions=40)]
SEEN = flags(frames=16, min_pixels=3072, max_pixels=3072)
PRETRAIN = flags(
    scenes=6,
    held_out=4,
    steps=3,
    batch=2,
    hidden=32,
    layers=2,
    heads=2,
    intermediate=64,
    probe_layer=1,
    vision_layers=1,
)


def data_commands(out: Path) -> dict[str, list[str]]:
    """Scenes, labels and small bases."""
    world = flags(
        scenes=12, validation_scenes=6, size="64x48", frames=16, plain_looks=True, radius=0.3
    )
    asked = flags(probe=TEXT_BASE, samples=2, protocol="demo", max_new_tokens=32, limit=4)
    return {
        "world": ["world", *world],
        "diagnosis": ["diagnose", str(out / "world")],
        "transcripts": ["diagnose", str(out / "world"), *flags(miss_rate=0.04)],
        "probed": ["diagnose", str(out / "transcripts/questions.jsonl"), *asked],
        "pretrain-video": ["pretrain", *PRETRAIN, *flags(tier="video")],
        "pretrain-text": ["pretrain", *PRETRAIN, *flags(tier="transcript")],
    }


def training_commands(out: Path) -> dict[str, list[str]]:
    """Every algorithm in transcripts; bias and CDPO from video too; LoRA."""

    def train(stage: str, data: str, model: str, *more: str) -> list[str]:
        return ["train", stage, *flags(data=out / data, model=model), *more]

    bias = flags(bias=out / "bias")
    failure = flags(sampling="bias-failure", sampling_rollouts=2)
    bounded = flags(divergence="exact", repulsion=0.3, schedule="controller")
    seen = [*SMALL, *SEEN]
    return {
        "bias": train("bias", "transcripts", TEXT_BASE, *TEXT),
        "bias-video": train("bias", "diagnosis", VIDEO_BASE, *seen, *flags(freeze_vision=True)),
        "grpo": train("grpo", "transcripts", TEXT_BASE, *TEXT),
        "grpo-failure": train("grpo", "transcripts", TEXT_BASE, *TEXT, *bias, *failure),
        "cdpo": train("cdpo", "transcripts", TEXT_BASE, *TEXT, *bias),
        "cdpo-bounded": train("cdpo", "transcripts", TEXT_BASE, *TEXT, *bias, *bounded),
        "cdpo-video": train(
            "cdpo", "diagnosis", VIDEO_BASE, *seen, *flags(bias=out / "bias-video")
        ),
        "cdpo-lora": train("cdpo", "transcripts", TEXT_BASE, *TEXT, *bias, *flags(lora_rank=4)),
    }


def asking_commands(out: Path) -> dict[str, list[str]]:
    """Evaluations, the page about them, and one question."""

    def evaluate(data: str, model: str, *more: str) -> list[str]:
        short = flags(protocol="demo", max_new_tokens=64, limit=12)
        return ["evaluate", *flags(data=out / data, model=out / model), *short, *more]

    told = ("world", "transcripts", "bias", "grpo", "cdpo", "eval-text", "eval-lora")
    video = next((out / "world").rglob("*.mp4"), "none")
    asked = flags(choice=("yes", "no"), model=VIDEO_BASE, max_new_tokens=32)
    return {
        "eval-text": evaluate("transcripts", "cdpo"),
        "eval-lora": evaluate("transcripts", "cdpo-lora", *flags(variants=("full", "struck"))),
        "eval-video": evaluate("diagnosis", "cdpo-video", *SEEN),
        "report.html": ["report", *(str(out / name) for name in told)],
        "ask.jsonl": ["ask", str(video), "Without the sphere?", *asked],
    }


def commands(out: Path) -> dict[str, list[str]]:
    """Name -> words; every name is also the run folder's."""
    return data_commands(out) | training_commands(out) | asking_commands(out)


def digest(path: Path) -> str:
    """Of a file, or of a folder's files with their names."""
    total = hashlib.sha256()
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_file() and file.name not in IGNORED and not name.startswith("checkpoints/"):
            total.update(f"{name}\0{digest(file)}\n".encode())
    return total.hexdigest()


def run(out: Path) -> None:
    """Run what is not done yet; write digests.json."""
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "digests.json"
    found: dict[str, str] = json.loads(kept.read_text()) if kept.is_file() else {}
    for name in commands(out):
        if name in found:
            continue
        words = commands(out)[name]  # anew: `ask` looks for a video that `world` made
        command = [sys.executable, "-m", "videothinker.cli", *words, "--out", str(out / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=out)
        if done.returncode not in (0, 1):
            sys.exit(f"{name}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        found[name] = digest(out / name)
        kept.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{name:<16}{found[name][:16]}", flush=True)


def compare(before: Path, after: Path) -> None:
    """Name every verb whose output changed; exit with 1 if any did."""
    old, new = (json.loads((path / "digests.json").read_text()) for path in (before, after))
    changed = [name for name in old | new if old.get(name) != new.get(name)]
    print(f"{len(old | new) - len(changed)} of {len(old | new)} outputs are the same bytes")
    for name in changed:
        print(f"changed: {name}")
    sys.exit(bool(changed))


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"] and len(sys.argv) == 3:
        run(Path(sys.argv[2]).absolute())
    elif sys.argv[1:2] == ["compare"] and len(sys.argv) == 4:
        compare(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(__doc__)
