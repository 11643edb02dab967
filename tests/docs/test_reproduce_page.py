"""The costs on the page are the ones a dry run counts."""

import json
import re
from pathlib import Path

import pytest

from videothinker import cli
from videothinker.planning.pace import expected_seconds, in_words
from videothinker.planning.plan import GIB, make_plan

REPO = Path(__file__).parents[2]
PAGE = (REPO / "docs" / "reproduce.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip().strip("`") for cell in line.strip("|").split("|")]
    for line in PAGE.split("<!-- costs: begin -->")[1].split("<!-- costs: end -->")[0].splitlines()
    if line.startswith("| `")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_a_row_is_what_the_plan_counts(row: list[str]) -> None:
    recipe, options, gpu, host, disk, operations, hours = row
    kind = recipe.rsplit("-", 1)[-1]
    flags = [] if options == "-" else options.split()
    _, (_, config), _ = cli.parse(
        ["train", kind, "--config", str(REPO / "recipes" / f"{recipe}.yaml"), *flags]
    )
    plan = make_plan(config)
    assert gpu == f"{plan.needed / GIB:.1f} GiB"
    assert host == f"{plan.host / GIB:.0f} GiB"
    assert disk == f"{plan.disk / 1e9:.0f} GB"
    assert operations == f"{sum(plan.flops(shared=True).values()) * config.max_steps:.1e}"
    assert hours == "not measured"


HOURS = re.findall(
    r"^\| `(clevrer-3b-[a-z-]+)` \| (\d+\.\d) \| (\d\.\d) \|$",
    PAGE.split("<!-- hours: begin -->")[1].split("<!-- hours: end -->")[0],
    re.MULTILINE,
)


def test_the_expected_hours_are_what_a_dry_run_prints() -> None:
    assert len(HOURS) == 4
    for recipe, seconds, hours in HOURS:
        path = REPO / "recipes" / f"{recipe}.yaml"
        _, (_, config), _ = cli.parse(["train", recipe.rsplit("-", 1)[-1], "--config", str(path)])
        plan = make_plan(config)
        step = expected_seconds(plan)
        assert step is not None
        assert seconds == f"{step:.1f}"
        assert f"about {hours} hours on one H200" in in_words(plan)


def test_the_kernels_are_those_kept() -> None:
    """`benchmarks/results/gpu_launches.json`, which `tests/generation/test_launches.py` bounds."""
    kept = json.loads((REPO / "benchmarks" / "results" / "gpu_launches.json").read_text())
    for name, words in (("fused", "both, now"), ("not fused", r"both, now, where triton.*missing")):
        for kind in ("full", "LoRA"):
            layer, beside = (sum(p.values()) for p in kept["kernels"][f"{kind}, {name}"].values())
            row = re.search(rf"^\| {words} \| (\d+) \| ([\d,]+) \|$", PAGE, re.MULTILINE)
            assert row is not None
            assert row.groups() == (f"{layer}", f"{36 * layer + beside:,}")
