"""The list of benchmarks, and a new one added by the steps of CONTRIBUTING.md."""

import json
import shutil
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import videothinker
from tests.warm import anew
from videothinker.benchmarks import catalog
from videothinker.diagnosis.config import DiagnoseConfig
from videothinker.errors import UserError
from videothinker.evaluation.config import EvaluateConfig

TOY = '''
"""A toy benchmark."""

from pathlib import Path

import msgspec

from videothinker.benchmarks.base import Benchmark, OwnMetric
from videothinker.benchmarks.protocols import Protocol
from videothinker.benchmarks.rows import Place, only_letter, read_rows
from videothinker.records import Question


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One item as published."""

    name: str
    ask: str
    options: list[str]
    right: str


def _question(row: Row, where: Place) -> Question:
    return Question(
        id=f"toy/{row.name}", dataset="toy", split="test", video=f"{row.name}.mp4",
        question=row.ask, choices=tuple(row.options),
        answer=only_letter(row.right, row.options, where), type="t",
    )


BENCHMARK = Benchmark(
    name="toy",
    expected={"questions": 2},
    official=Protocol(about="ours", template="{question}\\n{choices}"),
    own=OwnMetric("its first letter", lambda question, text: "right"),
    published=(None, 50.0, None, None, None),
)


def load(root: Path) -> Benchmark:
    """Two items."""
    path = root / "rows.json"
    return BENCHMARK.of(read_rows(path, Row, _question), path)
'''

FOLLOWED = """
import sys
from pathlib import Path
from videothinker.benchmarks import catalog, published
from videothinker.cli import main, parse
folder = Path(sys.argv[1])
check = ["evaluate", "--benchmark", "toy", "--data", str(folder), "--check"]
print(main(check), "===")
(folder / "b.mp4").write_bytes(b"not empty")
print(main(check), "===")
print(catalog.resolve("official", "toy").template, published.columns("main"))
_, (_, config), _ = parse(["diagnose", "d", "--benchmark", "toy"])
print("benchmark may be", config.benchmark)
"""


def test_every_name_has_its_file():
    for name in catalog.NAMES:
        found = catalog.about(name)
        assert found.name == name.removesuffix("-list")
        assert catalog.resolve("videothinker", name).benchmark == found.name


def test_the_flags_take_the_names_from_the_list():
    assert get_args(get_type_hints(EvaluateConfig)["benchmark"]) == catalog.NAMES
    asked = get_args(get_type_hints(DiagnoseConfig)["benchmark"])
    assert {name for one in asked for name in get_args(one)} == set(catalog.NAMES)


def test_an_unknown_benchmark_is_refused():
    with pytest.raises(UserError, match="video-holmes"):
        catalog.load("mvbnch", Path())


def test_a_new_one_is_one_file_and_one_line(warm, tmp_path):
    source = Path(videothinker.__file__).parent
    copy = tmp_path / "src" / "videothinker"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "benchmarks" / "toy.py").write_text(TOY)
    listed = copy / "benchmarks" / "catalog.py"
    listed.write_text(
        listed.read_text().replace("Name = Literal[\n", 'Name = Literal[\n    "toy",\n')
    )
    rows = [{"name": n, "ask": "Which?", "options": ["x", "y"], "right": "B"} for n in "ab"]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "a.mp4").write_bytes(b"not empty")

    code = anew(copy.parent) + FOLLOWED
    done = warm.run("-c", code, str(tmp_path), cwd=tmp_path, env={"COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    missing, whole, told = done.stdout.split("===")
    assert (missing.split()[-1], whole.split()[-1]) == ("2", "0")
    assert "1 of 2 questions" in done.stderr  # b.mp4 is missing
    assert "{choices}" in told
    assert "'toy'" in told
    assert "benchmark may be toy" in told
