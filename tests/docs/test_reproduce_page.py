"""The costs on the page are the ones a dry run counts."""

import re
from pathlib import Path

import pytest

from videothinker import cli
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


PARTS = ("operations", "decoding")


def test_the_estimated_hours_by_hand() -> None:
    found = [re.search(rf"^\| {part}.*\| (\d\.\d) \|$", PAGE, re.M) for part in PARTS]
    computing, reading = 3.1e17 / 50e12 / 3600, 500 * 768 * 7.5e9 / 0.5e12 / 3600
    assert [row and row[1] for row in found] == [f"{computing:.1f}", f"{reading:.1f}"]
