"""Steps of ms-swift with our plug-in, on a tiny Qwen2.5-VL and videos: are the signs right?

Needs an environment of ms-swift 4.6 with its own pins, which are not ours:

    python -m venv swift-env && swift-env/bin/pip install ms-swift==4.6.0 torchvision av \
        decord qwen-vl-utils msgspec
    python benchmarks/ms_swift_step.py --swift swift-env/bin/swift --out runs/ms-swift

It makes videos, questions, a policy and a bias model of random weights here, exports `train cdpo`
with a repulsion and with an attraction, and gives both to ms-swift on the CPU. The last line is
JSON: the KL(policy || bias) before each step and the loss. Repelled it must rise, attracted fall,
where rewards are all equal and the divergence alone moves the weights.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from videothinker import cli
from videothinker.models.catalog import load_policy
from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small
from videothinker.records import Question, write_jsonl
from videothinker.video.encode import write_mp4

WORDS = (
    "Which way does the square go? to the left to the right A. B. Think first, then answer with "
    "the letter of every correct choice. Write your reasoning letters, separated by commas"
)
SHAPE = {
    "hidden": 64, "layers": 2, "heads": 2, "kv_heads": 1, "intermediate": 96, "patch_size": 14,
    "window_size": 112, "vision_hidden": 32, "vision_layers": 2, "vision_heads": 2,
    "vision_intermediate": 48, "vision_full_attention": (1,), "initializer_range": 0.1,
}  # fmt: skip
STEPS = 4
TINY = """# ms-swift has the published tokenizer's ids written down; ours is another.
from swift.template.templates.qwen import Qwen2VLTemplate

Qwen2VLTemplate.image_token_id, Qwen2VLTemplate.video_token_id = {image}, {video}
"""


def make_inputs(out: Path) -> None:
    """Videos, their questions, a policy and a bias model that differs from it."""
    data = out / "data"
    data.mkdir(parents=True)
    questions: list[Question] = []
    for number in range(8):
        frames = np.full((12, 56, 84, 3), 200, np.uint8)
        for t in range(12):
            x = 5 * t if number % 2 else 60 - 5 * t
            frames[t, 20:36, x : x + 16] = (200, 40, 40)
        write_mp4(data / f"{number}.mp4", frames, fps=6)
        questions.append(
            Question(
                id=f"squares/{number}",
                dataset="squares",
                split="train",
                video=f"{number}.mp4",
                question="Which way does the square go?",
                choices=("to the left", "to the right"),
                answer=("AB"[number % 2],),
                type="direction",
            )
        )
    write_jsonl(data / "questions.jsonl", questions)
    policy = load_policy(build_small(out / "policy", SmallConfig(**SHAPE), [WORDS] * 30))
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=stream))
    policy.save(out / "bias")


def export(out: Path, name: str, **settings: Any) -> Path:
    """A run of `train cdpo` in ms-swift's form."""
    recipe = {
        "dtype": "float32", "gradient_checkpointing": False, "frames": 4, "num_generations": 4,
        "max_completion_length": 8, "prompts_per_step": 1, "max_steps": STEPS, "guard": False,
        "learning_rate": 1e-3, "eval_steps": 0, "train_questions": 0, "sampling": "uniform",
        "reward_funcs": ["format"], "max_grad_norm": 1000.0, **settings,
    }  # fmt: skip
    path = out / f"{name}.yaml"
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in recipe.items()))
    words = ["--to", "ms-swift", "--data", str(out / "data"), "--recipe", str(path)]
    words += ["--model", str(out / "policy"), "--bias", str(out / "bias")]
    if cli.main(["export", *words, "--out", str(out / name)]):
        sys.exit(f"the export of {name} failed")
    return out / name


def run(folder: Path, swift: Path) -> list[dict[str, float]]:
    """What ms-swift logged at each step."""
    source = Path(cli.__file__).parents[1]
    environment = {
        **os.environ, "PATH": f"{swift.parent}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(source), "GPUS": "1", "PER_DEVICE": "2", "VLLM": "no",
    }  # fmt: skip
    ids = json.loads((folder.parent / "policy/config.json").read_text())
    tiny = TINY.format(image=ids["image_token_id"], video=ids["video_token_id"])
    (folder / "tiny.py").write_text(tiny)
    more = [
        "--external_plugins",
        "plugin.py",
        "tiny.py",
        "--report_to",
        "none",
        "--dataset_num_proc",
        "1",
        "--save_strategy",
        "no",
    ]
    done = subprocess.run(
        ["bash", str(folder / "run.sh"), *more],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (folder / "log.txt").write_text(done.stdout + done.stderr)
    logs = sorted(folder.glob("output/**/logging.jsonl"))
    if done.returncode or not logs:
        sys.exit(f"ms-swift failed; the end of its log:\n{(done.stdout + done.stderr)[-3000:]}")
    rows = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    return [row for row in rows if "kl" in row]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swift", type=Path, required=True, help="its `swift` command")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    given = parser.parse_args()
    out = given.out.resolve()
    make_inputs(out)
    cases = {
        "repel-exact": {"repulsion": 1.0, "divergence": "exact"},
        "attract-exact": {"repulsion": 1.0, "divergence": "exact", "direction": "attract"},
        "repel-k2": {"repulsion": 1.0, "divergence": "k2"},
        "controller": {"repulsion": 1.0, "divergence": "exact", "schedule": "controller",
                       "divergence_target": 0.01},
    }  # fmt: skip
    found: dict[str, Any] = {}
    for name, settings in cases.items():
        rows = run(export(out, name, **settings), given.swift.absolute())
        found[name] = {key: [row.get(key) for row in rows] for key in ("kl", "loss", "repulsion")}
        print(name, found[name], flush=True)
    for name in ("repel-exact", "repel-k2"):
        assert found[name]["kl"][-1] > found[name]["kl"][0], f"{name}: the divergence did not rise"
    for name in ("attract-exact", "controller"):
        assert found[name]["kl"][-1] < found[name]["kl"][0], f"{name}: the divergence did not fall"
    assert all(value < 0 for value in found["controller"]["repulsion"]), "it is above its target"
    print(json.dumps(found))


if __name__ == "__main__":
    main()
