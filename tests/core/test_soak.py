"""Files changed at random: a short version of `make soak`, and what its long one has counted."""

import json
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]
RECORD = REPO / "benchmarks/results/soak.json"


def soak(record: Path, goal: int) -> dict[str, dict[str, int]]:
    script = str(REPO / "benchmarks/soak.py")
    command = [sys.executable, script, "--goal", str(goal), "--record", str(record)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == json.loads(record.read_text())
    return json.loads(record.read_text())


def test_every_reader_takes_or_refuses_and_counts_add_up(tmp_path: Path) -> None:
    """In two runs as in one: a trial's change is drawn from its number alone."""
    soak(tmp_path / "two.json", 30)
    found = soak(tmp_path / "two.json", 60)
    assert found == soak(tmp_path / "one.json", 60)
    assert all(sum(counts.values()) == 60 for counts in found.values())
    # nobody refuses everything or takes everything; any text is some answer
    assert all(min(counts.values()) for name, counts in found.items() if name != "answers")


def test_the_page_tells_what_was_counted() -> None:
    page = (REPO / "docs/reliability.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    told = {row[0]: row[1:] for row in rows}
    for name, counts in json.loads(RECORD.read_text()).items():
        assert told[name] == [f"{counts['taken']:,}", f"{counts['refused']:,}"]
