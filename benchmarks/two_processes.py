"""A training step by two CPU processes against the same step by one: wall clock and CPU time.

    python benchmarks/two_processes.py [--steps 6] [--repeats 2] [--shard states] [--out FILE]

`train cdpo` itself runs on random weights of the 13M shape and videos of 936 tokens, two prompts a
step; the completions of both are the same. Both cores must be idle for the wall clock to mean
anything: on a busy machine read the CPU seconds of a process, and what a process waits for.
The last line is JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from provenance import commit
from step import QUESTION, SIZES, config_of

from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.models.loaded import Policy
from videothinker.models.qwen_vl.small import build_small
from videothinker.processes import find_processes
from videothinker.records import Question, write_jsonl
from videothinker.training import loop, stages
from videothinker.training.models import load_trainee
from videothinker.video.encode import write_mp4

VIDEOS = 4
SIDES = (252, 364)
"""A frame's height and width: 9 x 13 tokens of 28 pixels."""


def prepare(scratch: Path, size: str) -> None:
    """Policy, bias model, videos and their questions."""
    data, rng = ask(scratch, size, VIDEOS), np.random.default_rng(0)
    for number in range(VIDEOS):
        write_mp4(data / f"{number}.mp4", rng.integers(0, 256, (16, *SIDES, 3), np.uint8), 4)


def ask(scratch: Path, size: str, videos: int) -> Path:
    """Policy, bias model, and a question about each of the videos that are to lie in the folder."""
    for seed, name in enumerate(("policy", "bias")):
        build_small(scratch / name, config_of("qwen2_5_vl", size, seed), [QUESTION])
    data = scratch / "data"
    data.mkdir()
    questions = [
        Question(
            id=f"made/{number}",
            dataset="made",
            split="train",
            video=f"{number}.mp4",
            question=QUESTION,
            choices=("it moves", "it stops"),
            answer=("A",),
            type="counterfactual",
        )
        for number in range(videos)
    ]
    write_jsonl(data / "questions.jsonl", questions)
    return data


def by_length(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    """Differs between completions, so that every group has a gradient."""
    del prompts, columns
    return [len(text) % 7 / 7 for text in completions]


@dataclass
class Clock:
    """Wall and CPU seconds of this process, by what it did."""

    rows: list[dict[str, float]] = field(default_factory=list)

    def around(self, name: str, function: Any) -> Any:
        """`function`, timed."""

        def timed(*given: Any, **named: Any) -> Any:
            wall, busy = time.monotonic(), time.process_time()
            try:
                return function(*given, **named)
            finally:
                row = self.rows[-1]
                row[name] = row.get(name, 0.0) + time.monotonic() - wall
                row[f"{name}, CPU"] = row.get(f"{name}, CPU", 0.0) + time.process_time() - busy

        return timed


def run(arguments: argparse.Namespace) -> None:
    """Train as this process of one or two, and write what each step took."""
    torch.set_num_threads(1)
    scratch: Path = arguments.scratch
    clock = Clock([{}])
    for name in ("generate", "score_groups", "decide", "update", "accumulate_gradients"):
        setattr(loop, name, clock.around(name, getattr(loop, name)))
    begun = [time.monotonic(), time.process_time()]

    def track(record: Any, seconds: float, waited: float) -> None:
        del record, waited
        clock.rows[-1] |= {"step": seconds, "step, CPU": time.process_time() - begun[1]}
        clock.rows.append({})
        begun[1] = time.process_time()

    def load(config: CdpoConfig, device: torch.device, **how: bool) -> Policy:
        policy = load_trainee(config, device, **how)
        policy.model.generation_config.eos_token_id = [-1]  # every completion has full length
        return policy

    stages.load_trainee, stages.open_tracker = load, lambda *_: track
    config = CdpoConfig(
        model=str(scratch / "policy"),
        bias=str(scratch / "bias"),
        out=arguments.child,
        dtype="float32",
        gradient_checkpointing=False,
        sampling="uniform",
        guard=False,
        max_steps=arguments.steps,
        eval_steps=0,
        save_steps=10**6,
        max_completion_length=arguments.length,
        freeze_vision=arguments.frozen,
        shard=arguments.shard,
        reward_funcs=("two_processes:by_length",),
    )
    stages.train(scratch / "data", config)
    rank = find_processes().rank
    Path(f"{arguments.child}-{rank}.json").write_text(json.dumps(clock.rows[:-1]))


def side(arguments: argparse.Namespace, scratch: Path, count: int, name: str) -> Any:
    """A run by `count` processes: what each step took in each of them."""
    alone = [sys.executable]
    several = ["-m", "torch.distributed.run", "--nproc-per-node", str(count), "--standalone"]
    words = [*alone, *(several if count > 1 else []), __file__]
    words += ["--child", str(scratch / name), "--scratch", str(scratch), "--shard", arguments.shard]
    words += ["--steps", str(arguments.steps), "--length", str(arguments.length)]
    words += ["--frozen"] if arguments.frozen else []
    here = {"PYTHONPATH": f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"}
    cache = {"XDG_CACHE_HOME": str(scratch / "cache")}
    subprocess.run(words, check=True, env=os.environ | here | cache, stdout=subprocess.DEVNULL)
    found = [json.loads(Path(f"{scratch / name}-{rank}.json").read_text()) for rank in range(count)]
    # the first step measures the divergence, and fills what later ones find filled
    return [
        {key: statistics.median(row[key] for row in rows[1:]) for key in rows[-1]} for rows in found
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--length", type=int, default=96)
    parser.add_argument("--size", choices=SIZES, default="13m")
    parser.add_argument("--shard", choices=("states", "layers"), default="states")
    parser.add_argument("--frozen", action="store_true", help="--freeze-vision")
    parser.add_argument("--out", type=Path, help="keep the result here")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run(arguments)
        return
    result: dict[str, Any] = {"benchmark": "two processes", "commit": commit(), "rows": []}
    result |= {"command": " ".join(["python", *sys.argv]), "torch": torch.__version__}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        prepare(scratch, arguments.size)
        for number in range(arguments.repeats):
            one, two = (side(arguments, scratch, n, f"{n}-{number}") for n in (1, 2))
            ratio = max(row["step"] for row in two) / one[0]["step"]
            busy = max(row["step, CPU"] for row in two) / one[0]["step, CPU"]
            result["rows"].append({"ratio": ratio, "CPU ratio": busy, "one": one, "two": two})
            for who, row in zip(("one", "rank 0", "rank 1"), (*one, *two), strict=True):
                print(who, *(f"{key} {value:.3f}" for key, value in row.items()), sep="  ")
            print(f"wall {ratio:.3f}, CPU of the busier process {busy:.3f}", flush=True)
    result["ratio"] = statistics.median(row["ratio"] for row in result["rows"])
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
