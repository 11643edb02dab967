"""Everything that runs on a GPU, on a pretended one: tensors stay on their device.

Numbers are the CPU's, so tokens and gradients must be those of the run without a device.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.generation.recorded_graph import Graph, recorded  # noqa: F401 (a fixture)
from tests.models.pretended_device import CUDA, Devices, pretend
from videothinker.algorithms.base import Objective
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.answering.ask import answer_questions
from videothinker.benchmarks.catalog import resolve
from videothinker.errors import Slower
from videothinker.generation import graphs
from videothinker.generation.base import Sampling
from videothinker.generation.cache import RowsPlan
from videothinker.generation.decoder import Decoder
from videothinker.generation.shared_prefix import generate
from videothinker.models.base import Group
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import Policy
from videothinker.models.shared_prefix import SharedPrefix
from videothinker.records import Question, Sample
from videothinker.runs import Journal
from videothinker.training.adapters import add_adapter
from videothinker.training.models import OffloadedBias
from videothinker.training.optimizer import MasterAdamW
from videothinker.training.step import Bias, accumulate_gradients, log_ratios

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a true device")
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SAMPLING = Sampling(num_generations=3, max_completion_length=6, temperature=1.5)


@pytest.fixture
def devices(recorded: type[Graph], monkeypatch: pytest.MonkeyPatch) -> Iterator[Devices]:  # noqa: F811
    """A pretended `cuda`, its graphs recorded."""
    usual = torch.backends.cuda.cudnn_sdp_enabled()
    with pretend() as devices:
        begin, end = Graph.capture_begin, Graph.capture_end

        def capture_begin(graph: Graph, pool: Any = None) -> None:
            devices.capturing = True
            begin(graph, pool)

        def capture_end(graph: Graph) -> None:
            devices.capturing = False
            end(graph)

        monkeypatch.setattr(Graph, "capture_begin", capture_begin)
        monkeypatch.setattr(Graph, "capture_end", capture_end)
        monkeypatch.setattr(graphs, "can_fuse", lambda _: False)  # kernels are a true device's
        yield devices
    torch.backends.cuda.enable_cudnn_sdp(usual)


@pytest.mark.parametrize(
    "refused",
    [
        lambda here, there: here + there,
        lambda here, there: here * there.sum(),
        lambda here, there: torch.cat([here, there]),
        lambda here, there: here[there.long()],
        lambda here, there: there.index_put_((torch.arange(3),), here),
        lambda here, there: there.numpy(),
        lambda here, there: torch.rand(3, device="cuda", generator=torch.Generator()),
    ],
)
def test_what_cuda_refuses_is_refused(devices: Devices, refused: Any) -> None:
    with pytest.raises((RuntimeError, TypeError)):
        refused(torch.zeros(3), torch.zeros(3, device="cuda"))


@pytest.mark.parametrize(
    ("taken", "waits"),
    [
        (lambda here, there: there * here.sum(), 0),
        (lambda here, there: there[torch.arange(3)], 1),
        (lambda here, there: there.unique_consecutive(), 1),
        (lambda here, there: there[there > 0], 1),
        (lambda here, there: there.sum().item(), 1),
        (lambda here, there: here.to("cuda") + there, 1),
    ],
)
def test_what_cuda_takes_is_taken_and_its_waits_are_counted(
    devices: Devices, taken: Any, waits: int
) -> None:
    given = torch.zeros(3), torch.zeros(3, device="cuda")
    devices.waits.clear()
    found = taken(*given)
    assert devices.waits.total() == waits
    assert not isinstance(found, Tensor) or found.device == CUDA


def prompts(policy: Policy) -> list[Any]:
    """Two about one video, one of text."""
    frames = np.random.default_rng(0).integers(0, 256, (4, 56, 84, 3), dtype=np.uint8)
    video = policy.to_video(frames, 2.0)
    words = ("Which one hits the cube?", "Which sphere moves first?")
    return [*(policy.encode(one, video) for one in words), policy.encode("Text alone.")]


def drawn(policy: Policy, **how: bool) -> list[list[list[int]]]:
    policy.model.generation_config.eos_token_id = list(range(0, len(policy.tokenizer), 7))
    groups = generate(policy, prompts(policy), SAMPLING, [1, 2, 3], **how)
    return [
        [ids[mask].tolist() for ids, mask in zip(g.completion_ids_GC, g.mask_GC, strict=True)]
        for g in groups
    ]


def test_a_rollout_stays_on_its_device(tiny_folder: Path, devices: Devices) -> None:
    expected = drawn(load_policy(tiny_folder), static=False)
    policy = load_policy(tiny_folder, device="cuda")
    assert policy.device == CUDA
    assert drawn(policy) == expected  # graphs
    assert drawn(policy, static=False) == expected
    assert Graph.made > 0


@pytest.mark.parametrize(("static", "asked"), [(True, 1), (False, 16)])
def test_tokens_wait_for_the_device_as_often_as_the_host_asks(
    tiny_folder: Path, devices: Devices, static: bool, asked: int
) -> None:
    """For how many rows are open, how many broke; any other wait would stand between tokens."""
    policy = load_policy(tiny_folder, device="cuda")
    policy.model.generation_config.eos_token_id = [len(policy.tokenizer) + 1]
    waits = []
    for length in (8, 24):
        devices.waits.clear()
        generate(policy, prompts(policy)[:2], Sampling(2, length), [1, 2], static=static)
        waits.append(devices.waits.copy())
    assert waits[1] - waits[0] == {"tolist": asked}


def grouped(policy: Policy) -> list[Group]:
    """Without fixed shapes: in bfloat16 other kernels round otherwise, and draw other tokens."""
    return generate(policy, prompts(policy)[1:], SAMPLING, [1, 2], static=False)


def updated(folder: Path, place: str, divergence: str, *, kind: str = "plain") -> dict[str, Tensor]:
    """Weights after one update by two groups, one after the other."""
    policy, frozen = load_policy(folder, device=place), load_policy(folder, device=place)
    frozen.model.requires_grad_(requires_grad=False)
    with torch.no_grad():
        frozen.head_VD.mul_(0.9)
    if kind == "lora":
        config = CdpoConfig(model="m", out=Path("o"), bias="b", lora_rank=4, lora_alpha=8)
        add_adapter(policy, config)
    bias = OffloadedBias(frozen, policy.device) if kind == "offloaded" else Bias(frozen)
    if kind == "offloaded":
        policy.enable_gradient_checkpointing()
        policy.model.bfloat16()
        frozen.model.bfloat16()
    named = [(n, p) for n, p in policy.model.named_parameters() if p.requires_grad]
    where = "cpu" if kind == "offloaded" else "model"
    optimizer = MasterAdamW(named, lr=1e-2, weight_decay=0.0, device=where)
    groups = grouped(policy)
    accumulate_gradients(
        *(policy, bias, groups, [torch.tensor([1.0, -0.5, 0.2])] * 2),
        Objective(divergence=divergence, repulsion=0.3),  # pyright: ignore[reportArgumentType]
        completions=6,
        tokens=sum(int(group.mask_GC.sum()) for group in groups),
    )
    optimizer.gradients()
    optimizer.clip(1.0)
    optimizer.step(1e-2)
    optimizer.zero()
    if kind != "offloaded":
        log_ratios(policy, bias, groups[0], 1.0)
    optimizer.load({name: value.clone() for name, value in optimizer.state().items()})
    return {name: param.detach().cpu().float() for name, param in named}


@pytest.mark.parametrize(
    ("divergence", "kind"), [("k3", "plain"), ("exact", "lora"), ("js", "offloaded")]
)
def test_a_training_step_stays_on_its_device(
    tiny_folder: Path, devices: Devices, divergence: str, kind: str
) -> None:
    """Whole, LoRA, and with bias model and optimizer on the CPU."""
    expected = updated(tiny_folder, "cpu", divergence, kind=kind)
    found = updated(tiny_folder, "cuda", divergence, kind=kind)
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-3, atol=1e-3)


def test_answering_stays_on_its_device(tiny_folder: Path, devices: Devices, tmp_path: Path) -> None:
    question = Question(
        id="toy/0",
        dataset="toy",
        split="train",
        context="Objects: red cube.",
        question="What moves?",
        choices=("the cube", "nothing"),
        answer=("A",),
        type="descriptive",
    )
    texts = []
    for place in ("cpu", "cuda"):
        journal = Journal(tmp_path / f"{place}.jsonl", Sample)
        policy = load_policy(tiny_folder, device=place)
        protocol = resolve("demo", "jsonl", frames=4, max_new_tokens=6)
        found = answer_questions(policy, [question], tmp_path, protocol, journal=journal)
        texts.append([(sample.text, sample.model) for sample in found])
        journal.close()
    assert texts[0] == texts[1]


@pytest.fixture
def sides() -> Iterator[ModuleType]:
    """`benchmarks/gpu_sides.py`."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield import_module("gpu_sides")
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_the_benchmark_stays_on_its_device(
    sides: ModuleType, devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes, agreement = import_module("gpu_shapes"), import_module("gpu_agreement").agreement
    monkeypatch.setattr(shapes, "HEIGHT", 4)
    monkeypatch.setattr(shapes, "WIDTH", 12)
    monkeypatch.setattr(shapes, "TEXT", 30)
    config = shapes.tiny()
    case = shapes.Case(3, 1, optimizer_on_cpu=True, frames=2)
    setting = sides.Setting(case, config, CUDA)
    assert {one.device for one in setting.optimizer.masters.values()} == {torch.device("cpu")}
    prompt = shapes.synthetic_prompt(config, case.frames, 0)
    for side in case.sides:
        clock = sides.SIDES[side](setting, [prompt], case.length)
        assert set(clock.seconds) == {"rollout", "bias", "forward", "backward", "update"}
    gaps = agreement(config, CUDA, prompt, 3)
    assert gaps["shared and naive, float32"]["max"] < 1e-4


def test_attention_on_a_gpu_leaves_cudnn_out(tiny_folder: Path, devices: Devices) -> None:
    """It would plan anew for every length."""
    torch.backends.cuda.enable_cudnn_sdp(True)  # another test may have left it out
    load_policy(tiny_folder)
    assert torch.backends.cuda.cudnn_sdp_enabled()
    load_policy(tiny_folder, device="cuda")
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def forget_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask made where tensors are made by default."""

    def sees(plan: SharedPrefix) -> Tensor:
        size = (plan.segment, plan.prefix + plan.segment)
        return torch.ones(size, dtype=torch.bool).tril(plan.prefix)

    monkeypatch.setattr(SharedPrefix, "sees", property(sees))


def leave_the_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths that stay on the CPU."""
    start = RowsPlan.start
    monkeypatch.setattr(RowsPlan, "start", lambda rows, lengths: start(rows, lengths.cpu()))


def count_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded step that asks for a value from the host."""
    logits = Decoder.logits

    def slow(decoder: Decoder, tokens_A: Tensor, *rest: Any) -> Tensor:
        return logits(decoder, tokens_A + torch.tensor(0, device=tokens_A.device), *rest)

    monkeypatch.setattr(Decoder, "logits", slow)


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (forget_the_device, RuntimeError, "same device"),
        (leave_the_lengths, RuntimeError, "same device|on the CPU"),
        (count_on_the_host, Slower, "while a graph is captured"),  # warnings are errors here
    ],
)
def test_a_tensor_on_the_wrong_device_shows(
    tiny_folder: Path,
    devices: Devices,
    monkeypatch: pytest.MonkeyPatch,
    *,
    fault: Any,
    error: type[Exception],
    said: str,
) -> None:
    policy = load_policy(tiny_folder, device="cuda")
    fault(monkeypatch)
    with pytest.raises(error, match=said):  # noqa: PT012 (whichever comes first)
        drawn(policy)
        updated(tiny_folder, "cuda", "k3")
