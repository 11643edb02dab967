"""The counted memory on docs/scale.md is what the plan says."""

import re
from typing import Any

import pytest

from tests.conftest import REPO
from tests.planning.paper import paper
from videothinker.planning.plan import GIB, make_plan

ROW = re.compile(r"^\| (Qwen\S+) \|(.+)\|$", re.MULTILINE)
COUNTED = (REPO / "docs" / "scale.md").read_text().partition("## Counted memory")[2]
FULL, LORA = [ROW.findall(table) for table in COUNTED.split("| model |")[1:3]]


def needed(model: str, gpus: int, **changes: Any) -> str:
    plan = make_plan(paper(model=f"Qwen/{model}-Instruct", **changes), ranks=gpus)
    return f"{plan.needed / GIB:.0f}"


@pytest.mark.parametrize(("model", "cells"), FULL)
def test_full_training(model: str, cells: str) -> None:
    told = [cell.strip() for cell in cells.split("|")]
    several = [
        f"{needed(model, gpus)} / {needed(model, gpus, shard='layers')}" for gpus in (2, 4, 8)
    ]
    assert told == [needed(model, 1), *several]


@pytest.mark.parametrize(("model", "cells"), LORA)
def test_adapters(model: str, cells: str) -> None:
    told = [cell.strip() for cell in cells.split("|")]
    settings = {"lora_rank": 64, "freeze_vision": True}
    assert told == [needed(model, gpus, **settings) for gpus in (1, 2, 4, 8)]
