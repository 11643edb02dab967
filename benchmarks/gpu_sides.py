"""The sides of `gpu_step.py`: one CDPO step, naive and shared, timed by phase."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import transformers
from gpu_naive import GENERATIONS, OBJECTIVE, naive_logps, naive_loss, repeated
from gpu_shapes import Case
from torch import Tensor

from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.generation import shared_prefix
from videothinker.generation.base import Sampling
from videothinker.generation.graphs import WARM_UP, GraphedStep
from videothinker.models import attention
from videothinker.models.base import Prompt
from videothinker.models.qwen2_5_vl.model import Qwen25VL
from videothinker.models.qwen2_vl.model import Qwen2VL
from videothinker.models.qwen3_vl.model import Qwen3VL
from videothinker.models.qwen_vl.policy import QwenVL, install
from videothinker.models.qwen_vl.videos import VisionSettings
from videothinker.training.adapters import add_adapter
from videothinker.training.optimizer import MasterAdamW
from videothinker.training.step import Bias, accumulate_gradients

POLICIES: dict[str, tuple[Any, type[QwenVL]]] = {
    "qwen2_5_vl": (transformers.Qwen2_5_VLForConditionalGeneration, Qwen25VL),
    "qwen2_vl": (transformers.Qwen2VLForConditionalGeneration, Qwen2VL),
    "qwen3_vl": (transformers.Qwen3VLForConditionalGeneration, Qwen3VL),
}
"""Family -> transformers' class and the engine's."""


class Clock:
    """Seconds by phase; waits for the device at every lap."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, {}
        self.step: float | None = None
        """Milliseconds of a decoding step, where graphs are replayed."""
        self.start()

    def start(self) -> None:
        """Forget the time since the last lap."""
        wait(self.device)
        self.last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Count the time since the last lap to `phase`."""
        wait(self.device)
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self.last
        self.last = now


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


class TimedStep(GraphedStep):
    """A decoding step that notes when it begins and ends on the device."""

    taken: list[tuple[Any, Any]] = []  # noqa: RUF012 (one list for a rollout's graphs)

    def __call__(self) -> None:
        """One step."""
        ends = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        ends[0].record()
        super().__call__()
        ends[1].record()
        self.taken.append((ends[0], ends[1]))


@contextmanager
def timed_steps(kind: type[TimedStep] = TimedStep) -> Iterator[None]:
    """Inside, a rollout's steps on a GPU are noted in `TimedStep.taken`."""
    TimedStep.taken.clear()
    if not torch.cuda.is_available():
        yield
        return
    with mock.patch.object(shared_prefix, "GraphedStep", kind):
        yield


def step_milliseconds() -> float | None:
    """The median of the steps noted, those apart that run before one is recorded."""
    steps = [one.elapsed_time(other) for one, other in TimedStep.taken[WARM_UP + 1 :]]
    return statistics.median(steps) if steps else None


class TimedBias(Bias):
    """The trainer enters the bias model before the policy's forward."""

    clock: Clock

    @contextmanager
    def active(self) -> Iterator[None]:
        """What is inside is the bias model's; the policy's forward comes next."""
        yield
        self.clock.lap("bias")


class TimedLogps(dict[int, Tensor]):
    """The trainer keeps a group's log-probabilities here between its forward and its backward."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def setdefault(self, *given: Any) -> Any:
        """What came before is the policy's forward."""
        self.clock.lap("forward")
        return super().setdefault(*given)


class Setting:
    """Policy, bias model and optimizer of one kind of training."""

    def __init__(self, case: Case, config: Any, device: torch.device) -> None:
        self.device = device
        self.warm: set[Any] = set()
        self.policy = frozen = build(config, device, 0)
        if case.lora:  # one base in memory, as in training; both sides use the one adapter
            given = CdpoConfig(model="m", out=Path("o"), bias="b", lora_rank=64, lora_alpha=128)
            add_adapter(self.policy, given)
            self.policy.merges = True  # as in training, on a card that holds the copy
        else:
            frozen = build(config, device, 1)
            frozen.model.requires_grad_(requires_grad=False)
        if not case.keeps:
            self.policy.enable_gradient_checkpointing()
        self.bias = TimedBias(frozen)
        named = self.policy.model.named_parameters()
        self.optimizer = MasterAdamW(
            ((n, p) for n, p in named if p.requires_grad),
            lr=1e-6,
            weight_decay=0.0,
            device="cpu" if case.optimizer_on_cpu else "model",
        )

    def warm_up(self, side: str, prompts: list[Prompt], length: int) -> None:
        """Let libraries load and choose their kernels, and ours be compiled for these shapes."""
        if side not in self.warm:
            few = ([prompts[0]], 4) if side != "ours" else (prompts, length)
            SIDES[side](self, *few)
            self.warm |= {side, (side, len(prompts), length)}
        if side == "ours" and (side, len(prompts), length) not in self.warm:
            shared_prefix.generate(
                *(self.policy, prompts, Sampling(GENERATIONS, length), list(range(len(prompts)))),
                static=True,
            )
            self.warm.add((side, len(prompts), length))

    def forget(self) -> None:
        """Drop what a step that failed left behind."""
        self.policy.model.eval()
        self.policy.model.zero_grad()
        self.optimizer.zero()
        self.policy.videos.entries.clear()
        if self.device.type == "cuda":  # a capture that fails leaves its own stream behind
            torch.cuda.set_stream(torch.cuda.default_stream(self.device))
        release()


