"""The pages of results are what the committed records say, and the estimates what they claim."""

import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import miniature  # noqa: E402
import miniature_records as records  # noqa: E402
import miniature_tables as tables  # noqa: E402
import miniature_weights as weights  # noqa: E402

from videothinker.grids import plan  # noqa: E402
from videothinker.world.config import WorldConfig  # noqa: E402
from videothinker.world.stage import world  # noqa: E402


def set_of(
    labels: str, *, pairs: bool = False, prefill: str = "", halves: str = ""
) -> dict[str, Any]:
    """Every other inferential question gives itself away, the first one does not."""
    scenes = [str(n // 2) for n in range(len(labels))]
    kept = scenes if pairs else [""] * len(labels)
    asked = {"labels": labels, "scenes": scenes, "pairs": kept, "prefill": prefill}
    marks = "".join(str(labels[:n].count("i") % 2) for n in range(len(labels)))
    row = {"marks": marks, "choices": "2" * len(labels), "halves": halves}
    return asked | records.split_of(row, asked)


def grid_of(rows: Mapping[tuple[str, Any], str], labels: str) -> records.Grid:
    asked = set_of(labels, pairs=True)
    found = [
        {"set": "test", "arm": method, "seed": seed, "answers": answers}
        for (method, seed), answers in rows.items()
    ]
    return records.Grid("development", {"test": asked}, found, [])


def test_the_old_worlds_tables_are_those_of_the_committed_records() -> None:
    made, page = tables.old_world(), (ROOT / "docs/results_old_world.md").read_text()
    told, stands = ([x for x in text.splitlines() if x[:1] == "|"] for text in (made, page))
    assert told == stands
    assert len(told) > 100


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("miniature*.yaml")))
def test_every_set_of_a_grid_has_its_words(recipe: Path) -> None:
    """Else the tables would fail after hours of runs."""
    cells = plan(recipe, Path("r"))
    names = [cell.name for cell in cells if cell.words[0] == "evaluate"]
    found = [miniature.EVALUATION.match(name) for name in names]
    assert {match["set"] for match in found if match} - {records.MAIN} <= set(tables.SETS)
    assert all(found)
    assert found


def test_accuracies_the_mix_and_paired_differences_are_those_of_a_count_by_hand() -> None:
    draw = random.Random(0)
    labels = "o" * 60 + "i" * 40
    answers = {
        (method, seed): "".join(str(draw.choice([2, 3, 7])) for _ in labels)
        for method in ("grpo", "ours")
        for seed in (1, 2, 3)
    }
    grid = grid_of(answers, labels)

    def right(method: str, label: str) -> float:
        hits = [
            int(c) & 1
            for seed in (1, 2, 3)
            for c, kind in zip(answers[method, seed], labels, strict=True)
            if kind == label
        ]
        return 100 * sum(hits) / len(hits)

    for method in ("grpo", "ours"):
        for label in "oi":
            assert records.accuracy(grid, "test", method, label).mean == pytest.approx(
                right(method, label)
            )
        mix = 0.74 * right(method, "o") + 0.26 * right(method, "i")
        assert records.accuracy(grid, "test", method, "mix").mean == pytest.approx(mix)
    gap = records.difference(grid, "test", "ours", "grpo", "i")
    assert gap is not None
    assert gap.mean == pytest.approx(right("ours", "i") - right("grpo", "i"))
    assert gap.low < gap.mean < gap.high
    digits = "".join(answers["ours", seed] for seed in (1, 2, 3))
    simulated = 100 * digits.count("7") / len(digits)
    assert records.share(grid, "test", "ours", records.SIMULATED) == pytest.approx(simulated)


def test_pairs_need_both_and_methods_without_a_common_seed_are_not_compared() -> None:
    grid = grid_of({("grpo", 1): "3322" * 10, ("ours", 2): "3323" * 10}, "oi" * 20)
    assert records.pairs_right(grid, "test", "grpo").mean == pytest.approx(50)
    assert records.difference(grid, "test", "ours", "grpo", "i") is None


def test_a_difference_without_a_loss_may_still_be_one() -> None:
    rows = {("grpo", 1): says(90, 10), ("ours", 1): says(91, 10), ("ours", 2): says(91, 10)}
    grid = grid_of(rows, HALVES)
    for label in "oi":
        gap = records.difference(grid, "test", "ours", "grpo", label)
        assert gap is not None
        assert gap.low < 0 < gap.high
        assert gap.low - gap.mean == pytest.approx(gap.mean - gap.high)
    shown = dict(zip(tables.HEAD, tables.method_row(grid, "test", "ours"), strict=True))
    assert shown["mix against GRPO"].endswith("; 1 of 2 seeds")
    assert records.accuracy(grid_of({("a", 1): says(0, 0)}, HALVES), "test", "a", "o").low == 0


