"""One whole CDPO step at the true shape of Qwen2.5-VL-3B, random weights: ours and the naive one.

    python benchmarks/gpu_step.py --out benchmarks/results/h200 [--budget-seconds 540]
    python benchmarks/gpu_step.py --out /tmp/x --scale tiny     # on a CPU, to try the script itself

Needs torch and transformers (rows with LoRA also peft, and are named as left out without it).
Three sides of the same step: `naive` repeats prompt and video for every completion and decodes
with the library's `generate` (what TRL and the authors do); `eager` shares them and decodes
operation by operation; `ours` shares them and decodes with fixed shapes, on a GPU as CUDA graphs.
naive/eager is the gain of sharing at equal decode, eager/ours that of decoding at equal sharing.
Rows come in order of importance; those that the budget does not reach are named, never guessed.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from gpu_naive import GENERATIONS, naive_logps, repeated
from gpu_shapes import Case, cases, official, synthetic_prompt, tiny
from torch import Tensor

from videothinker import cdpo
from videothinker.policy import attention
from videothinker.policy.encoding import Encoded, VisionSettings
from videothinker.policy.logprobs import group_logps
from videothinker.policy.model import Policy
from videothinker.policy.rollout import rollout
from videothinker.policy.sampling import Group, Sampling
from videothinker.policy.shapes import Grid, Shape, read_shape, step_flops
from videothinker.training.adapters import add_adapter
from videothinker.training.config import CdpoConfig
from videothinker.training.memory import Workload, moments, resident
from videothinker.training.optimizer import MasterAdamW
from videothinker.training.step import Bias, Objective, accumulate_gradients

OBJECTIVE = Objective(divergence="k3", repulsion=0.01)


class Clock:
    """Seconds by phase; waits for the device at every lap."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, {}
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
    if device.type == "cuda":
        torch.cuda.synchronize()


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
        self.policy = frozen = build(config, device, 0)
        if case.lora:  # one base in memory, as in training; both sides use the one adapter
            given = CdpoConfig(model="m", out=Path("o"), bias="b", lora_rank=64, lora_alpha=128)
            add_adapter(self.policy, given)
        else:
            frozen = build(config, device, 1)
            frozen.model.requires_grad_(requires_grad=False)
        self.policy.enable_gradient_checkpointing()
        self.bias = TimedBias(frozen)
        named = self.policy.model.named_parameters()
        self.optimizer = MasterAdamW(
            ((n, p) for n, p in named if p.requires_grad),
            lr=1e-6,
            weight_decay=0.0,
            device="cpu" if case.optimizer_on_cpu else "model",
        )


def build(config: Any, device: torch.device, seed: int) -> Policy:
    torch.manual_seed(seed)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)  # rotary tables stay float32, as when weights are read
    try:
        with torch.device(device):
            model: Any = transformers.Qwen2_5_VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(usual)
    model = model.to(device).eval()
    model.set_attn_implementation({"text_config": attention.NAME})
    model.generation_config.eos_token_id = [-1]  # every completion has its full length
    model.generation_config.pad_token_id = 0
    words = SimpleNamespace(pad_token_id=0, eos_token_id=-1)
    vision = VisionSettings(14, 2, 2, (0.5,) * 3, (0.5,) * 3, 1, 1)
    return Policy(model=model, tokenizer=words, vision=vision)


def shared_step(setting: Setting, prompts: list[Encoded], length: int, *, static: bool) -> Clock:
    """The trainer's own step; `static` chooses how it decodes."""
    setting.policy.videos.entries.clear()
    setting.bias.clock = clock = Clock(setting.device)
    sampling = Sampling(num_generations=GENERATIONS, max_completion_length=length)
    groups = rollout(setting.policy, prompts, sampling, list(range(len(prompts))), static=static)
    clock.lap("rollout")
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


def naive_step(setting: Setting, prompts: list[Encoded], length: int) -> Clock:
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
        mask_GC = torch.ones_like(logps_GC, dtype=torch.bool)
        advantages_G = torch.linspace(-1, 1, GENERATIONS, device=setting.device)
        ratio_GC = cdpo.token_ratio(logps_GC, logps_GC.detach())
        cdpo.cdpo_loss(
            cdpo.clipped_surrogate(ratio_GC, advantages_G, epsilon=0.2, epsilon_high=0.28),
            cdpo.SAMPLED["k3"](logps_GC, bias_GC, logps_GC.detach()),
            cdpo.token_weights(
                mask_GC, "grpo", completions=GENERATIONS * len(prompts), tokens=mask_GC.numel()
            ),
            repulsion=OBJECTIVE.repulsion,
        ).backward()
        policy.model.eval()
        clock.lap("backward")
    update(setting, clock)
    return clock


def update(setting: Setting, clock: Clock) -> None:
    optimizer = setting.optimizer
    optimizer.gradients()
    optimizer.clip(20.0)
    optimizer.step(1e-6)
    optimizer.zero()
    clock.lap("update")


