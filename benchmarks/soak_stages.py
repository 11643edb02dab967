"""Every stage on a few scenes and a tiny model, each run in a process of its own.

The processes are forked from one that has imported everything, so that a moment drawn at random
falls into the work and not into the imports.
"""

import atexit
import hashlib
import os
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NoReturn

import torch

from videothinker import cli
from videothinker.lab.pretraining import batches, pool
from videothinker.lab.pretraining import stage as pretraining
from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small
from videothinker.records import Question, read_jsonl

FREE = ("run.json", ".lock", "logs")
"""Files and folders that may differ between two identical runs."""
TINY = {
    "hidden": 32, "layers": 2, "heads": 2, "kv_heads": 1, "intermediate": 48, "vocab_size": 400,
    "vision_hidden": 32, "vision_layers": 1, "vision_heads": 2, "vision_intermediate": 32,
    "vision_full_attention": (0,), "initializer_range": 0.05,
}  # fmt: skip
TRAIN = shlex.split(
    "--max-steps 6 --save-steps 2 --eval-steps 3 --eval-questions 4 --prompts-per-step 2 "
    "--num-generations 2 --max-completion-length 6 --max-prompt-length 1200 --dtype float32 "
    "--learning-rate 1e-3 --frames 4 --max-pixels 3136 --min-pixels 784 --train-questions 24 "
    "--no-gradient-checkpointing"
)
OPEN = shlex.split("--no-guard --sampling bias-failure --sampling-rollouts 2")
PRETRAIN = shlex.split(
    "--scenes 6 --held-out 4 --steps 6 --batch 2 --save-every 2 --measure-every 3 --hidden 32 "
    "--layers 2 --heads 2 --intermediate 64 --probe-layer 1 --vision-layers 1 --give-aways allowed "
    "--objects-min 4 --collisions-min 2 --collisions-max 4 --frames 4"
)
GRID = """cells:
- {{name: 'w{{seed}}', run: world, each: {{seed: [1, 2]}}, frames: 0,
   scenes: {}, validation_scenes: {}}}
- {{name: d, run: 'diagnose {{w1}}'}}
"""
SMALL_WORLD = "--scenes 8 --validation-scenes 4 --size 64x48 --frames 4 --give-aways allowed"
SHORT = {
    "world": "--scenes 2 --validation-scenes 1",
    "train": "--max-steps 2 --save-steps 1 --eval-steps 1 --eval-questions 1",
    "pretrain": "--scenes 2 --held-out 1 --steps 2 --save-every 1 --measure-every 1",
}
"""Verb -> the least that still makes each kind of write, over and over where a run does."""


@dataclass(frozen=True)
class Stage:
    """A command without its `--out`, and how many processes share it."""

    words: Sequence[str]
    ranks: int = 1
    out: str = "out"
    """The name that is written."""
    before: Callable[[], None] = lambda: None
    """Called in each of its processes before the command."""
    names_out: bool = True
    """False: the command takes no `--out`."""


