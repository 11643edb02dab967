"""The fenced blocks of a page, and a model small enough to walk through it."""

import re
from pathlib import Path

import torch

from tests.answering_toys import build_tiny
from videothinker.models.base import Group
from videothinker.models.catalog import load_policy
from videothinker.models.logprobs import group_logps
from videothinker.prompts import render

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    """(language, code) of every fenced block in one of the languages, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [(kind, code) for kind, code in FENCE.findall(text) if kind in languages]


def toy_model(folder: Path) -> Path:
    """A tiny Qwen2.5-VL that keeps the answer format and guesses between A and B."""
    choices = ("to the left", "to the right")
    asked = render("Which way will the square go if the wall is removed?", choices)
    words = [asked, "<think>it moves</think><answer>A, B</answer>"] * 9
    build_tiny(folder, words, vocab_size=400, initializer_range=0.02)
    policy = load_policy(folder)
    prompt = policy.encode(asked)
    said = [f"<think>it moves</think><answer>{letter}</answer>" for letter in "AB"]
    rows = [[*policy.tokenizer.encode(text), policy.eos_ids[0]] for text in said]
    ids = torch.tensor(rows)
    group = Group(
        prompt=prompt,
        completion_ids_GC=ids,
        mask_GC=torch.ones_like(ids, dtype=torch.bool),
        truncated_G=torch.zeros(len(rows), dtype=torch.bool),
    )
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = -group_logps(policy, group).logps_GC.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return policy.save(folder)
