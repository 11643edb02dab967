"""The page on questions that do not give themselves away: estimates by hand, and its figure."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import miniature  # noqa: E402
import miniature_families as families  # noqa: E402
import miniature_kinds as kinds  # noqa: E402
import miniature_records as records  # noqa: E402
import miniature_results as results  # noqa: E402

from videothinker.records import Question, Sample  # noqa: E402

TEST = records.MAIN


def grid(**answers: dict[int | None, str]) -> records.Grid:
    """Three families of a scene each; `SET__METHOD` -> seed -> 1 (right) or 0 a question."""
    sets, found = {}, []
    for name, by_seed in answers.items():
        where, method = name.split("__")
        sets[where] = {
            "labels": "oioioi",
            "scenes": list("aabbcc"),
            "pairs": ["x", "x", "y", "y", "z", "z"],
            "prefill": "",
            "shortcut": "101011",
        }
        found += [
            {"set": where, "arm": method, "seed": seed, "answers": marks}
            for seed, marks in by_seed.items()
        ]
    return records.Grid("families", sets, found, [])


def test_a_family_is_right_where_both_its_questions_are() -> None:
    made = grid(test__grpo={1: "101101", 2: "111000"}, test__exact={1: "111111", 3: "000000"})
    assert families.whole_by_seed(made, TEST, "grpo") == [[0, 1, 0], [1, 0, 0]]
    assert families.points(made, TEST, "grpo", "f") == pytest.approx([100 / 3, 100 / 3])
    gap = families.whole_difference(made, "exact", "grpo")
    assert gap is not None
    assert gap.mean == pytest.approx(200 / 3)  # of seed 1, the only one that both have
    assert families.whole_difference(made, "exact", "families") is None
    assert families.shortcut(made) == pytest.approx({"o": 100, "i": 100 / 3, "f": 100 / 3})


def test_an_answer_follows_where_another_object_changes_it() -> None:
    """Three families: two answers, one answer twice, and one question alone."""
    asked = [("a", "x", "A"), ("b", "x", "B"), ("c", "y", "A"), ("d", "y", "A"), ("e", "z", "A")]
    questions = [
        Question(id=name, dataset="d", split="s", question="?", choices=("1", "2"), answer=("A",),
                 type="t", groups={"family": family})
        for name, family, _ in asked
    ]  # fmt: skip
    samples = {
        name: Sample(question_id=name, model="m", protocol="p", verdict="ok", answer=(picked,))
        for name, _, picked in asked
    }
    assert miniature.following(questions, samples) == {"a", "b"}
    kept = "".join(miniature.digit(samples[name], "", follows=name in "ab") for name, *_ in asked)
    assert kept == "88000"


def test_the_share_that_follows_is_of_families() -> None:
    made = grid(test__grpo={1: "88aaff", 2: "880000"}, without__base={None: "880000"})
    rows = {row.split(" | ")[0][2:]: row for row in results.follow_table((made, made))}
    assert "66.7" in rows["GRPO"]
    assert "33.3" in rows["the base made to simulate"]
    assert rows["bias-failure sampling"].count("-") == 3  # its own hyphen, and no seeds in either


def test_two_sizes_are_compared_on_the_seeds_that_both_have() -> None:
    larger = {"grpo": {1: "000000", 2: "111111"}, "bias-failure": {1: "111111", 2: "000000"}}
    smaller = {"grpo": {1: "110000"}, "bias-failure": {1: "111100"}}
    grids = [grid(**{f"test__{a}": s for a, s in one.items()}) for one in (larger, smaller)]
    rows = [row for row in results.size_table(*grids) if "bias-failure" in row]
    assert ["+100.0" in rows[0], "+33.3" in rows[1]] == [True, True]


def test_compute_counts_the_bias_model_and_what_was_measured_once() -> None:
    def run(
        method: str, seed: int, drawn: int, measured: int = 0, bias: str | None = None, **more: int
    ) -> Any:
        reused = "both--s1/success.jsonl" if method == "again" else None
        return {
            "arm": method, "seed": seed, "completions": drawn, "measured": measured, "bias": bias,
            "config": {"success": reused}, **more,
        }  # fmt: skip

    trainings = [
        *(run("bias", 20, 300), run("grpo", 1, 90), run("grpo", 2, 110), run("exact", 1, 100)),
        *(run("both", 1, 100, 50, "bias--s20"), run("both", 2, 100, 0, "bias--s20")),
        run("generic", 1, 100, bias="grpo--s2"),
        *(run("again", 1, 100), run("probed", 1, 100, probed=20)),
    ]
    made = records.Grid("families", {}, [], trainings)
    shown = [
        families.compute(made, method) for method in ("grpo", "exact", "both", "generic", "again")
    ]
    assert shown == ["1.0", "1.0", "4.5", "2.1", "1.5"]
    assert families.compute(made, "probed") == "1.2"  # its questions were labelled by a model


def test_break_even_of_drawn_answers_by_hand() -> None:
    """Describing 3 of 3 and none, simulating 2 of 3 and 2 of 3: a cost of one for a gain of two."""
    ways = {"seen-drawn__base": {None: "101010"}, "without-drawn__base": {None: "111001"}}
    found = kinds.drawn_share(grid(**ways))
    assert found.mean == pytest.approx(100 / 3)
    assert 0 <= found.low < found.mean < found.high <= 100


def test_answers_are_counted_by_kind_of_question() -> None:
    """Of three inferential questions one is gone, one new, one both; a rule suffices for one."""
    made = grid(test__grpo={1: "130707", 2: "333333"})
    made.sets[TEST]["changes"] = "-g-n-b"
    head, _, row = kinds.kinds_table(made)
    assert "1 families where a rule suffices | 2 where none does" in head
    assert row == "| GRPO | 100.0 | 100.0 | 100.0 | 50.0 | 75.0 |"
    made.sets[TEST]["shortcut"] = "101010"
    head, _, row = kinds.kinds_table(made)
    assert "0 families where a rule suffices" in head
    assert " | - | " in row


def test_what_answers_open_with_is_counted_by_seed() -> None:
    made = grid(test__grpo={1: "777777", 2: "111111"}, test__exact={1: "373737", 2: "737373"})
    plain, ours = kinds.answers_table(made)[2:]
    assert plain == "| GRPO | 100.0 |  |  | 1 of 2 | 50.0 |"
    assert ours == "| GRPO, exact reward | 100.0 | +0.0 to +0.0 | 0 of 2 | 0 of 2 | 100.0 |"


def test_the_figure_has_a_dot_a_seed_in_each_panel_and_the_base_as_a_line() -> None:
    made = grid(test__grpo={1: "101101", 2: "111000"}, without__base={None: "111101"})
    drawn = ET.fromstring(families.figure(made))
    kinds = [one.tag.rpartition("}")[2] for one in drawn.iter()]
    assert kinds.count("circle") == 2 * len(families.PANELS)
    lines = [one for one in drawn.iter() if one.get("class") == "base"]
    assert len(lines) == len(families.PANELS)
    assert families.METHODS["grpo"] in [one.text for one in drawn.iter()]


@pytest.mark.parametrize("name", ["miniature", "miniature-video", "miniature-small"])
def test_every_method_of_a_recipe_has_its_words(name: str) -> None:
    from videothinker.grids import plan

    cells = [cell.name for cell in plan(ROOT / "recipes" / f"{name}.yaml", Path("r"))]
    trained = {
        method for cell in cells if (method := cell.rpartition("--s")[0]) and "--" not in method
    }
    tested = {cell.split("--")[1] for cell in cells if cell.startswith(f"{records.MAIN}--")}
    assert trained & tested - {"bias"}
    assert trained & tested - {"bias", "bias-probed", "bias-struck"} <= set(families.METHODS)


def test_the_figures_are_drawn_from_the_committed_records() -> None:
    assert {path.name for path in families.figures()} == {"families.svg", "families_video.svg"}
    assert all(path.read_text() == drawn for path, drawn in families.figures().items())
