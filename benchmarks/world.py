"""How fast worlds are made: CPU time of one thread, printed as one line of JSON.

    OMP_NUM_THREADS=1 python benchmarks/world.py

Bars (two idle cores): 60 videos a minute at 480x320x128, 1,500 at 168x112x16; one core: 1,500
scenes a minute without rendering, all removals included; memory flat in the number of scenes.
"""

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

from videothinker.video.encode import write_mp4
from videothinker.world.objects import frame_ids
from videothinker.world.render import render
from videothinker.world.scenes import SceneConfig
from videothinker.world.worlds import make_world

CONFIG = SceneConfig()


def processor() -> str:
    """The processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def megabytes() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def scenes(count: int) -> float:
    """CPU-seconds a scene, without pictures, all removals and jitter checks included."""
    start = time.process_time()
    for index in range(count):
        make_world(0, index, CONFIG)
    return (time.process_time() - start) / count


def videos(count: int, width: int, height: int, frames: int, folder: Path) -> float:
    """CPU-seconds a video: physics with all removals, rendering, encoding, writing."""
    start = time.process_time()
    for index in range(count):
        world = make_world(0, index, CONFIG)
        shown = render(world.scene, world.factual, frame_ids(frames).tolist(), width, height)
        write_mp4(folder / f"{index}.mp4", shown, 25 * frames / 128)
    return (time.process_time() - start) / count


def streamed(count: int) -> float:
    """CPU-seconds a scene and its 16 frames of 168x112 in memory, no removals, no file."""
    start = time.process_time()
    for index in range(20000, 20000 + count):
        world = make_world(0, index, CONFIG, removals=False)
        render(world.scene, world.factual, frame_ids(16).tolist(), 168, 112)
    return (time.process_time() - start) / count


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast worlds are made.")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--small", type=int, default=60)
    parser.add_argument("--videos", type=int, default=8)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos(1, 168, 112, 16, folder)  # imports and caches
        first = {"scene": scenes(args.scenes), "small": videos(args.small, 168, 112, 16, folder)}
        memory = megabytes()
        streamed_s = streamed(args.small)
        scenes(args.scenes)
        videos(args.small, 168, 112, 16, folder)
        grown = megabytes() - memory
        large = videos(args.videos, 480, 320, 128, folder)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 1024
    result = {
        "machine": processor(),
        "cores": os.cpu_count(),
        "threads": 1,
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
        "cpu_ms_a_scene": round(first["scene"] * 1e3, 1),
        "scenes_a_minute_a_core": round(60 / first["scene"]),
        "cpu_ms_a_small_video": round(first["small"] * 1e3, 1),
        "small_videos_a_minute_on_2_cores": round(120 / first["small"]),
        "cpu_ms_a_small_video_in_memory": round(streamed_s * 1e3, 1),
        "cpu_s_a_480x320x128_video": round(large, 3),
        "videos_a_minute_on_2_cores": round(120 / large),
        "memory_growth_mb_over_twice_the_scenes": round(grown, 1),
        "kilobytes_written": round(size),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
