"""Does the quick decoding of a GPU give the plain one's tokens, and how long is one of its steps?

    python benchmarks/gpu_smoke.py --out OUT [--budget-seconds 60]
    python benchmarks/gpu_smoke.py --out /tmp/x --scale tiny    # on a CPU, to try the script

A rollout decodes in three ways: `fused`, with compiled functions in a CUDA graph, as training does
where it can; `graph`, the same without a compiler; `eager`, operation by operation. First comes the
machine. Then, for small models of every family in float32, the tokens of the three under one seed
and how far their log-probabilities lie apart. Then, at the published shape of Qwen2.5-VL-3B in
bfloat16, the milliseconds of a step beside those that reading its bytes takes, and its kernels.
What fails leaves the rest to be measured, and its traceback in OUT; nothing runs beyond the budget.
"""

import argparse
import json
import logging
import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))  # where it is not installed

from gpu_counts import decoding_bytes, rates
from gpu_naive import GENERATIONS
from gpu_shapes import CONFIGS, HEIGHT, WIDTH, Case, official, synthetic_prompt, tiny
from gpu_sides import TimedStep, build, release, step_milliseconds, timed_steps
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.errors import Slower
from videothinker.generation import graphs, shared_prefix
from videothinker.generation.base import Sampling
from videothinker.generation.completions import Completions
from videothinker.generation.graphs import as_it_is, can_fuse
from videothinker.models.catalog import read_shape
from videothinker.models.shapes import Grid
from videothinker.training.adapters import add_adapter

WAYS = ("eager", "graph", "fused")
"""The last is the least certain: should it fail, the others are in."""
VOCABULARY = 5000
"""Of the small models: more than one block of `drawing.invert`."""
DRAWN = {"official": (24, 64), "tiny": (20, 6)}
"""Tokens of a completion: where ways are compared, and where steps are timed."""
FIRST, PROFILED = 6, 8
"""Steps: before the profile, and in it."""


Found = dict[str, Any]
Part = Callable[["Smoke", Found], None]


class TimeUp(BaseException):
    """The budget is spent."""


@dataclass
class Smoke:
    """One run: what it has so far, and where that is written."""

    out: Path
    device: torch.device
    scale: str
    result: dict[str, Any] = field(default_factory=dict)

    def part(self, name: str, run: Part) -> None:
        """Run one part, which fills in its numbers; or write why there are none."""
        begun = time.perf_counter()
        self.result[name] = found = {}
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always", Slower)
                run(self, found)
        except Exception as error:  # noqa: BLE001 (whatever it is, the other parts are wanted)
            lines = str(error).strip().splitlines()
            found["failed"] = f"{type(error).__name__}: {lines[0] if lines else ''}"
            self.trace(name, error)
            if self.device.type == "cuda":  # a capture that fails leaves its own stream behind
                torch.cuda.set_stream(torch.cuda.default_stream(self.device))
        for one in told:
            if issubclass(one.category, Slower):
                found.setdefault("slower", []).append(str(one.message))
                self.trace(name, one.message)
        found["wall_seconds"] = round(time.perf_counter() - begun, 2)
        self.save()
        print(f"{name}: {json.dumps(found)}", flush=True)
        release()

    def trace(self, name: str, error: Warning | Exception | str) -> None:
        """Where something went wrong."""
        with (self.out / "tracebacks.txt").open("a", encoding="utf-8") as file:
            whole = [error] if isinstance(error, str) else traceback.format_exception(error)
            file.write(f"== {name}\n{''.join(whole)}\n")

    def save(self) -> None:
        """Write what there is."""
        text = json.dumps(self.result, indent=1) + "\n"
        (self.out / "gpu_smoke.json").write_text(text, encoding="utf-8")