SIDES: dict[str, Callable[[Setting, list[Encoded], int], Clock]] = {
    "naive": naive_step,
    "eager": lambda setting, prompts, length: shared_step(setting, prompts, length, static=False),
    "ours": lambda setting, prompts, length: shared_step(setting, prompts, length, static=True),
}


def rates(device: torch.device, size: int) -> dict[str, float]:
    """What this device reaches: operations a second in a product, bytes a second in a copy."""
    a = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    clock = Clock(device)
    best = {"flops": 0.0, "bytes": 0.0}
    for _ in range(5):
        clock.start()
        a @ a
        clock.lap("product")
        best["flops"] = max(best["flops"], 2 * size**3 / clock.seconds.pop("product"))
        clock.start()
        a.clone()
        clock.lap("copy")
        best["bytes"] = max(best["bytes"], 2 * a.nbytes / clock.seconds.pop("copy"))
    return best


def bound(shape: Shape, grid: Grid, case: Case, prompt: int, rate: dict[str, float]) -> float:
    """Seconds below which this device cannot make the shared step: by operations and by bytes."""
    flops = step_flops(
        *(shape, grid, prompt, GENERATIONS, case.length),
        shared=True,
        freeze_vision=case.lora,
        adapters=case.lora,
    )
    computed = case.prompts * sum(flops.values()) / rate["flops"]
    work = workload(shape, grid, case, prompt)
    token = 4 * shape.layers * shape.kv_heads * shape.head_dim  # keys and values, two bytes each
    rows = case.prompts * GENERATIONS
    read = resident(work)["weights"] + token * (case.prompts * prompt + rows * case.length / 2)
    decoded = case.prompts * flops["rollout"] / rate["flops"]
    return computed - decoded + max(decoded, case.length * read / rate["bytes"])


def workload(shape: Shape, grid: Grid, case: Case, prompt: int) -> Workload:
    return Workload(
        shape=shape,
        grid=grid,
        prompt=prompt,
        generations=GENERATIONS,
        completion=case.length,
        prompts=case.prompts,
        lora_rank=64 if case.lora else 0,
        bias="adapter" if case.lora else "model",
        optimizer_on_cpu=case.optimizer_on_cpu,
        videos=case.prompts,
    )


def measure(setting: Setting, case: Case, prompts: list[Encoded], stop: float) -> dict[str, Any]:
    """Each side once, then again in turns while another round ends before `stop` seconds."""
    taken: dict[str, list[dict[str, float]]] = {side: [] for side in case.sides}
    peaks: dict[str, int] = {}
    on_gpu = setting.device.type == "cuda"
    started = time.perf_counter()
    for repeat in range(case.repeats):
        spent = time.perf_counter() - started
        if repeat and spent * (repeat + 1) / repeat > stop:
            break
        for side in case.sides:
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            taken[side].append(SIDES[side](setting, prompts, case.length).seconds)
            if on_gpu:
                peaks[side] = torch.cuda.max_memory_allocated()
    return {"seconds": taken, "peak_bytes": peaks or "not measured"}


def agreement(setting: Setting, prompt: Encoded, length: int) -> dict[str, float]:
    """bfloat16 log-probabilities, shared and naive, against each other and against float32."""
    (group,) = rollout(setting.policy, [prompt], Sampling(GENERATIONS, length), [0])
    found = {}
    for name, policy in (("bfloat16", setting.policy), ("float32", wide(setting.policy))):
        ids_GL = torch.cat(
            [prompt.input_ids_P.expand(GENERATIONS, -1), group.completion_ids_GC], dim=1
        ).to(setting.device)
        with torch.no_grad():
            found[f"shared {name}"] = group_logps(policy, group).logps_GC
            given = repeated(policy, [prompt], ids_GL)
            found[f"naive {name}"] = naive_logps(policy, given, length)
    drawn_GC = usable(group, setting.policy).to(setting.device)
    exact = found["naive float32"]
    pairs = {
        "shared and naive, bfloat16": (found["shared bfloat16"], found["naive bfloat16"]),
        "shared and naive, float32": (found["shared float32"], exact),
        "shared bfloat16 and float32": (found["shared bfloat16"], exact),
        "naive bfloat16 and float32": (found["naive bfloat16"], exact),
    }
    gaps = {name: (a - b).abs()[drawn_GC] for name, (a, b) in pairs.items()}
    return {name: {"mean": float(g.mean()), "max": float(g.max())} for name, g in gaps.items()}


def usable(group: Group, policy: Policy) -> Tensor:
    """Completions without a drawn video token, which the library takes for a missing video."""
    drawn_GC = group.completion_ids_GC == policy.model.config.video_token_id
    return (~drawn_GC.any(dim=1))[:, None].expand_as(drawn_GC)


def wide(policy: Policy) -> Policy:
    return Policy(deepcopy(policy.model).float(), policy.tokenizer, policy.vision)


