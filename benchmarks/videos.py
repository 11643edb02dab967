"""Long videos in training: what a step costs where frames are kept and read ahead, and where not.

    OMP_NUM_THREADS=1 python benchmarks/videos.py [--steps 4] [--videos 2] [--out FILE]

`train cdpo` on random weights and minute-long 720p clips, its look at all videos included: `kept`
is the command as it is, `bare` the same with no frames kept and none read ahead, `naive` decodes
each clip when its step comes and repeats prompt and video for every completion, as TRL and the
authors' script do. CPU seconds are those of trainer and decoder together. How long a step waits on
the wall clock depends on a second core that is idle. The last line is JSON.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import numpy as np
import torch
from provenance import commit
from step import QUESTION, Setting, naive_step
from two_processes import ask

from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.training.kept_videos import KeptVideos
from videothinker.training.stages import train
from videothinker.video import read_clip

SECONDS, RATE, SIDES = 60, 24, (720, 1280)
PROMPTS, LENGTH = 2, 32
"""Of a step; tokens of a completion, in all three."""


def write_clip(path: Path, seed: int) -> None:
    """A minute of a square that moves over noise: h264, 720p, 24 frames a second."""
    noise = np.random.default_rng(seed).integers(0, 64, (*SIDES, 3), np.uint8)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=Fraction(RATE))
        stream.height, stream.width = SIDES
        stream.pix_fmt, stream.options = "yuv420p", {"preset": "ultrafast"}
        for number in range(SECONDS * RATE):
            picture = noise.copy()
            left = number * 7 % (SIDES[1] - 120)
            picture[300:420, left : left + 120] = (200, 40, 40)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))


def prepare(scratch: Path, videos: int) -> None:
    """A model and a list of questions; two clips are made, the others are their copies."""
    data = ask(scratch, "1m", videos)
    for number in range(videos):
        if number < 2:
            write_clip(data / f"{number}.mp4", number)
        else:
            shutil.copy(data / f"{number % 2}.mp4", data / f"{number}.mp4")


def ours(scratch: Path, mode: str, steps: int) -> None:
    """The command, with or without what keeps it from waiting."""
    if mode == "bare":
        KeptVideos.offer = lambda *_: None
        KeptVideos.read_ahead = lambda *_: None
        KeptVideos._keep = lambda *_: None  # noqa: SLF001
    config = CdpoConfig(
        model=str(scratch / "policy"),
        bias=str(scratch / "bias"),
        out=scratch / mode,
        dtype="float32",
        gradient_checkpointing=False,
        sampling="uniform",
        max_steps=steps,
        prompts_per_step=PROMPTS,
        eval_steps=0,
        max_completion_length=LENGTH,
    )
    train(scratch / "data", config)


def naive(scratch: Path, steps: int, videos: int) -> None:
    """Decode, roll out, update, one prompt after the other."""
    setting = Setting(scratch / "policy", scratch / "bias", "tiny", frozen=False)
    waited, began = 0.0, time.monotonic()
    for turn in range(steps * PROMPTS):
        asked = time.monotonic()
        clip = read_clip(scratch / "data", f"{turn % videos}.mp4", CdpoConfig.frames)
        video = setting.policy.to_video(clip.frames, clip.seconds, max_pixels=CdpoConfig.max_pixels)
        waited += time.monotonic() - asked
        setting.prompt = setting.policy.encode(QUESTION, video)
        naive_step(setting, LENGTH, turn)
    facts = {"training_seconds": time.monotonic() - began, "video_seconds": waited}
    (scratch / "naive").mkdir()
    (scratch / "naive/run.json").write_text(json.dumps({"facts": facts}))


def side(arguments: argparse.Namespace, scratch: Path, mode: str) -> dict[str, float]:
    """What a process of its own took, its decoder's time included."""
    words = [sys.executable, __file__, "--mode", mode, "--scratch", str(scratch)]
    words += ["--steps", str(arguments.steps), "--videos", str(arguments.videos)]
    cache = {"XDG_CACHE_HOME": str(scratch / f"cache-{mode}")}  # every run looks at the videos
    child = subprocess.Popen(words, env=os.environ | cache, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    assert status == 0
    facts = json.loads((scratch / mode / "run.json").read_text())["facts"]
    found = {name: facts[name] for name in ("training_seconds", "video_seconds")}
    return found | {
        "CPU seconds": used.ru_utime + used.ru_stime,
        "share of waiting": found["video_seconds"] / found["training_seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--videos", type=int, default=2)
    parser.add_argument("--out", type=Path, help="keep the result here")
    parser.add_argument("--mode", choices=("kept", "bare", "naive"), help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.mode == "naive":
        naive(arguments.scratch, arguments.steps, arguments.videos)
    elif arguments.mode:
        ours(arguments.scratch, arguments.mode, arguments.steps)
    if arguments.mode:
        return
    result: dict[str, Any] = {"benchmark": "videos", "commit": commit(), "torch": torch.__version__}
    result |= {"command": "python benchmarks/videos.py", "steps": arguments.steps}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        prepare(scratch, arguments.videos)
        for mode in ("kept", "bare", "naive"):
            result[mode] = side(arguments, scratch, mode)
            print(mode, *(f"{key} {value:.2f}" for key, value in result[mode].items()), sep="  ")
        same = [(scratch / mode / "metrics.jsonl").read_bytes() for mode in ("kept", "bare")]
        assert same[0] == same[1], "keeping frames changed a number"
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
