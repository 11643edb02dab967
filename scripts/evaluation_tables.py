"""Recompute the tables of docs/evaluation.md: `python scripts/evaluation_tables.py`."""

import dataclasses
import inspect
import re
from pathlib import Path

from videothinker.answering.endpoint import EndpointConfig
from videothinker.answering.variants import PROBES
from videothinker.benchmarks import catalog
from videothinker.benchmarks.catalog import resolve
from videothinker.benchmarks.protocols import Protocol
from videothinker.evaluation.config import EvaluateConfig

DOC = Path(__file__).resolve().parent.parent / "docs" / "evaluation.md"
KNOWN = {one.name: one for name in catalog.NAMES if (one := catalog.about(name)).name == name}
"""Without the second formats, which are asked and scored as the first."""
COLUMNS = (
    "protocol",
    "benchmark",
    "frames",
    "pixels a frame",
    "clip",
    "temperature, top-p",
    "tokens",
    "letters",
    "asked for",
    "read by",
)


def _pixels(protocol: Protocol) -> str:
    low, high = protocol.min_pixels, protocol.max_pixels
    return "the model's" if low is None or high is None else f"{low:,} to {high:,}"


def _row(protocol: Protocol, benchmark: str) -> str:
    rate = f", {protocol.fps:g} a second" if protocol.fps else ""
    cells = (
        protocol.name,
        benchmark,
        f"{'at most ' if protocol.fps else ''}{protocol.frames}{rate}",
        _pixels(protocol),
        "kept to" if protocol.clip else "ignored",
        f"{protocol.temperature:g}, {protocol.top_p:g}",
        f"{protocol.max_new_tokens:,}",
        "several" if protocol.several else "one",
        protocol.asked,
        protocol.reading,
    )
    return "| " + " | ".join(cells) + " |"


def protocols() -> str:
    """One row for each protocol that differs from its like."""
    rows = [
        _row(resolve("videothinker", "clevrer"), "clevrer, jsonl"),
        _row(resolve("videothinker", "mmvu"), "the other five"),
        _row(resolve("reference", "clevrer"), "all"),
        _row(resolve("demo", "clevrer"), "clevrer, jsonl"),
        *(_row(one.official, name) for name, one in KNOWN.items() if one.official),
    ]
    head = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    notes = ["| protocol | benchmark | in words |", "|---|---|---|"]
    notes += [
        f"| {name} | all | {resolve(name, 'clevrer').about} |"
        for name in ("videothinker", "reference", "demo")
    ]
    notes += [
        f"| official | {name} | {one.official.about} |"
        for name, one in KNOWN.items()
        if one.official
    ]
    return "\n".join([*head, *rows, "", *notes]) + "\n"


def benchmarks() -> str:
    """What a whole download holds."""
    lines = ["| benchmark | counts that `--check` compares |", "|---|---|"]
    for name, one in KNOWN.items():
        if not one.expected:
            continue
        counts = dict(one.expected)
        if name == "mvbench":
            counts = {"questions": counts["questions"], "each of 20 tasks": 200}
        told = ", ".join(f"{key} {n:,}" for key, n in counts.items())
        lines.append(f"| {name} | {told} |")
    return "\n".join(lines) + "\n"


def own() -> str:
    """How each benchmark's authors score an answer."""
    lines = ["| benchmark | how its authors score an answer, in our words |", "|---|---|"]
    lines += [f"| {name} | {one.own.words} |" for name, one in KNOWN.items() if one.own]
    return "\n".join(lines) + "\n"


def variants() -> str:
    """The interventions."""
    lines = ["| variant | what is shown |", "|---|---|"]
    lines += [f"| {name} | {probe.about} |" for name, probe in PROBES.items()]
    return "\n".join(lines) + "\n"


def defaults() -> str:
    """Every flag of `evaluate` with its default and what it does."""
    lines = ["| flag | default | |", "|---|---|---|"]
    for kind in (EvaluateConfig, EndpointConfig):
        source = "".join(inspect.getsource(one) for one in kind.__mro__[:-1])
        for field in dataclasses.fields(kind):
            if dataclasses.is_dataclass(field.default):
                continue
            pattern = rf'^    {field.name}: .*?"""(.*?)"""'
            found = re.search(pattern, source, re.DOTALL | re.MULTILINE)
            about = " ".join(found[1].split()) if found else ""
            value = "-" if field.default is None else field.default
            value = ", ".join(value) if isinstance(value, tuple) else value
            lines.append(f"| `--{field.name.replace('_', '-')}` | {value} | {about} |")
    return "\n".join(lines) + "\n"


TABLES = {
    "protocols": protocols,
    "benchmarks": benchmarks,
    "own": own,
    "variants": variants,
    "defaults": defaults,
}


def replaced(doc: str) -> str:
    """The page with every table replaced."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        head, _, rest = doc.partition(begin)
        doc = head + begin + make() + end + rest.partition(end)[2]
    return doc


if __name__ == "__main__":
    DOC.write_text(replaced(DOC.read_text(encoding="utf-8")), encoding="utf-8")