def machine(smoke: Smoke, found: Found) -> None:
    """What the quick way needs, and what is here."""
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    version = ""
    if compiler:
        told = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
        version = told.stdout.partition("\n")[0]
    device = smoke.device
    found |= {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "triton": next((one.version for one in distributions(name="triton")), None),
        "compiler": f"{compiler} ({version})",
        "Python.h": f"{headers}{'' if headers.is_file() else ' is not there'}",
        "can_fuse": can_fuse(device),
    }


@contextmanager
def decoding(way: str) -> Iterator[None]:
    """Inside, rollouts decode so."""
    with ExitStack() as stack:
        if way == "graph":
            stack.enter_context(mock.patch.object(shared_prefix, "fuse_on", return_value=as_it_is))
        yield


def roll(policy: Any, prompts: list[Any], length: int, way: str) -> list[Any]:
    """Groups of a rollout."""
    sampling = Sampling(num_generations=GENERATIONS, max_completion_length=length)
    seeds = list(range(len(prompts)))
    with decoding(way):
        return shared_prefix.generate(policy, prompts, sampling, seeds, static=way != "eager")


def adapt(policy: Any, rank: int) -> None:
    """Put an adapter that adds something into the decoder, merged in rollouts."""
    add_adapter(
        policy, CdpoConfig(model="m", out=Path("o"), bias="b", lora_rank=rank, lora_alpha=2 * rank)
    )
    policy.merges = True
    with torch.no_grad():
        for name, param in policy.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(param, std=0.02)


def compared(smoke: Smoke, found: Found, *, family: str, lora: bool) -> None:
    """Tokens and log-probabilities of the three ways, in float32."""
    length = DRAWN[smoke.scale][0]
    config = tiny(family, VOCABULARY)
    config.text_config.initializer_range = 0.1  # so that a wrong step shows
    policy = build(config, smoke.device, 0, torch.float32)
    if lora:
        adapt(policy, 8)
    prompts = [synthetic_prompt(config, 4, seed) for seed in range(2)]
    tokens, logps = {}, {}
    for way in WAYS:
        begun = time.perf_counter()
        with kept_logits(length, config, smoke.device) as kept:
            groups = roll(policy, prompts, length, way)
        tokens[way] = torch.cat([group.completion_ids_GC for group in groups])
        logps[way] = kept.log_softmax(dim=-1)
        found[f"{way} seconds"] = round(time.perf_counter() - begun, 2)
        if way != "eager":
            found[f"tokens of {way} and eager equal"] = torch.equal(tokens["eager"], tokens[way])
            gap = (logps["eager"] - logps[way]).abs()
            found[f"log-probabilities, largest gap of {way} and eager"] = float(gap.max())


def leaving(smoke: Smoke, found: Found) -> None:
    """Completions that end: rows leave, and graphs are made anew."""
    config, length = tiny(vocabulary=VOCABULARY), DRAWN[smoke.scale][0]
    policy = build(config, smoke.device, 0, torch.float32)
    policy.model.generation_config.eos_token_id = list(range(0, VOCABULARY, 9))
    prompts = [synthetic_prompt(config, 4, seed) for seed in range(2)]
    with mock.patch.multiple(shared_prefix, ASK_EVERY=4, FEW=4):
        ended = [roll(policy, prompts, length, way) for way in ("eager", "fused")]
    eager, fused = ([group.completion_ids_GC.tolist() for group in groups] for groups in ended)
    found["tokens of fused and eager equal"] = fused == eager


@contextmanager
def kept_logits(length: int, config: Any, device: torch.device) -> Iterator[Tensor]:
    """Inside, the logits `[C, R, V]` of a rollout of two prompts are kept, by graphs as well."""
    size = (length, 2 * GENERATIONS, config.text_config.vocab_size)
    kept_CRV = torch.zeros(size, device=device)

    class Kept(Completions):
        def take(self, logits_AV: Tensor) -> None:
            kept_CRV.index_copy_(0, self.drawn, logits_AV[None].float())
            super().take(logits_AV)

    with mock.patch.object(shared_prefix, "Completions", Kept):
        yield kept_CRV


