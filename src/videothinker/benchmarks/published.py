"""Numbers others published, to stand beside ours: always marked, never mixed with our own.

From "Beyond Perceptual Shortcuts: Causal-Inspired Debiasing Optimization for Generalizable Video
Reasoning in Lightweight MLLMs" (CVPR 2026, arXiv 2605.01324). Percent. It states neither intervals
nor the number of questions a cell; a cell it leaves empty is None. The main table's figures stand
in the benchmarks' files; here are its models, and the tables that are of no benchmark.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from videothinker.benchmarks import catalog

SOURCE = "arXiv 2605.01324"
MAIN = {
    "Qwen2.5-VL-3B (CoT)": None,
    "VideoRFT-3B": "110K SFT+RL",
    "Qwen2.5-VL-GRPO": "1K RL",
    "Video-UTR-7B": None,
    "VideoThinker-R1 3B": "1K RL",
}
"""Model -> what it was trained on, in the paper's order."""
ABLATION_COLUMNS = ("clevrer", "mmvu")
DIAGNOSTIC_COLUMNS = ("observational", "inferential")


@dataclass(frozen=True)
class Row:
    """One published row of one table."""

    table: Literal["main", "ablation", "diagnostic"]
    model: str
    data: str | None
    """What it was trained on, as the paper says it."""
    values: tuple[float | None, ...]
    """In the order of the table's columns."""
    source: str = SOURCE


ROWS: tuple[Row, ...] = (
    Row("ablation", "repel the initial policy", "1K RL", (63.3, 53.3)),
    Row("ablation", "repel VideoRFT-3B", "1K RL", (75.4, 53.1)),
    Row("ablation", "repel the bias model", "1K RL", (79.1, 56.8)),
    Row("ablation", "attract to the bias model", "1K RL", (74.3, 52.6)),
    Row("diagnostic", "Qwen2.5-VL-3B", None, (67.4, 73.9)),
    Row("diagnostic", "Qwen2.5-VL-GRPO", "1K RL", (76.4, 63.1)),
    Row("diagnostic", "VideoRFT-3B", "110K SFT+RL", (75.8, 68.9)),
    Row("diagnostic", "Qwen2.5-VL-7B", None, (76.0, 64.5)),
    Row("diagnostic", "VideoRFT-7B", None, (78.7, 64.5)),
)


def columns(table: str) -> tuple[str, ...]:
    """The columns of a table: benchmarks, or labels."""
    if table == "main":
        return tuple(name for name in catalog.NAMES if _figures(name))
    return {"ablation": ABLATION_COLUMNS, "diagnostic": DIAGNOSTIC_COLUMNS}[table]


def rows(table: str) -> tuple[Row, ...]:
    """The published rows of a table, in the paper's order."""
    if table != "main":
        return tuple(row for row in ROWS if row.table == table)
    figures = [_figures(name) for name in columns("main")]
    return tuple(
        Row("main", model, data, tuple(column.get(model) for column in figures))
        for model, data in MAIN.items()
    )


def _figures(name: str) -> Mapping[str, float]:
    """Model -> percent; nothing of a benchmark that is another in a second format."""
    found = catalog.about(name)
    return found.published if found.name == name else {}
