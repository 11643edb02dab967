"""docs/deploy.md: its Python blocks run, and its table is the committed record's."""

import importlib.util
import json

import pytest

from benchmarks.quantized import table
from tests.docs.docs_blocks import DOCS, blocks

BLOCKS = [code for _, code in blocks("deploy.md", "python")]


def test_plain_transformers_needs_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DOCS.parent)
    assert "videothinker" not in BLOCKS[0]
    names: dict[str, object] = {}
    exec(BLOCKS[0], names)
    assert isinstance(names["answer"], str)
    assert names["answer"]


def test_int8_is_taken_by_the_loaded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("torchao") is None:
        pytest.skip("SKIPPED, int8 WAS NOT TRIED: no torchao; pip install '.[quantized]'")
    monkeypatch.chdir(DOCS.parent)
    names: dict[str, object] = {}
    exec(BLOCKS[1], names)
    kinds = {type(p).__name__ for p in names["policy"].model.parameters()}  # type: ignore[union-attr]
    assert "Int8Tensor" in kinds


def test_the_table_is_the_record() -> None:
    told = json.loads((DOCS.parent / "benchmarks" / "results" / "quantized.json").read_text())
    text = (DOCS / "deploy.md").read_text()
    begin, end = "<!-- quantized: begin -->\n", "\n<!-- quantized: end -->"
    assert text.split(begin)[1].split(end)[0] == table(told)
