"""The costs on the page are the ones a dry run counts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from videothinker import cli
from videothinker.planning.dry_run import expected_seconds, in_words
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
    """`gpu_launches.json`, which `tests/scripts/test_gpu_launches.py` bounds."""
    kept, profiled = measured("gpu_launches"), measured("gpu_smoke_h100")
    for name, words in (("fused", "both, now"), ("not fused", r"both, now, where triton.*missing")):
        for kind in ("full", "LoRA"):
            layer, beside = (sum(p.values()) for p in kept["kernels"][f"{kind}, {name}"].values())
            way = "fused" if name == "fused" else "graph"
            seen = profiled[f"3B, {kind}"][f"{way}, kernels"]["a step"]
            numbers = r"(\d+) \| ([\d,]+) \| ([\d,]+)"
            row = re.search(rf"^\| {words} \| {numbers} \|$", PAGE, re.MULTILINE)
            assert row is not None
            assert row.groups() == (f"{layer}", f"{36 * layer + beside:,}", f"{seen:,.0f}")


def measured(name: str) -> dict[str, Any]:
    """A file of results."""
    return json.loads((REPO / "benchmarks" / "results" / f"{name}.json").read_text())


def cells(name: str) -> list[list[str]]:
    """The numbers and words of a table on the page, without its head."""
    table = PAGE.split(f"<!-- {name}: begin -->")[1].split(f"<!-- {name}: end -->")[0]
    rows = [line.strip("| ").split(" | ") for line in table.strip().splitlines()]
    return rows[2:]


def titled(row: dict[str, Any]) -> str:
    """A row of the GPU benchmark as the page calls it."""
    case = row["case"]
    size = case["model"].removeprefix("Qwen/").removesuffix("-Instruct")
    kind = "LoRA" if case["lora"] else "full"
    return f"{size.removeprefix('Qwen2.5-VL-')} {kind}"


def steps() -> list[tuple[str, dict[str, Any]]]:
    """Commit and row: each step as last measured."""
    last = measured("gpu_step_h200")
    found = {titled(row): (last["commit"], row) for row in last["rows"]}
    for row in measured("gpu_step_h200_83d2541")["rows"]:
        found.setdefault(titled(row), ("83d2541", row))
    return list(found.values())


def test_the_steps_are_those_measured() -> None:
    rows = [row for _, row in steps()]
    told = cells("steps")
    assert [(row[0], row[7]) for row in told] == [(titled(row), at) for at, row in steps()]
    for words, row in zip(told, rows, strict=True):
        took = row["seconds_a_step"]
        assert words[1:3] == [f"{took['ours']:.2f}", f"{row['bound_seconds']:.2f}"]
        naive = [f"{took['naive']:.2f}", f"{row['whole_ratio']:.1f}"] if "naive" in took else None
        assert words[3:5] == (naive or ["-", "-"])
        assert words[5] == f"{row['phase_share']['rollout']:.2f}".lstrip("0")
        assert words[6] == f"{len(row['seconds']['ours'])}"
    peak, counted = rows[0]["peak_bytes"]["ours"], rows[0]["predicted_peak_bytes"]
    assert re.search(rf"peak[^|]* {peak / GIB:.1f} GiB[^|]*\b{counted / GIB:.1f}\b", PAGE)


def test_the_decoding_steps_are_those_measured() -> None:
    names = ("milliseconds_a_step", "bound_milliseconds_a_token")
    expected = [
        [titled(row), "H200", *(f"{row[name]:.2f}" for name in names)] for _, row in steps()
    ]
    smoke = measured("gpu_smoke_h100")
    for way, words in (("fused", ""), ("graph", ", nothing compiled")):
        for kind in ("full", "LoRA"):
            part = smoke[f"3B, {kind}"]
            taken = part[f"{way}, milliseconds a step"], part["bound, milliseconds a step"]
            expected.append([f"3B {kind}{words}", "H100", *(f"{one:.2f}" for one in taken)])
    assert cells("decoding") == expected


def test_the_readme_has_the_same_cost() -> None:
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    (paragraph,) = (one for one in readme.split("\n\n") if "H200" in one)
    full, lora = cells("steps")[:2]
    assert re.findall(r"(\S+) times", paragraph) == [full[4], lora[4]]
