"""Short versions of `make soak`, and what its long ones have counted."""

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.warm import Warm

REPO = Path(__file__).parents[2]
RECORD = REPO / "benchmarks/results/soak.json"
sys.path.append(str(REPO / "benchmarks"))


def soak(warm: Warm, parts: str, record: Path, goal: int, *only: str) -> dict[str, dict[str, Any]]:
    script = str(REPO / "benchmarks/soak.py")
    command = [script, *parts.split(), "--goal", str(goal), "--record", str(record)]
    command += ["--only", *only] if only else []
    done = warm.run(*command)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == json.loads(record.read_text())
    found = json.loads(record.read_text())
    return found.get(parts, found)


def test_every_reader_takes_or_refuses_and_counts_add_up(tmp_path: Path) -> None:
    """In two runs as in one: a trial's change is drawn from its number alone."""
    from soak_files import soak
    from soak_record import Record

    for name, goal in (("two", 2), ("two", 5), ("one", 5)):
        soak(Record(tmp_path / f"{name}.json", "files", math.inf, goal))
    found = json.loads((tmp_path / "two.json").read_text())
    assert found == json.loads((tmp_path / "one.json").read_text())
    assert all(sum(counts.values()) == 5 for counts in found["files"].values())
    # nobody takes everything, and together they refuse not everything; any text is some answer
    assert all(counts["refused"] for name, counts in found["files"].items() if name != "answers")
    assert sum(counts["taken"] for counts in found["files"].values()) > 20


def test_videos_are_right_or_refused(warm: Warm, tmp_path: Path) -> None:
    found = soak(warm, "videos", tmp_path / "soak.json", 60)
    assert found["whole"] == {"right": 60}
    assert found["cut off"]["refused in a sentence"] > 30
    assert found["the decoder"]["largest MB"] < 200


def test_a_stage_is_killed_and_harmed_and_watched(warm: Warm, tmp_path: Path) -> None:
    only = ("convert", "clock set back", "push", "training steps")
    found = soak(warm, "kills faults writes network long", tmp_path / "soak.json", 1, *only)
    assert found["kills"]["convert"]["kills"] >= 1
    assert found["faults"]["clock set back"] == {"unharmed": 1}
    assert sum(found["network"]["push"].values()) == 1
    assert found["long"]["training steps, a short run"]["of"] == 1
    if shutil.which("cc"):
        assert found["writes"]["convert"] == {"writes": 6, "refused in a sentence": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["soak.json"]


def test_hostile_text_makes_no_tag(warm: Warm, tmp_path: Path) -> None:
    found = soak(warm, "page", tmp_path / "soak.json", 1)
    assert found["pages"]["hostile texts"] > 50


def test_a_page_with_a_tag_from_the_data_is_found() -> None:
    from soak_page import Tags, _check

    good = "<p class='a'>x</p><script>1</script>"
    for bad in (
        good + "<img>",
        good.replace("class", "onclick"),
        good + "<script>2</script>",
        good + "<p class='a'><a href='http://evil.invalid'></a>",
    ):
        with pytest.raises(AssertionError):
            _check(Tags(bad), Tags(good))


def test_a_part_goes_on_and_leaves_the_others_alone(tmp_path: Path) -> None:
    from soak_record import Record

    path = tmp_path / "soak.json"
    first, second = (Record(path, part, ends=0.0) for part in ("kills", "page"))
    first.count("world", kills=3, runs=1)
    second.count("pages", pages=1)
    first.count("world", kills=2, runs=1)
    assert json.loads(path.read_text()) == {
        "kills": {"world": {"kills": 5, "runs": 2}},
        "page": {"pages": {"pages": 1}},
    }


def test_growth_is_found() -> None:
    from soak_long import Look, hold, summary

    def tenths(looks: list[Look]) -> tuple[Any, Any]:
        return summary(looks, 0.1, 0.2), summary(looks, 0.9, 1.0)

    hold("steps", *tenths([Look(i, 400.0, 9, 1, i / 10, 0.01) for i in range(1, 101)]))
    # twice as slow, as is everything else
    hold("steps", *tenths([Look(i, 400.0, 9, 1, i * i, i / 100) for i in range(1, 101)]))
    for grows in (
        [Look(i, 400.0 + i, 9, 1, i / 10, 0.01) for i in range(1, 101)],
        [Look(i, 400.0, 9 + i // 50, 1, i / 10, 0.01) for i in range(1, 101)],
        [Look(i, 400.0, 9, 1, i * i / 100, 0.01) for i in range(1, 101)],
    ):
        with pytest.raises(AssertionError, match="grows"):
            hold("steps", *tenths(grows))


def test_a_large_folder_that_costs_more_an_item_is_found() -> None:
    from soak_large import hold

    def rows(megabytes: float, power: float, slower: float = 1.0) -> list[dict[str, float]]:
        paces = {1: 10.0, 4: 10.0, 16: 10.0 * slower}
        return [
            {"of": 500 * n, "MB": 60 + megabytes * n, "CPU s": 9 + n**power * paces[n],
             "CPU ms of a fixed work": paces[n]}
            for n in paces
        ]  # fmt: skip

    hold("scenes made", rows(0.1, 1.0))
    hold("scenes made", rows(0.1, 1.0, slower=1.5)[:2])
    hold("answers taken up", rows(20.0, 1.0))  # a list is held in memory
    for what, grows in (("scenes made", rows(5.0, 1.0)), ("answers taken up", rows(0.0, 1.3))):
        with pytest.raises(AssertionError, match="grows"):
            hold(what, grows)


def test_the_page_tells_what_was_counted() -> None:
    from soak_record import tables

    page = (REPO / "docs/reliability.md").read_text(encoding="utf-8")
    assert [part for part, table in tables(RECORD).items() if table not in page] == []
