"""What happens when things go wrong? Trials drawn at random, whose counts add up in a record.

    python benchmarks/soak.py [PART ...] [--minutes 10] [--goal N] [--only KIND ...] [--record FILE]
    make soak MINUTES=10 [PARTS="kills page"]

Each part goes on where the record says that it stopped, and stops at its goal or when its share of
the time is over. A trial that finds something prints what, keeps what it needs to be repeated, and
ends with code 1. The last line is the record as JSON.
"""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

from soak_record import Record, tables

RECORD = Path(__file__).parent / "results" / "soak.json"
PARTS = {
    "files": "a file changed at random is read or refused in a sentence",
    "kills": "every stage, killed at random moments, resumes to the same bytes",
    "faults": "every stage, its disk full, its clock set back ...: a sentence, and the same bytes",
    "writes": "every stage, each of its writes refused once: a sentence, and the same bytes",
    "network": "an endpoint and a hub that go away in the middle: a sentence, and the same bytes",
    "videos": "every container, codec and damage: the right frames, or a sentence",
    "page": "hostile text in a report runs nothing and fetches nothing",
    "large": "four and sixteen times as many scenes and questions: no more time for each",
    "long": "10,000 training steps and 20,000 scenes in flat memory and time",
}


def main() -> int:
    """Run within the time given."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="; ".join(f"{part}: {about}" for part, about in PARTS.items()),
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--minutes", type=float, default=10, help="shared by the parts")
    parser.add_argument("--goal", type=int, help="trials of each kind; the part's own by default")
    about = "kinds of trial whose names hold one of these"
    parser.add_argument("--only", nargs="+", default=(), metavar="KIND", help=about)
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--tables", action="store_true", help="only print the record, in Markdown")
    given = parser.parse_args()
    if given.tables:
        sys.stdout.write("\n\n".join(tables(given.record).values()) + "\n")
        return 0
    parts = given.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    ends = time.monotonic() + 60 * given.minutes
    for number, part in enumerate(parts):
        share = (ends - time.monotonic()) / (len(parts) - number)
        part_ends = time.monotonic() + max(0.0, share)
        record = Record(given.record, part, part_ends, given.goal, given.only)
        importlib.import_module(f"soak_{part}").soak(record)
        record.save()
        for name, counts in record.table.items():
            told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())
            sys.stdout.write(f"{part}: {name}: {told}\n")
    sys.stdout.write(json.dumps(json.loads(given.record.read_text())) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
