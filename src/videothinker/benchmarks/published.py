"""Numbers others published, to stand beside ours: always marked, never mixed with our own.

From "Beyond Perceptual Shortcuts: Causal-Inspired Debiasing Optimization for Generalizable Video
Reasoning in Lightweight MLLMs" (CVPR 2026, arXiv 2605.01324). Percent. It states neither intervals
nor the number of questions a cell; a cell it leaves empty is None. The main table's figures stand
in the benchmarks' files; here are its models, and the tables that are of no benchmark.
"""

from dataclasses import dataclass
from typing import Literal

from videothinker.benchmarks import catalog

SOURCE = "arXiv 2605.01324"
MODELS = {
    "Qwen2.5-VL-3B (CoT)": None,
    "VideoRFT-3B": "110K SFT+RL",
    "Qwen2.5-VL-GRPO": "1K RL",
    "Video-UTR-7B": None,
    "VideoThinker-R1 3B": "1K RL",
}
"""Of the main table, in its order: model -> what it was trained on."""
ABLATION_COLUMNS = ("clevrer", "mmvu")
DIAGNOSTIC_COLUMNS = ("observational", "inferential")


@dataclass(frozen=True)
class PublishedRow:
    """One published row of one table."""

    table: Literal["main", "ablation", "diagnostic"]
    model: str
    data: str | None
    """What it was trained on, as the paper says it."""
    values: tuple[float | None, ...]
    """In the order of the table's columns."""
    source: str = SOURCE


ROWS: tuple[PublishedRow, ...] = (
    PublishedRow("ablation", "repel the initial policy", "1K RL", (63.3, 53.3)),
    PublishedRow("ablation", "repel VideoRFT-3B", "1K RL", (75.4, 53.1)),
    PublishedRow("ablation", "repel the bias model", "1K RL", (79.1, 56.8)),
    PublishedRow("ablation", "attract to the bias model", "1K RL", (74.3, 52.6)),
    PublishedRow("diagnostic", "Qwen2.5-VL-3B", None, (67.4, 73.9)),
    PublishedRow("diagnostic", "Qwen2.5-VL-GRPO", "1K RL", (76.4, 63.1)),
    PublishedRow("diagnostic", "VideoRFT-3B", "110K SFT+RL", (75.8, 68.9)),
    PublishedRow("diagnostic", "Qwen2.5-VL-7B", None, (76.0, 64.5)),
    PublishedRow("diagnostic", "VideoRFT-7B", None, (78.7, 64.5)),
)


def _main() -> dict[str, tuple[float | None, ...]]:
    """Benchmark -> its column; a second format of one has none of its own."""
    known = (catalog.about(name) for name in catalog.NAMES)
    return {one.name: one.published for one in known if one.published}


def columns(table: str) -> tuple[str, ...]:
    """The columns of a table: benchmarks, or labels."""
    found = {"ablation": ABLATION_COLUMNS, "diagnostic": DIAGNOSTIC_COLUMNS}
    return tuple(_main()) if table == "main" else found[table]


def rows(table: str) -> tuple[PublishedRow, ...]:
    """The published rows of a table, in the paper's order."""
    if table != "main":
        return tuple(row for row in ROWS if row.table == table)
    values = zip(*_main().values(), strict=True)
    return tuple(
        PublishedRow("main", *model, row) for model, row in zip(MODELS.items(), values, strict=True)
    )
