"""Recompute the table of docs/answers.md from the log of real rollouts.

python scripts/answers_table.py ../shared/data/rollouts/qwen7b_clevrer_rollouts.log
"""

import re
import sys
from collections import Counter
from pathlib import Path

from videothinker.answers import parse

DOC = Path(__file__).resolve().parent.parent / "docs" / "answers.md"
BEGIN, END = "<!-- rollouts: begin -->\n", "<!-- rollouts: end -->"
START = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - [\d-]+ \| Model output: ", re.MULTILINE)


def rollouts(log: Path) -> list[str]:
    """The completions of a training log, without the log's own verdicts."""
    entries = START.split(log.read_text(encoding="utf-8"))[1:]
    return [entry.rpartition(" | Calculated reward: ")[0] for entry in entries]


def kind(text: str) -> str:
    """How the tags of a completion stand."""
    tags = re.findall(r"</?(?:think|answer)>", text)
    if tags == ["<think>", "</think>", "<answer>", "</answer>"]:
        return "one thinking block, one answer block"
    if tags == ["<answer>", "</answer>"]:
        return "an answer block, no thinking block"
    if "<answer>" in tags and "</answer>" in tags:
        return "an answer block, thinking blocks unpaired or repeated"
    return "no complete answer block" if tags else "no tag at all"


def table(log: Path) -> str:
    """Markdown: how the tags stand -> completions, strict verdicts, lenient answers, format."""
    rows: dict[str, Counter[str]] = {}
    for text in rollouts(log):
        parsed = parse(text, ("", "", "", ""), truncated=False)
        row = rows.setdefault(kind(text), Counter())
        row.update(["all", parsed.verdict])
        row["lenient"] += parsed.lenient is not None
        row["format"] += parsed.format
    total = sum(rows.values(), Counter())
    columns = ("all", "ok", "unparsed", "lenient", "format")
    lines = [
        "| tags | completions | strict: ok | strict: unparsed | lenient: read | format |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    ordered = sorted(rows.items(), key=lambda item: -item[1]["all"])
    for name, row in [*ordered, ("**all**", total)]:
        lines.append(f"| {name} | " + " | ".join(f"{row[c]:,}" for c in columns) + " |")
    return "\n".join(lines) + "\n"


def replaced(doc: str, new: str) -> str:
    """The page with its table replaced."""
    head, _, rest = doc.partition(BEGIN)
    return head + BEGIN + new + END + rest.partition(END)[2]


if __name__ == "__main__":
    DOC.write_text(replaced(DOC.read_text(encoding="utf-8"), table(Path(sys.argv[1]))))