@dataclass(frozen=True)
class Line:
    """What the stages read, each made once, when the first stage asks for it."""

    folder: Path
    short: bool = False
    """As few scenes and steps as can be."""

    @property
    def stages(self) -> dict[str, Stage]:
        """Name -> stage."""
        stages = self._stages()
        if self.short:
            for name, stage in stages.items():
                words = [*stage.words, *SHORT.get(stage.words[0], "").split()]
                stages[name] = replace(stage, words=words)
        return stages

    def _stages(self) -> dict[str, Stage]:
        at = {name: str(self.folder / name) for name in (
            "world", "seen", "model", "bias", "lora", "evaluated", "grid.yaml", "list.csv",
        )}  # fmt: skip
        asked = ["--limit", "4", "--max-new-tokens", "6", "--frames", "4", "--protocol", "demo"]
        seen = ["--data", at["seen"], "--model", at["model"], *TRAIN]
        repelled = [*seen, "--bias", at["bias"], *OPEN]
        probed = ["--probe", at["model"], "--samples", "2", *asked]
        return {
            "world": Stage(["world", *SMALL_WORLD.split()]),
            "world, two workers": Stage(["world", *SMALL_WORLD.split(), "--workers", "2"]),
            "diagnose": Stage(["diagnose", at["world"], "--miss-rate", "0.1"]),
            "diagnose by probing": Stage(["diagnose", at["world"], *probed]),
            "convert": Stage(["convert", at["list.csv"], "--accept-guesses"], out="list.jsonl"),
            "pretrain": Stage(["pretrain", *PRETRAIN]),
            "train bias": Stage(["train", "bias", *seen]),
            "train grpo": Stage(["train", "grpo", *seen]),
            "train cdpo": Stage(["train", "cdpo", *repelled]),
            "train cdpo, LoRA": Stage(["train", "cdpo", *repelled, "--lora-rank", "2"]),
            "train cdpo, two ranks": Stage(["train", "cdpo", *repelled], ranks=2),
            "evaluate": Stage(["evaluate", "--data", at["seen"], "--model", at["model"], *asked]),
            "export": Stage(["export", "--merge", at["lora"]]),
            "report": Stage(["report", at["seen"], at["evaluated"], at["lora"]], out="page.html"),
            "reproduce": Stage(["reproduce", at["grid.yaml"], "--jobs", "1"]),
        }

    def ready(self, name: str) -> Stage:
        """A stage whose inputs are there."""
        stage = self.stages[name]
        for word in stage.words:
            if Path(word).is_relative_to(self.folder):
                self._make(Path(word))
        return stage

    def _make(self, path: Path) -> None:
        """A world, its diagnoses, two models, and what later stages read."""
        if path.exists():
            return
        makers: dict[str, Callable[[Path], object]] = {
            "world": lambda path: _do(path, self.ready("world")),
            "seen": lambda path: _do(path, self.ready("diagnose")),
            "lora": lambda path: _do(path, self.ready("train cdpo, LoRA")),
            "evaluated": lambda path: _do(path, self.ready("evaluate")),
            "model": lambda path: self._build(path, 0),
            "bias": lambda path: self._build(path, 1),
            "list.csv": self._list,
            "grid.yaml": lambda path: path.write_text(GRID.format(*self._scenes)),
        }
        makers[path.name](path)

    @property
    def _scenes(self) -> tuple[int, int]:
        """Of a world of the grid, to train on and to validate with."""
        return (2, 1) if self.short else (4, 2)

    def _questions(self) -> list[Question]:
        self._make(self.folder / "seen")
        return read_jsonl(self.folder / "seen/questions.jsonl", Question)

    def _build(self, path: Path, seed: int) -> None:
        words = [f"{q.question} {' '.join(q.choices)}" for q in self._questions()]
        build_small(path, SmallConfig(**TINY, seed=seed), words)

    def _list(self, path: Path) -> None:
        rows = [
            f"{q.id},{q.video},Which?,x,y,z,{'ABC'[i % 3]}" for i, q in enumerate(self._questions())
        ]
        path.write_text("\n".join(["id,video,question,a0,a1,a2,answer", *rows]) + "\n")


def _do(out: Path, stage: Stage) -> None:
    run = start(stage, out)
    if run.wait() not in (0, 1):
        raise AssertionError(f"{stage.words}: {run.said()}")
    run.log.unlink()


@dataclass
class Running:
    """The processes of one stage at work, the first of them rank 0."""

    pids: list[int]
    log: Path
    codes: dict[int, int] = field(default_factory=dict[int, int])

    def wait(self, seconds: float = 1200.0) -> int | None:
        """What the ranks ended with, the worst of them; None if one is still at work.

        Of a process that a signal ended it is minus the signal's number.
        """
        ends = time.monotonic() + seconds
        while True:
            for pid in self.pids:
                if pid not in self.codes and (ended := os.waitpid(pid, os.WNOHANG))[0]:
                    self.codes[pid] = os.waitstatus_to_exitcode(ended[1])
            if len(self.codes) == len(self.pids):
                return max(self.codes.values(), key=abs)
            if time.monotonic() > ends:
                return None
            time.sleep(0.002)

    def kill(self, pids: Sequence[int] | None = None) -> None:
        """SIGKILL to some, or to all."""
        for pid in self.pids if pids is None else pids:
            if pid not in self.codes:
                os.kill(pid, signal.SIGKILL)

    def end_as_torchrun(self) -> None:
        """Ask the ranks that are left to end, and end them where they do not: one has failed."""
        for ask, seconds in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 60.0)):
            for pid in self.pids:
                if pid not in self.codes:
                    os.kill(pid, ask)
            if self.wait(seconds) is not None:
                return

    def orphans(self) -> list[int]:
        """Processes that a stage started and that still work two minutes after its end.

        Long, since on a busy machine a child whose parent is gone first has its imports to do.
        """
        ends = time.monotonic() + 120
        while found := [pid for pid in self.pids if _alive(pid)]:
            if time.monotonic() > ends:
                return found
            time.sleep(0.02)
        return []

    def said(self) -> str:
        """What the processes printed."""
        return self.log.read_text(errors="replace")


