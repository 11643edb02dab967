"""Published rows: complete, and equal to the facts they were taken from."""

import re

from videothinker.benchmarks import catalog, published


def test_every_row_fills_its_table():
    for table in ("main", "ablation", "diagnostic"):
        found = published.rows(table)
        assert found
        for row in found:
            assert len(row.values) == len(published.columns(table))
            assert row.source == "arXiv 2605.01324"
            assert all(v is None or 0 < v < 100 for v in row.values)


def test_the_main_table_is_the_one_of_the_facts(shared):
    text = (shared.parent / "facts" / "method.md").read_text()
    lines = [
        line for line in text.splitlines() if line.count("|") == 9 and re.search(r"\d\.\d", line)
    ]
    told = {}
    for line in lines:
        name, _, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        told[name] = tuple(None if cell == "-" else float(cell) for cell in cells)
    assert told == {row.model: row.values for row in published.rows("main")}


def test_the_gain_the_paper_claims_is_in_the_rows():
    by_name = {row.model: row.values for row in published.rows("diagnostic")}
    base, grpo = by_name["Qwen2.5-VL-3B"], by_name["Qwen2.5-VL-GRPO"]
    assert grpo[0] > base[0]
    assert grpo[1] < base[1]


def test_a_benchmark_has_a_figure_of_every_model_or_none():
    for name in catalog.NAMES:
        assert len(catalog.about(name).published) in (0, len(published.MODELS))
