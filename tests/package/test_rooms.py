"""A test lies in its source's room and begins with its name, or in a room with its own rule."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
FREE = ("docs", "package", "whole")
"""Pages, the package as a whole, and kinds that every room must keep."""


def source(room: Path) -> Path:
    """`core` holds the modules outside the rooms, `scripts` those of benchmarks/."""
    own = {"core": ROOT / "src" / "videothinker", "scripts": ROOT / "benchmarks"}
    return own.get(str(room), ROOT / "src" / "videothinker" / room)


def test_a_test_is_named_after_its_source() -> None:
    stray = []
    for path in TESTS.rglob("test_*.py"):
        room = path.parent.relative_to(TESTS)
        named = {one.stem for one in source(room).glob("*.py")}
        parts = path.stem.removeprefix("test_").split("_")
        begins = {"_".join(parts[:n]) for n in range(1, len(parts) + 1)}
        if str(room) not in FREE and not named & begins:
            stray.append(str(path.relative_to(TESTS)))
    assert stray == []