def test_more_seeds_that_agree_narrow_the_interval_and_seeds_that_do_not_widen_it() -> None:
    agreeing = {("a", seed): "3232" * 25 for seed in range(4)}
    quarrel = {("a", seed): ("3333" if seed % 2 else "2222") * 25 for seed in range(4)}
    one, other = (grid_of(rows, "oooo" * 25) for rows in (agreeing, quarrel))
    narrow = records.accuracy(one, "test", "a", "o")
    wide = records.accuracy(other, "test", "a", "o")
    assert narrow.mean == wide.mean == pytest.approx(50)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


HALVES = "o" * 100 + "i" * 100


def says(observational: int, inferential: int, valid: int = 200) -> str:
    """Answers with so many of each label right, and so many valid."""
    right = [n < observational for n in range(100)] + [n < inferential for n in range(100)]
    return "".join(str(hit + 2 * (n < valid)) for n, hit in enumerate(right))


def test_the_weights_curve_and_its_conditions_are_those_counted_by_hand() -> None:
    grid = grid_of(
        {
            ("grpo", 100): says(90, 10),
            ("grpo", 101): says(90, 10),
            ("controller-1", 100): says(90, 30, valid=189),
            ("controller-0.3", 100): says(90, 40),
            ("controller-0.3", 101): says(70, 40, valid=191),
            ("controller-0.01", 100): says(90, 20, valid=190),
            ("controller-0.03", 100): says(90, 35),
            ("controller-0.1", 100): says(90, 50),
            ("controller-0.3@10", 100): says(100, 100),
            ("k3-0.3", 102): says(100, 100),
            ("k3-0.1", 100): says(88, 8),
            ("k3-0.003", 100): says(90, 14),
            ("k3-0.03", 101): says(90, 12),
        },
        HALVES,
    )
    rows = {line.split(" | ")[0][2:]: line for line in weights.weight_section([grid])}
    sweep = ["controller-0.01", "controller-0.03", "controller-0.1", "controller-0.3"]
    plain = ["k3-0.003", "k3-0.03", "k3-0.1", "k3-0.3"]
    assert [name for name in rows if "-0" in name or "-1" in name][:9] == [
        *sweep, "controller-1", *plain
    ]  # fmt: skip
    shown = rows["controller-0.3"].strip("| ").split(" | ")
    assert shown[1] == "2"
    # every other inferential question gives itself away: each part has half of the right ones
    assert [cell.split(" (")[0] for cell in shown[2:7]] == ["80.0", "40.0", "40.0", "40.0", "69.6"]
    assert shown[7:9] == ["95.5", "-7.0"]  # .74 * 70 + .26 * 40 against .74 * 90 + .26 * 10
    assert (shown[9].split(" (")[0], shown[10]) == ("+30.0", "0.75")
    assert rows["controller-1"].split(" | ")[7] == "94.5"
    assert rows["k3-0.3"].endswith(" | 100.0 |  |  |  |")
    assert verdicts([grid], "controller") == [
        "fails at 1, holds at 0.01, 0.03, 0.1 and 0.3",
        "fails at 0.3 (-7.0 at worst), holds at 0.01, 0.03, 0.1 and 1",
        "holds (from 0.03 to 1; best +40.0 at 0.1)",
    ]
    assert verdicts([grid], "k3") == [
        "holds at every weight run",
        "holds at every weight run",  # exactly 2 points below at 0.1
        "holds (from 0.003 to 0.03; best +4.0 at 0.003); at 0.3 no seed has its GRPO",
    ]


def verdicts(grids: list[records.Grid], family: str) -> list[str]:
    """What is said of valid formats, of the mix and of the gain, in this order."""
    lines = [line for line in weights.weight_section(grids) if line.startswith(f"| `{family}` | ")]
    return [line.strip("| ").split(" | ")[2] for line in lines]


def test_the_weights_section_says_no_more_than_its_records() -> None:
    assert weights.weight_section([]) == []
    assert weights.weight_section([grid_of({("grpo", 100): says(90, 10)}, HALVES)]) == []
    alone = verdicts([grid_of({("k3-0.1", 100): says(90, 20)}, HALVES)], "k3")
    assert alone == ["holds at every weight run", *["cannot be said, no seed has its GRPO"] * 2]
    two = {("grpo", 1): says(90, 10), ("k3-0.1", 1): says(90, 5), ("k3-0.3", 1): says(90, 30)}
    found = verdicts([grid_of(two, HALVES)], "k3")
    assert found[-1] == "fails (only at 0.3; best +20.0 at 0.3)"
    gains = {"0.003": 20, "0.01": 5, "0.03": 20, "0.1": 21}
    gapped = {(f"k3-{weight}", 1): says(90, 10 + gain) for weight, gain in gains.items()}
    found = verdicts([grid_of({("grpo", 1): says(90, 10), **gapped}, HALVES)], "k3")
    assert found[-1] == "fails (from 0.03 to 0.1; best +21.0 at 0.1)"
    losing = {("grpo", 1): says(90, 10), ("k3-0.1", 1): says(90, 5)}
    assert verdicts([grid_of(losing, HALVES)], "k3")[-1] == "fails, no weight gains"


