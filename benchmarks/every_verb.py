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
SMALL = [
    "--max-steps",
    "2",
    "--prompts-per-step",
    "2",
    "--num-generations",
    "4",
    "--max-completion-length",
    "64",
]
SMALL += ["--eval-steps", "2", "--eval-questions", "4", "--save-steps", "1", "--dtype", "float32"]
TEXT = [*SMALL, "--max-prompt-length", "512", "--train-questions", "40"]
SEEN = ["--frames", "16", "--min-pixels", "3072", "--max-pixels", "3072"]
SHORT = ["--protocol", "demo", "--max-new-tokens", "64", "--limit", "12"]
IGNORED = ("run.json", ".lock")


def commands(out: Path) -> dict[str, list[str]]:
    """Name -> words; every name is also the run folder's."""

    def at(name: str) -> str:
        return str(out / name)

    def train(stage: str, data: str, model: str, *more: str) -> list[str]:
        return ["train", stage, "--data", at(data), "--model", model, *more]

    def evaluate(data: str, model: str, *more: str) -> list[str]:
        return ["evaluate", "--data", at(data), "--model", model, *SHORT, *more]

    world = [
        "world",
        "--scenes",
        "12",
        "--validation-scenes",
        "6",
        "--size",
        "64x48",
        "--frames",
        "16",
        "--plain-looks",
    ]
    pretrain = [
        "pretrain",
        "--scenes",
        "6",
        "--held-out",
        "4",
        "--steps",
        "3",
        "--batch",
        "2",
        "--hidden",
        "32",
        "--layers",
        "2",
    ]
    pretrain += ["--heads", "2", "--intermediate", "64", "--watching", "1", "--vision-layers", "1"]
    two_samples = ["--samples", "2", "--protocol", "demo", "--max-new-tokens", "32", "--limit", "4"]
    return {
        "world": world,
        "diagnosis": ["diagnose", at("world")],
        "transcripts": ["diagnose", at("world"), "--miss-rate", "0.04"],
        "probed": [
            "diagnose",
            at("transcripts/questions.jsonl"),
            "--probe",
            TEXT_BASE,
            *two_samples,
        ],
        "pretrain-video": [*pretrain, "--tier", "video"],
        "pretrain-text": [*pretrain, "--tier", "transcript"],
        "bias": train("bias", "transcripts", TEXT_BASE, *TEXT),
        "bias-video": train("bias", "diagnosis", VIDEO_BASE, *SMALL, *SEEN, "--freeze-vision"),
        "grpo": train("grpo", "transcripts", TEXT_BASE, *TEXT),
        "grpo-failure": train(
            *("grpo", "transcripts", TEXT_BASE, *TEXT, "--bias", at("bias")),
            *("--sampling", "bias-failure", "--sampling-rollouts", "2"),
        ),
        "cdpo": train("cdpo", "transcripts", TEXT_BASE, *TEXT, "--bias", at("bias")),
        "cdpo-paper": train(
            *("cdpo", "transcripts", TEXT_BASE, *TEXT, "--bias", at("bias")),
            *["--divergence", "k3", "--repulsion", "0.01", "--schedule", "constant"],
        ),
        "cdpo-video": train(
            "cdpo", "diagnosis", VIDEO_BASE, *SMALL, *SEEN, "--bias", at("bias-video")
        ),
        "cdpo-lora": train(
            *("cdpo", "transcripts", TEXT_BASE, *TEXT, "--bias", at("bias"), "--lora-rank", "4")
        ),
        "eval-text": evaluate("transcripts", at("cdpo")),
        "eval-lora": evaluate("transcripts", at("cdpo-lora"), "--variants", "full", "struck"),
        "eval-video": evaluate("diagnosis", at("cdpo-video"), *SEEN),
        "report.html": [
            *("report", at("world"), at("transcripts"), at("bias"), at("grpo"), at("cdpo")),
            *(at("eval-text"), at("eval-lora")),
        ],
        "ask.jsonl": [
            *("ask", str(next((out / "world").rglob("*.mp4"), "none")), "Without the sphere?"),
            *("--choice", "yes", "no", "--model", VIDEO_BASE, "--max-new-tokens", "32"),
        ],
    }


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