def release() -> None:
    """Give memory back: models hang in cycles, which only the collector frees."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def build(
    config: Any, device: torch.device, seed: int, dtype: torch.dtype = torch.bfloat16
) -> QwenVL:
    """Random weights of `config`, on the device from the start."""
    kind, policy = POLICIES[config.model_type]
    torch.manual_seed(seed)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # rotary tables stay float32, as when weights are read
    try:
        with torch.device(device):
            # a copy: the model notes in it how it attends, which no new one may be told
            model: Any = kind(deepcopy(config))
    finally:
        torch.set_default_dtype(usual)
    model = model.to(device).eval()
    attention.leave_cudnn_out(device)
    install(model, device)  # for the naive side too, which gains most by it
    model.generation_config.eos_token_id = [-1]  # every completion has its full length
    model.generation_config.pad_token_id = 0
    words = SimpleNamespace(pad_token_id=0, eos_token_id=-1)
    vision = VisionSettings(14, 2, 2, (0.5,) * 3, (0.5,) * 3, 1, 1)
    return policy(model=model, tokenizer=words, vision=vision)


def shared_step(setting: Setting, prompts: list[Prompt], length: int, *, static: bool) -> Clock:
    """The trainer's own step; `static` chooses how it decodes."""
    for one in (setting.policy, setting.bias.policy):  # a step's videos are new to both
        one.videos.entries.clear()
    setting.bias.clock = clock = Clock(setting.device)
    sampling = Sampling(num_generations=GENERATIONS, max_completion_length=length)
    seeds = list(range(len(prompts)))
    with timed_steps():
        groups = shared_prefix.generate(setting.policy, prompts, sampling, seeds, static=static)
    clock.lap("rollout")
    clock.step = step_milliseconds()
    completions = GENERATIONS * len(prompts)
    for group in groups:
        accumulate_gradients(
            *(setting.policy, setting.bias, [group], [torch.linspace(-1, 1, GENERATIONS)]),
            OBJECTIVE,
            completions=completions,
            tokens=completions * length,
            old_logps=TimedLogps(clock),
        )
        clock.lap("backward")
    update(setting, clock)
    return clock


def naive_step(setting: Setting, prompts: list[Prompt], length: int) -> Clock:
    """Everything repeated for each completion, in the library's own code."""
    clock, policy = Clock(setting.device), setting.policy
    given = repeated(policy, prompts)
    with torch.no_grad():
        ids_RL = policy.model.generate(
            **given,
            max_new_tokens=length,
            do_sample=True,
            top_k=0,
            top_p=1.0,
            temperature=1.0,
            # the library's forward takes a drawn one for a place that lacks its video
            suppress_tokens=[policy.model.config.video_token_id],
        )
    clock.lap("rollout")
    for prompt, ids_GL in zip(prompts, ids_RL.split(GENERATIONS), strict=True):
        one = repeated(policy, [prompt], ids_GL)
        policy.model.train()
        logps_GC = naive_logps(policy, one, length)
        clock.lap("forward")
        with torch.no_grad():
            bias_GC = naive_logps(setting.bias.policy, one, length)
        clock.lap("bias")
        advantages_G = torch.linspace(-1, 1, GENERATIONS, device=setting.device)
        naive_loss(logps_GC, bias_GC, advantages_G, GENERATIONS * len(prompts)).backward()
        policy.model.eval()
        clock.lap("backward")
    update(setting, clock)
    return clock


def update(setting: Setting, clock: Clock) -> None:
    """Clip and step, as the trainer does."""
    optimizer = setting.optimizer
    optimizer.gradients()
    optimizer.clip(20.0)
    optimizer.step(1e-6)
    optimizer.zero()
    clock.lap("update")


SIDES: dict[str, Callable[[Setting, list[Prompt], int], Clock]] = {
    "naive": naive_step,
    "eager": lambda setting, prompts, length: shared_step(setting, prompts, length, static=False),
    "ours": lambda setting, prompts, length: shared_step(setting, prompts, length, static=True),
}
