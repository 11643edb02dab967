"""The tables of docs/evaluation.md are what the code says."""

import runpy
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def test_the_documented_tables_are_the_codes():
    script = runpy.run_path(str(REPO / "scripts" / "evaluation_tables.py"))
    doc = (REPO / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert script["replaced"](doc) == doc, "run: python scripts/evaluation_tables.py"
    assert "`--rows`" in doc
    assert "105,369" in doc