def summary(row: dict[str, Any], case: Case, limit: float) -> dict[str, Any]:
    totals = {side: [sum(laps.values()) for laps in row["seconds"][side]] for side in case.sides}
    middle = {side: statistics.median(each) for side, each in totals.items()}
    phases = row["seconds"]["ours"]
    share = {p: statistics.median(r[p] for r in phases) / middle["ours"] for p in phases[0]}
    drawn = case.prompts * GENERATIONS * case.length
    found: dict[str, Any] = {
        "seconds_a_step": middle,
        "phase_share": share,
        "tokens_a_second": drawn / middle["ours"],
        "decoded_a_second": drawn / statistics.median(r["rollout"] for r in phases),
        "bound_seconds": limit,
        "share_of_bound": limit / middle["ours"],
    }
    if "naive" in middle:
        found["whole_ratio"] = middle["naive"] / middle["ours"]
        found["gain_of_sharing"] = middle["naive"] / middle["eager"]
        found["gain_of_decoding"] = middle["eager"] / middle["ours"]
    return found


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    deadline = time.perf_counter() + arguments.budget_seconds
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if arguments.scale == "official" and device.type == "cpu":
        sys.exit("no GPU here: nothing is measured; --scale tiny tries the script on a CPU")
    config = official() if arguments.scale == "official" else tiny()
    shape = read_shape(config.to_dict())
    rate = rates(device, 8192 if device.type == "cuda" else 256)
    result: dict[str, Any] = about(arguments, device) | {"rates": rate, "rows": [], "left_out": []}
    transformers.logging.set_verbosity_error()  # that -1 ends no completion is the intention
    setting, kind, last = None, None, 0.0
    for case in cases(arguments.scale):
        left = deadline - time.perf_counter()
        reason = unfit(case, device, shape, left=left, last=last)
        if reason:
            result["left_out"].append({"case": vars(case), "why": reason})
            continue
        started = time.perf_counter()
        if kind != (case.lora, case.optimizer_on_cpu):
            del setting
            setting = Setting(case, config, device)
            kind = (case.lora, case.optimizer_on_cpu)
            for side in case.sides:  # libraries load and choose their kernels
                SIDES[side](setting, [synthetic_prompt(config, case.frames, 99)], 4)
        prompts = [synthetic_prompt(config, case.frames, seed) for seed in range(case.prompts)]
        grid = Grid(*(int(n) for n in prompts[0].grid_thw[0]))
        row = measure(setting, case, prompts, left / 2)
        tokens = prompts[0].prompt_tokens
        parts = moments(workload(shape, grid, case, tokens))
        row["predicted_peak_bytes"] = max(sum(p.values()) for p in parts.values())
        row |= summary(row, case, bound(shape, grid, case, tokens, rate))
        if not result["rows"]:
            result["agreement"] = agreement(setting, prompts[0], case.length)
        result["rows"].append({"case": vars(case), "prompt_tokens": tokens} | row)
        last = (time.perf_counter() - started) / (case.length * case.prompts)
        save(arguments.out, result)
        show(result["rows"][-1])
    return result


def unfit(case: Case, device: torch.device, shape: Shape, *, left: float, last: float) -> str:
    """Why a row is left out; empty where it is not."""
    if last * case.length * case.prompts > left:
        return f"not measured: {left:.0f} s of the budget are left"
    if case.lora and not transformers.utils.is_peft_available():
        return "not measured: peft is not installed"
    if device.type == "cuda":
        parts = moments(workload(shape, Grid(8, 18, 26), case, 1148))
        needed = max(sum(p.values()) for p in parts.values())
        has = torch.cuda.get_device_properties(device).total_memory
        if needed > 0.93 * has:
            return f"not measured: needs {needed / 2**30:.0f} GiB of {has / 2**30:.0f}"
    return ""


def about(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "benchmark": "gpu_step",
        "command": " ".join(sys.argv),
        "scale": arguments.scale,
        "device": gpu or f"CPU ({platform.machine()}); no GPU: not measured",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "generations": GENERATIONS,
    }


def save(folder: Path, result: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1) + "\n"
    (folder / "gpu_step.json").write_text(text, encoding="utf-8")


def show(row: dict[str, Any]) -> None:
    case, peaks = row["case"], row["peak_bytes"]
    memory = "peak not measured"
    if isinstance(peaks, dict):
        memory = ", ".join(f"{side} {size / 2**30:.1f}" for side, size in peaks.items()) + " GiB"
    ratio = f"{row['whole_ratio']:.2f} x" if "whole_ratio" in row else "-"
    seconds = ", ".join(f"{side} {value:.2f}" for side, value in row["seconds_a_step"].items())
    kind = "LoRA" if case["lora"] else "full"
    print(
        f"{kind}{', optimizer on CPU' if case['optimizer_on_cpu'] else ''}  C {case['length']}  "
        f"{case['prompts']} prompts  {seconds} s  {ratio}  "
        f"{row['share_of_bound']:.0%} of the bound  {memory}",
        flush=True,
    )


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget-seconds", type=float, default=540.0)
    parser.add_argument("--scale", choices=("official", "tiny"), default="official")
    arguments = parser.parse_args(words)
    result = run(arguments)
    save(arguments.out, result)
    print(json.dumps({"out": str(arguments.out), "rows": len(result["rows"])}))


if __name__ == "__main__":
    main()