def beside(policy: Any, prompts: list[Any], length: int) -> dict[str, float | str]:
    """As rollouts are, and with each thing undone that keeps these seconds few."""
    undone: dict[str, tuple[Any, dict[str, Any]]] = {
        "as it is": (shared_prefix, {}),
        "prompts one by one": (shared_prefix, {"TOGETHER": 0}),
        "steps before every recording": (shared_prefix, {"recorded_of": lambda _: {}}),
        "memory given back before a recording": (graphs, {"ROOM": 1 << 60}),
    }
    found: dict[str, float | str] = {}
    for name, (module, values) in undone.items():
        with mock.patch.multiple(module, **values) if values else nullcontext():
            for _ in range(2):  # the first may meet new shapes
                start = time.perf_counter()
                with timed_steps():
                    roll(policy, prompts, length, "fused")
                seconds = time.perf_counter() - start
        step = step_milliseconds()
        found[name] = "not measured" if step is None else seconds - (length - 1) * step / 1000
    return found


class ProfiledStep(TimedStep):
    """Profiles some steps, the graph's replays."""

    report: Any = None

    def __call__(self) -> None:
        """One step."""
        cls = type(self)
        if len(self.taken) == FIRST:
            torch.cuda.synchronize()
            cls.report = profile(activities=[ProfilerActivity.CUDA])
            cls.report.start()
        super().__call__()
        if len(self.taken) == FIRST + PROFILED:
            torch.cuda.synchronize()
            cls.report.stop()


