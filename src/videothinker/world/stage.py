"""The stage `world`: scenes made in order by one or several workers, resumed by scene.

Each finished scene is one line of `checkpoints/{split}.jsonl`, written after its files; the
question files are put together from these lines at the end, so memory stays flat in the number of
scenes and the bytes do not depend on how many workers there were or how often they were killed.
"""

import dataclasses
import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from videothinker import hub
from videothinker.clevrer import answerers
from videothinker.clevrer.annotations import SPLITS
from videothinker.clevrer.answerers import Judgement, Score
from videothinker.clevrer.questions import MINIMAL_PAIRS, SceneQuestions
from videothinker.console import progress, say
from videothinker.errors import UserError
from videothinker.files import writing
from videothinker.ranks import cores
from videothinker.records import encode, iter_jsonl
from videothinker.runs import Run, open_run
from videothinker.world.config import LIMITS, WorldConfig
from videothinker.world.plan import plan
from videothinker.world.produce import Made, SceneJob, make_scene, video_note
from videothinker.world.scenes import scene_config

AHEAD = 4
"""Scenes handed out ahead of the oldest unfinished one, a worker."""
WORTH_A_WORKER = 10
"""Scenes that take about as long as a process to start."""


def world(config: WorldConfig) -> Path:
    """Make a world folder in CLEVRER's layout.

    Writes `{video,annotation}_{train,validation}/`, `train.json`, `validation.json`,
    `counterfactual/` and `rejected.jsonl`; where give-aways are allowed also `minimal_pairs.json`
    (validation scenes).

    Returns:
        The folder.

    Raises:
        UserError: a folder that is foreign, of other settings or unwritable; dials out of reach.
    """
    scene_config(config)
    # how many workers there are is no property of the data: any number may resume the folder
    settings = dataclasses.replace(config, workers=1)
    config = dataclasses.replace(config, workers=_workers(config))
    with open_run(config.out, "world", settings) as run:
        if run.done:
            say(f"{config.out}: already made; {_next(config.out)}")
            return config.out
        (config.out / "checkpoints").mkdir(exist_ok=True)
        counts = {"train": config.scenes, "validation": config.validation_scenes}
        say(f"making {config.scenes} + {config.validation_scenes} scenes, {video_note(config)}")
        try:
            for split, count in counts.items():
                _make_split(config, split, count)
            run.facts = _assemble(config, counts)
        except OSError as error:
            raise UserError(
                f"{config.out}: cannot be written on ({error.strerror}); "
                "free some room, then run the same command again to resume"
            ) from error
        run.facts["workers"] = config.workers
        _report(config, run)
    return config.out


def _workers(config: WorldConfig) -> int:
    """As many as were asked for, else as there are cores and work for."""
    worth = (config.scenes + config.validation_scenes) // WORTH_A_WORKER
    return config.workers or max(1, min(cores(), worth, LIMITS["workers"][1]))


def _shards(out: Path, split: str) -> Path:
    return out / "checkpoints" / f"{split}.jsonl"


def _make_split(config: WorldConfig, split: str, count: int) -> None:
    path = _shards(config.out, split)
    done = _whole_lines(path)
    first = SPLITS[split][0]
    asked = plan(config, split, count)
    jobs = (SceneJob(config, split, first + i, asked[i]) for i in range(done, count))
    with path.open("ab") as shards, progress(f"{split} scenes", count, done=done) as bar:
        for made in _run_jobs(jobs, config.workers):
            shards.write(encode(made))
            shards.flush()
            bar.advance()


def _whole_lines(path: Path) -> int:
    """Finished scenes in a shard file; a line torn by a kill is cut off."""
    if not path.exists():
        return 0
    lines = whole = 0
    with path.open("rb+") as file:
        for line in file:
            if line.endswith(b"\n"):
                lines, whole = lines + 1, whole + len(line)
        file.truncate(whole)
    return lines