def test_further_sets_say_what_they_are_whole_or_in_part() -> None:
    main = {(method, seed): says(90, 10) for method in ("grpo", "cdpo") for seed in (1, 2, 3)}
    grid = grid_of({**main, ("base", None): says(80, 20)}, HALVES)
    sets = {
        **grid.sets,
        "pairs": set_of("u" * 40, pairs=True, halves="nc" * 20),
        "seen": set_of(HALVES, prefill="<think>Seen:"),
        "six-objects": set_of("oi" * 50),
        "four-collisions": set_of("oi" * 50),
    }
    some = [
        {"set": "six-objects", "arm": method, "seed": seed, "answers": answers}
        for method, seed, answers in (
            ("cdpo", 2, "33" * 50),
            ("base", None, "32" * 50),
            ("grpo", 2, "32" * 50),
            ("grpo", 1, "32" * 50),
        )
    ]
    more = [
        {"set": "pairs", "arm": "grpo", "seed": 1, "answers": "3332" * 10},
        {"set": "seen", "arm": "base", "seed": None, "answers": says(80, 20)},
    ]
    whole = records.Grid("headline", sets, [*grid.evaluations, *some, *more], [])
    told = {line.split(" | ")[0]: line.strip("| ").split(" | ") for line in tables.set_table(whole)}
    assert "| `four-collisions`" not in told  # nobody answered it yet
    assert told["| `seen`"][1].endswith("(the answer begins `<think>Seen:`)")
    # observational, inferential, of these give-aways (every other one), scenes of two questions
    assert told["| `seen`"][2:] == ["100", "100", "50", "100"]
    assert told["| `six-objects`"][2:] == ["50", "50", "25", "50"]
    assert told["| `pairs`"][2] == "20 pairs"
    lines = tables.other_sets(whole)
    six = lines[next(n for n, line in enumerate(lines) if line.startswith("`six-objects`")) :]
    assert [line.split(" | ")[:2] for line in six[4:7]] == [
        ["| grpo", "2"], ["| cdpo", "1"], ["| base", "-"]
    ]  # fmt: skip
    assert six[5].split(" | ")[6].startswith("+100.0 (")  # paired by the one seed both have
    (halves,) = [line for line in lines if line.startswith("| grpo | 1 | ")]
    assert [cell.split(" (")[0] for cell in halves.split(" | ")[2:5]] == ["100.0", "50.0", "50.0"]


def test_a_smaller_model_is_explained_where_there_is_one() -> None:
    rows = {("grpo", 1): says(90, 10), ("grpo@small", 1): says(90, 10)}
    small = {key: value for key, value in rows.items() if key == ("grpo", 1)}
    assert tables.SMALL in "\n".join(tables.section(grid_of(rows, HALVES)))
    assert tables.SMALL not in "\n".join(tables.section(grid_of(small, HALVES)))
    assert tables.baseline("controller-0.3@small") == "grpo@small"


def test_the_erosion_condition_is_asked_at_half_too() -> None:
    rows = {
        ("base", None): says(80, 20),
        ("grpo@50", 100): says(80, 90),
        ("grpo@50", 101): says(80, 10),
    }
    grid = grid_of(rows, HALVES)
    ways = [("seen", says(90, 10)), ("without", says(70, 70))]
    prefilled = [{"set": s, "arm": "base", "seed": None, "answers": a} for s, a in ways]
    sets = grid.sets | {s: set_of(HALVES) for s, _ in ways}
    found = records.Grid("development", sets, [*grid.evaluations, *prefilled], [])
    last = tables.erosion_table([found])[-1]
    assert last == (
        "| development | 50 % | 0.100 | 0.300 | gains | +30.0 | +30.0 | 1 of 2 | as predicted |"
    )


def test_collecting_names_what_is_not_done(tmp_path: Path) -> None:
    made = "{name: w, run: world, scenes: 1, validation_scenes: 0, frames: 0}"
    text = f"cells: [{made}, {{name: late, run: world}}]"
    (tmp_path / "grid.yaml").write_text(text)
    world(WorldConfig(out=tmp_path / "w", scenes=1, validation_scenes=0, frames=0))
    found = miniature.collect(tmp_path)
    assert found["unfinished"] == ["late"]
    assert found["evaluations"] == []