def timed(smoke: Smoke, found: Found, *, lora: bool) -> None:
    """Milliseconds of a step at the published shape, or of the small one on a CPU."""
    length, large = DRAWN[smoke.scale][1], smoke.scale == "official"
    config, frames = (official(), 16) if large else (tiny(), 2)
    begun = time.perf_counter()
    policy = build(config, smoke.device, 0)
    if lora:
        adapt(policy, 64)
    found["seconds to build"] = round(time.perf_counter() - begun, 2)
    prompts = [synthetic_prompt(config, frames, seed) for seed in range(2)]
    case, grid = Case(length, 2, lora=lora, frames=frames), Grid(frames // 2, HEIGHT, WIDTH)
    read = decoding_bytes(read_shape(config.to_dict()), grid, case, prompts[0].prompt_tokens)
    rate = rates(smoke.device, 8192 if large else 256)["bytes"]
    found |= {"bytes a second": rate, "bound, milliseconds a step": 1000 * read / rate}
    for way in ("graph", "fused"):
        seconds = []
        for _ in range(2):  # the first compiles and warms up
            start = time.perf_counter()
            with timed_steps():
                roll(policy, prompts, length, way)
            seconds.append(round(time.perf_counter() - start, 2))
        found[f"{way}, seconds of the first and second rollout"] = seconds
        found[f"{way}, milliseconds a step"] = step_milliseconds() or "not measured"
        smoke.save()
        print(json.dumps(found), flush=True)
    found["seconds of a rollout outside of its replayed steps"] = beside(policy, prompts, length)
    drawn, logps = {}, {}
    for way in WAYS:  # of the first step, in rows that have drawn the same before it
        with kept_logits(length, config, smoke.device) as kept_CRV:
            groups = roll(policy, prompts, length, way)
        drawn[way] = torch.cat([group.completion_ids_GC[:, 0] for group in groups])
        logps[way] = kept_CRV[1].log_softmax(dim=-1)
        same = (drawn["eager"] == drawn[way]).to(smoke.device)
        if way != "eager" and same.any():
            gap = (logps["eager"] - logps[way])[same].abs()
            name = f"log-probabilities in bfloat16, mean and largest gap of {way} and eager, rows"
            found[name] = [float(gap.mean()), float(gap.max()), int(same.sum())]
    if smoke.device.type == "cuda":
        for way in ("fused", "graph"):
            name = f"profile_{'lora' if lora else 'full'}_{way}.txt"
            found[f"{way}, kernels"] = profiled(smoke, policy, prompts, way, name)


def profiled(
    smoke: Smoke, policy: Any, prompts: list[Any], way: str, name: str
) -> dict[str, float]:
    """Kernels a step and their milliseconds; the longest 25 in OUT."""
    with timed_steps(ProfiledStep):
        roll(policy, prompts, DRAWN[smoke.scale][1], way)
    table = ProfiledStep.report.key_averages()
    text = table.table(sort_by="self_cuda_time_total", row_limit=25, max_name_column_width=90)
    (smoke.out / name).write_text(f"{PROFILED} steps\n{text}\n", encoding="utf-8")
    # a launch on the host is given the time of what it launched once more
    kernels = [one for one in table if one.device_type == DeviceType.CUDA]
    return {
        "a step": sum(one.count for one in kernels) / PROFILED,
        "milliseconds": sum(one.self_device_time_total for one in kernels) / PROFILED / 1000,
    }


def run(smoke: Smoke, only: str, deadline: float) -> None:
    """All parts whose name has `only` in it, in the order of what is most wanted.

    Raises:
        TimeUp: the deadline has passed before a part; an alarm alone can be lost.
    """
    first, *others = CONFIGS  # kernels are a shape's: the small models share theirs
    size = "3B" if smoke.scale == "official" else "small"
    parts: dict[str, Part] = {
        "machine": machine,
        f"{first}, full": partial(compared, family=first, lora=False),
        f"{size}, full": partial(timed, lora=False),
        f"{size}, LoRA": partial(timed, lora=True),
        f"{first}, LoRA": partial(compared, family=first, lora=True),
    }
    for family in reversed(others):
        for lora in (False, True):
            name = f"{family}, {'LoRA' if lora else 'full'}"
            parts[name] = partial(compared, family=family, lora=lora)
    parts["rows leave"] = leaving
    for name, part in parts.items():
        if time.monotonic() > deadline:
            raise TimeUp
        if only in name:
            smoke.part(name, part)


@contextmanager
def recompiles_in(path: Path) -> Iterator[None]:
    """Inside, why a function is compiled again goes into this file."""
    torch._logging.set_logs(recompiles=True)  # noqa: SLF001
    logger = logging.getLogger("torch._dynamo.guards.__recompiles")
    usual, file = logger.handlers, logging.FileHandler(path, delay=True)
    logger.handlers = [file]
    try:
        yield
    finally:
        logger.handlers = usual
        file.close()


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget-seconds", type=float, default=60.0)
    parser.add_argument("--only", default="", help="run the parts whose name has this in it")
    parser.add_argument("--scale", choices=tuple(DRAWN), default="official")
    arguments = parser.parse_args(words)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if arguments.scale == "official" and device.type == "cpu":
        sys.exit("no GPU here: nothing is measured; --scale tiny tries the script on a CPU")
    arguments.out.mkdir(parents=True, exist_ok=True)
    transformers.logging.set_verbosity_error()  # that -1 ends no completion is the intention
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    warnings.filterwarnings("ignore", message=".*TensorFloat32.*")  # left out on purpose
    smoke = Smoke(arguments.out, device, arguments.scale)
    deadline = time.monotonic() + arguments.budget_seconds

    def stop(*_: Any) -> None:
        raise TimeUp

    usual = signal.signal(signal.SIGALRM, stop)
    # again and again: an exception is lost where the collector runs
    signal.setitimer(signal.ITIMER_REAL, arguments.budget_seconds, 2.0)
    try:
        with recompiles_in(arguments.out / "recompiles.txt"):
            run(smoke, arguments.only, deadline)
    except TimeUp:
        print(f"the budget of {arguments.budget_seconds:.0f} s is spent; the rest: not measured")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)
        smoke.save()
    print(json.dumps({"out": str(arguments.out), "parts": len(smoke.result)}), flush=True)


if __name__ == "__main__":
    main()
