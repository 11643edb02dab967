"""Numbers others published, to stand beside ours: always marked, never mixed with our own.

From "Beyond Perceptual Shortcuts: Causal-Inspired Debiasing Optimization for Generalizable Video
Reasoning in Lightweight MLLMs" (CVPR 2026, arXiv 2605.01324). Percent. It states neither intervals
nor the number of questions a cell; a cell it leaves empty is None.
"""

from dataclasses import dataclass
from typing import Literal

SOURCE = "arXiv 2605.01324"
MAIN_COLUMNS = ("clevrer", "mmvu", "video-holmes", "mvbench", "tempcompass", "videomme")
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
    Row("main", "Qwen2.5-VL-3B (CoT)", None, (44.7, 52.8, 32.5, 49.6, 30.0, 52.0)),
    Row("main", "VideoRFT-3B", "110K SFT+RL", (59.3, 55.1, 33.0, 59.5, 61.0, 45.4)),
    Row("main", "Qwen2.5-VL-GRPO", "1K RL", (64.9, 52.0, 32.3, 54.9, 41.4, 50.3)),
    Row("main", "Video-UTR-7B", None, (None, None, None, 58.8, 59.7, 52.6)),
    Row("main", "VideoThinker-R1 3B", "1K RL", (79.1, 56.8, 34.3, 60.9, 63.5, 52.4)),
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
    found = {
        "main": MAIN_COLUMNS,
        "ablation": ABLATION_COLUMNS,
        "diagnostic": DIAGNOSTIC_COLUMNS,
    }
    return found[table]


def rows(table: str) -> tuple[Row, ...]:
    """The published rows of a table, in the paper's order."""
    return tuple(row for row in ROWS if row.table == table)