def _alive(session: int) -> bool:
    """Is any process of the session at work, and not only its exit code, which nobody collects?"""
    for about in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, its = about.read_text().rpartition(")")[2].split()[:4]
            if state != "Z" and int(its) == session:
                return True
    return False


def start(stage: Stage, out: Path) -> Running:
    """Begin a stage."""
    out.parent.mkdir(parents=True, exist_ok=True)
    log = out.parent.parent / f"{out.parent.name}-{out.name}.log"
    log.unlink(missing_ok=True)
    words = [*stage.words, *(["--out", str(out)] if stage.names_out else [])]
    ranks = {"WORLD_SIZE": str(stage.ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _port()}
    pids = []
    for rank in range(stage.ranks):
        pid = os.fork()
        if pid == 0:
            one = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            _be(words, log, ranks | one if stage.ranks > 1 else {}, stage.before)
        pids.append(pid)
    return Running(pids, log)


def _port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _be(
    words: Sequence[str], log: Path, environment: dict[str, str], before: Callable[[], None]
) -> NoReturn:
    """Be the command `videothinker WORDS`; never returns."""
    os.setsid()
    code = 99
    try:
        told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(told, number)
        os.environ.update(environment)
        sys.modules["__main__"] = cli  # what a spawned worker imports first
        sys.argv = ["videothinker", *words]
        before()
        cli.entry()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 98
    except BaseException:  # noqa: BLE001  whatever it is, this process ends here
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
        os._exit(code)


def contents(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of all that must be the same in two runs; of checkpoints the names alone."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        if not set(name.parts) & set(FREE):
            kept = "checkpoints" in name.parts
            found[str(name)] = "" if kept else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def differences(wanted: dict[str, str], found: dict[str, str]) -> str:
    """What is otherwise in `found`, in words; empty where nothing is."""
    both = wanted.keys() & found.keys()
    parts = {
        "missing": wanted.keys() - found.keys(),
        "left over": found.keys() - wanted.keys(),
        "other bytes": {name for name in both if wanted[name] != found[name]},
    }
    return "; ".join(
        f"{what}: {', '.join(sorted(names))}" for what, names in parts.items() if names
    )


def leave_alone(stage: Stage, folder: Path) -> tuple[float, dict[str, str]]:
    """Seconds of an undisturbed run, and its files."""
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    run = start(stage, folder / stage.out)
    if run.wait() not in (0, 1):
        raise AssertionError(f"{stage.words}: {run.said()}")
    return time.monotonic() - began, contents(folder)


def fresh_line(*, short: bool = False) -> tuple[Path, Line]:
    """A folder to work in and the line, for forks of this process."""
    import_all()
    return Path(tempfile.mkdtemp(prefix="soak-")), _line(short)


@cache
def _line(short: bool) -> Line:  # noqa: FBT001  a key
    """One for all parts of this process, until it ends."""
    folder = Path(tempfile.mkdtemp(prefix="soak-line-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Line(folder, short)


def import_all() -> None:
    """Import what the stages do, once, before the forks."""
    torch.set_num_threads(1)
    for room in (pool, batches, pretraining):
        room.CHUNK = 8  # type: ignore[attr-defined]  128 scenes, made at a time, take a minute
    for verb in cli.VERBS.values():
        cli.load(verb.config)
        cli.load(verb.stage)