def _run_jobs(jobs: Iterator[SceneJob], workers: int) -> Iterator[Made]:
    """Results in the order of the jobs, whoever made them."""
    if workers == 1:
        yield from map(make_scene, jobs)
        return
    with _nothing_but_ours():  # the pool begins with a process that keeps track of the others
        pool = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_follow, initargs=(os.getpid(),)
        )

    def submit(count: int) -> None:
        with _nothing_but_ours():
            waiting.extend(pool.submit(make_scene, job) for job in islice(jobs, count))

    waiting = deque[Future[Made]]()
    try:
        submit(AHEAD * workers)
        while waiting:
            made = waiting.popleft().result()
            submit(1)
            yield made
    except BrokenProcessPool as error:
        raise UserError(
            "a worker was killed (out of memory?); run the same command again to resume, "
            "with fewer --workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _nothing_but_ours() -> Iterator[None]:
    """Inside, a process that starts runs neither the user's script again, whose world this is, nor
    a module that lies in the working folder.
    """
    script, safe = sys.modules["__main__"], os.environ.get("PYTHONSAFEPATH")
    sys.modules["__main__"] = ModuleType("__main__")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        sys.modules["__main__"] = script
        del os.environ["PYTHONSAFEPATH"]
        os.environ |= {} if safe is None else {"PYTHONSAFEPATH": safe}


def _follow(parent: int) -> None:
    """End this worker with its parent: kill -9 leaves no orphans, Ctrl-C is the parent's alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _json_list(path: Path) -> Iterator[Callable[[SceneQuestions], None]]:
    """Adds entries to a JSON list, one a line; whole or not there."""
    before = b"[\n"

    def add(entry: SceneQuestions) -> None:
        nonlocal before
        file.write(before + msgspec.json.encode(entry))
        before = b",\n"

    with writing(path) as file:
        yield add
        file.write(b"[]\n" if before == b"[\n" else b"\n]\n")


class Rejected(msgspec.Struct, frozen=True):
    """A line of `rejected.jsonl`: a world that was dropped."""

    scene_index: int
    attempt: int
    reason: str


@dataclass
class WhatIf:
    """Of the counterfactual questions: give-aways, families, changes, and what answerers get."""

    questions: int = 0
    give_themselves_away: int = 0
    families: int = 0
    changes: Counter[str] = field(default_factory=Counter[str])
    scores: dict[str, Score] = field(default_factory=dict[str, Score])

    def add(self, scene: Sequence[Judgement]) -> None:
        """Count a scene's; a family lies in one scene."""
        self.questions += len(scene)
        self.give_themselves_away += sum(one.gives_itself_away for one in scene)
        self.families += len({one.family for one in scene} - {None})
        self.changes.update(one.change for one in scene if one.change is not None)
        for name, score in answerers.tally(scene).items():
            self.scores[name] = score.plus(self.scores.get(name))

    def facts(self) -> dict[str, Any]:
        """For the run's record."""
        return {
            "questions": self.questions,
            "give_themselves_away": self.give_themselves_away,
            "families": self.families,
            "changes": dict(self.changes),
            "answerers": {
                name: score._asdict()
                for name, score in (self.scores or answerers.tally(())).items()
            },
        }


def _assemble(config: WorldConfig, splits: Collection[str]) -> dict[str, Any]:
    """Put the question files together; returns what was counted."""
    out = config.out
    tally, reasons, what_if = Counter[str](), Counter[str](), WhatIf()
    paired = config.give_aways == "allowed"
    pairs = _json_list(out / f"{MINIMAL_PAIRS}.json") if paired else nullcontext()
    with writing(out / "rejected.jsonl") as lines, pairs as add_pairs:
        for split in splits:
            with _json_list(out / f"{split}.json") as add:
                for made in iter_jsonl(_shards(out, split), Made):
                    asked, halves = made.questions, made.pairs
                    add(asked)
                    if add_pairs is not None and halves.questions:
                        add_pairs(halves)
                    tally.update(f"{split} {raw.question_type}" for raw in asked.questions)
                    tally.update(f"{MINIMAL_PAIRS} {raw.question_type}" for raw in halves.questions)
                    what_if.add(made.verdicts)
                    reasons.update(made.rejected)
                    for attempt, reason in enumerate(made.rejected):
                        lines.write(encode(Rejected(asked.scene_index, attempt, reason)))
    return {"questions": dict(tally), "what_if": what_if.facts(), "rejected": dict(reasons)}


def _report(config: WorldConfig, run: Run) -> None:
    for name, number in run.facts["questions"].items():
        say(f"  {name}: {number}")
    about = run.facts["what_if"]
    say(
        f"  what-if questions that give themselves away: {about['give_themselves_away']} of "
        f"{about['questions']}; families: {about['families']}"
    )
    if about["changes"]:
        told = ", ".join(f"{kind} {count}" for kind, count in sorted(about["changes"].items()))
        say(f"  collisions that a removal changes: {told}")
    if about["questions"]:
        say(
            "  right without simulating: observational, inferential, of these without give-aways, "
            "all of a family"
        )
    for name, score in about["answerers"].items():
        told = ", ".join(f"{100 * right / of:.1f} %" if of else "-" for right, of in score.values())
        say(f"    {name}: {told}")
    reasons = run.facts["rejected"]
    words = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    say(f"  worlds dropped: {sum(reasons.values())} ({words or 'none'}); see rejected.jsonl")
    say(f"wrote {config.out}; {_next(config.out)}")


def _next(out: Path) -> str:
    return f"next: videothinker diagnose {hub.as_given(out)}"
