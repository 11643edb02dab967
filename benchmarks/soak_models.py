"""The files of a model, each changed at random, and the whole model loaded with it.

A trial does what `ask` does before it draws: it opens the folder, loads configuration, weights and
tokenizer, tries them out and encodes a prompt. The model is tiny, so that a load takes 40 ms. What
would take half a second is a Python for the chat template; one that has imported all is forked
instead, with the same limits (`soak_templates`).
"""

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from peft import LoraConfig
from soak_mutate import Kind, mutate, of_text
from soak_stages import TINY

from videothinker.models import adapters, templates
from videothinker.models.border import read_object
from videothinker.models.catalog import load_policy, read_shape
from videothinker.models.checkpoint import INDEX, WEIGHTS, Checkpoint
from videothinker.models.loading import open_checkpoint, read_weights
from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small
from videothinker.models.qwen_vl import policy as qwen_vl
from videothinker.prompts import render

WORDS = ["the red cube and the blue sphere collide", "A, B, C"]
SMALLEST = TINY | {"layers": 1}
LOOPING = 1
"""Seconds of computing until a template is refused as one that does not end; usually 5."""
TEMPLATE_PIECES = (
    "{%", "%}", "{{", "}}", "{#", "#}", "{% endfor %}", "{% endif %}", "{% else %}", "{% raw %}",
    "{% for i in range(10**9) %}x{% endfor %}", "{{ 'a' * 9**9 }}", "{{ 9**9**9 }}", "{{ 1 / 0 }}",
    "{{ ''.__class__.__mro__ }}", "{% include 'x' %}", "{% import 'os' as x %}", "{{ messages }}",
    "{{ raise_exception('no') }}", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% set x = message %}", "{{ message['content'][0]['text'] }}", "{{ strftime_now('%Y') }}",
    "| upper", "| trim", "| tojson", " not ", "'", "<|im_end|>", "<|video_pad|>", "\0", "\u2028",
)  # fmt: skip


def mutate_tensors(good: bytes, random: Random) -> bytes:
    """A safetensors file, changed in its header (8 bytes of length, then JSON) or anywhere."""
    if random.random() < 0.3:
        return mutate(good, random)
    length = int.from_bytes(good[:8], "little")
    header = mutate(good[8 : 8 + length], random)
    told = len(header) if random.random() < 0.8 else random.choice((0, 1, length, 2**40, 2**63))
    return told.to_bytes(8, "little") + header + good[8 + length :]


def mutate_template(good: bytes, random: Random) -> bytes:
    """A chat template with 1 to 3 pieces of its language, or other text, put in or left out."""
    data = good
    for _ in range(random.randint(1, 3)):
        if random.random() < 0.5:
            data = of_text(data, random)
            continue
        start = random.randrange(len(data) + 1)
        end = min(len(data), start + random.choice((0, 0, 10)))
        data = data[:start] + random.choice(TEMPLATE_PIECES).encode() + data[end:]
    return data


def _loaded(path: Path) -> object:
    """Load the whole model, and do with it what `ask` does before it draws."""
    with warnings.catch_warnings(action="ignore"):
        policy = load_policy(path.parent, device="cpu")
        prompt = policy.encode(render("Without the red cube?", ("it moves", "A, B")), None)
        return prompt, policy.tokenizer.decode(range(5))


def _beside_weights(path: Path) -> object:
    """The same of a file that no weight depends on: they are read once and taken again."""
    with patch.object(qwen_vl, "read_weights", _kept_weights):
        return _loaded(path)


@cache
def _weights(folder: Path, kind: Any, dtype: torch.dtype) -> Any:
    return read_weights(open_checkpoint(folder, {kind.config_class.model_type: ""}), kind, dtype)


def _kept_weights(checkpoint: Checkpoint, kind: Any, dtype: torch.dtype) -> Any:
    return _weights(checkpoint.folder, kind, dtype)


def _shape(path: Path) -> object:
    return read_shape(read_object(path), str(path))


def kinds(folder: Path) -> dict[str, Kind]:
    """Every file of a model, in folders of its own below `folder`."""
    whole = build_small(folder / "whole", SmallConfig(**SMALLEST), WORDS)
    sharded = build_small(folder / "sharded", SmallConfig(**SMALLEST), WORDS)
    index = _shard(sharded)
    adapter = _adapter(folder / "adapter", whole)
    config = (whole / "config.json").read_bytes()

    def model(inside: Path, name: str, change: Any = mutate, read: Any = _loaded) -> Kind:
        return Kind((inside / name).read_bytes(), read, inside / name, change)

    def beside(name: str, change: Any = mutate) -> Kind:
        return model(whole, name, change, _beside_weights)

    return {
        "loaded: config.json": model(whole, "config.json"),
        "loaded: generation_config.json": model(whole, "generation_config.json"),
        "loaded: preprocessor_config.json": beside("preprocessor_config.json"),
        "loaded: tokenizer_config.json": beside("tokenizer_config.json"),
        "loaded: tokenizer.json": beside("tokenizer.json"),
        "loaded: chat_template.jinja": beside("chat_template.jinja", mutate_template),
        "loaded: model.safetensors": model(whole, WEIGHTS, mutate_tensors),
        "loaded: index of the weights": model(sharded, index),
        "adapter: adapter_config.json": model(adapter, adapters.ADAPTER_CONFIG),
        "adapter: its weights": model(adapter, adapters.WEIGHTS, mutate_tensors),
        "adapter: base.json": model(adapter, adapters.BASE),
        "model: shape": Kind(config, _shape, folder / "shape.json"),
    }


def _shard(model: Path) -> str:
    """Give the only file of weights an index; the name of that."""
    one = "model-00001-of-00001.safetensors"
    (model / WEIGHTS).rename(model / one)
    data = (model / one).read_bytes()
    names = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    told = {
        "metadata": {"total_size": len(data)},
        "weight_map": {n: one for n in names if n[0] != "_"},
    }
    (model / INDEX).write_text(json.dumps(told))
    return INDEX


def _adapter(folder: Path, model: Path) -> Path:
    """A fresh adapter of the model."""
    policy = load_policy(model, device="cpu")
    lora = LoraConfig(r=2, target_modules=policy.lora_targets)
    adapters.inject(policy.model, lora, adapters.POLICY_ADAPTER)
    policy.base = adapters.find_base(str(model))
    adapters.save_adapter(policy, folder)
    return folder


@contextmanager
def quick_templates() -> Iterator[None]:
    """Inside, templates are rendered by forks of one process, and refused after one second."""
    script = str(Path(__file__).with_name("soak_templates.py"))
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, script], **pipes) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        ask, answer = server.stdin, server.stdout

        def run(words: list[str], *, input: bytes, **_: Any) -> subprocess.CompletedProcess[bytes]:  # noqa: A002
            ask.write(json.dumps(input.decode()) + "\n")
            ask.flush()
            code, out, err = json.loads(answer.readline())
            return subprocess.CompletedProcess(words, code, out.encode(), err.encode())

        stand_in = SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired)
        with patch.multiple(templates, subprocess=stand_in, CPU_SECONDS=LOOPING):
            yield
        ask.close()
