"""docs/results.md is what the committed records say, and the estimates are what they claim."""

import random
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import miniature  # noqa: E402
import miniature_records as records  # noqa: E402
import miniature_tables as tables  # noqa: E402

from videothinker.world.config import WorldConfig  # noqa: E402
from videothinker.world.stage import world  # noqa: E402


def grid_of(rows: dict[tuple[str, int | None], str], labels: str) -> records.Grid:
    asked = {
        "labels": labels,
        "scenes": [str(n // 2) for n in range(len(labels))],
        "pairs": [str(n // 2) for n in range(len(labels))],
        "prefill": "",
    }
    found = [
        {"set": "test", "arm": arm, "seed": seed, "answers": answers}
        for (arm, seed), answers in rows.items()
    ]
    return records.Grid("development", {"test": asked}, found, [])


def test_the_page_is_made_of_the_committed_records() -> None:
    assert (ROOT / "docs" / "results.md").read_text() == tables.page()


def test_accuracies_the_mix_and_paired_differences_are_those_of_a_count_by_hand() -> None:
    draw = random.Random(0)
    labels = "o" * 60 + "i" * 40
    answers = {
        (arm, seed): "".join(str(draw.choice([2, 3, 7])) for _ in labels)
        for arm in ("grpo", "ours")
        for seed in (1, 2, 3)
    }
    grid = grid_of(answers, labels)

    def right(arm: str, label: str) -> float:
        hits = [
            int(c) & 1
            for seed in (1, 2, 3)
            for c, kind in zip(answers[arm, seed], labels, strict=True)
            if kind == label
        ]
        return 100 * sum(hits) / len(hits)

    for arm in ("grpo", "ours"):
        for label in "oi":
            assert records.accuracy(grid, "test", arm, label).mean == pytest.approx(
                right(arm, label)
            )
        mix = 0.74 * right(arm, "o") + 0.26 * right(arm, "i")
        assert records.accuracy(grid, "test", arm, "mix").mean == pytest.approx(mix)
    gap = records.difference(grid, "test", "ours", "grpo", "i")
    assert gap is not None
    assert gap.mean == pytest.approx(right("ours", "i") - right("grpo", "i"))
    assert gap.low < gap.mean < gap.high
    digits = "".join(answers["ours", seed] for seed in (1, 2, 3))
    simulated = 100 * digits.count("7") / len(digits)
    assert records.share(grid, "test", "ours", records.SIMULATED) == pytest.approx(simulated)


def test_pairs_need_both_and_arms_without_a_common_seed_are_not_compared() -> None:
    grid = grid_of({("grpo", 1): "3322" * 10, ("ours", 2): "3323" * 10}, "oi" * 20)
    assert records.pairs_right(grid, "test", "grpo").mean == pytest.approx(50)
    assert records.difference(grid, "test", "ours", "grpo", "i") is None


def test_more_seeds_that_agree_narrow_the_interval_and_seeds_that_do_not_widen_it() -> None:
    agreeing = {("a", seed): "3232" * 25 for seed in range(4)}
    quarrel = {("a", seed): ("3333" if seed % 2 else "2222") * 25 for seed in range(4)}
    one, other = (grid_of(rows, "oooo" * 25) for rows in (agreeing, quarrel))
    narrow = records.accuracy(one, "test", "a", "o")
    wide = records.accuracy(other, "test", "a", "o")
    assert narrow.mean == wide.mean == pytest.approx(50)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_collecting_names_what_is_not_done(tmp_path: Path) -> None:
    made = "{name: w, run: world, scenes: 1, validation_scenes: 0, frames: 0}"
    text = f"cells: [{made}, {{name: late, run: world}}]"
    (tmp_path / "grid.yaml").write_text(text)
    world(WorldConfig(out=tmp_path / "w", scenes=1, validation_scenes=0, frames=0))
    found = miniature.collect(tmp_path)
    assert found["unfinished"] == ["late"]
    assert found["evaluations"] == []
