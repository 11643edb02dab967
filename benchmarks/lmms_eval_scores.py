"""Does lmms-eval with our exported task score stored answers as our own evaluation does?

Needs an environment of lmms-eval 0.7.3 with its own pins, which are not ours:

    python -m venv lmms-env && lmms-env/bin/pip install lmms-eval==0.7.3 msgspec "filelock<4"
    python benchmarks/lmms_eval_scores.py --lmms lmms-env/bin/lmms-eval --data runs/diagnosis \
        --evaluation runs/evaluate --out runs/lmms-eval

The evaluate run is of the diagnose folder's questions. Its answers are given to lmms-eval as those
of its model `from_log`. The last line is JSON: each metric there and here; they must be equal.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from videothinker import cli
from videothinker.records import Sample, read_jsonl

GROUPS = {
    "exact": "all",
    "observational": "observational",
    "inferential": "inferential",
    "inferential_give_aways": "inferential, give-aways",
    "inferential_the_rest": "inferential, the rest",
}
"""Their metric -> our line."""


def write_log(task: Path, evaluation: Path, name: str) -> Path:
    """The stored answers as a log of lmms-eval."""
    samples = read_jsonl(evaluation / "samples.jsonl", Sample)
    said = {s.question_id: s.text for s in samples if s.variant == "full" and s.seed == 0}
    rows = [json.loads(line) for line in (task / "rows.jsonl").read_text().splitlines()]
    logs = [{"doc_id": i, "resps": [[said[row["question_id"]]]]} for i, row in enumerate(rows)]
    header = {"args": {"model": "stored", "model_args": "", "limit": None}, "time": "0101_0000"}
    folder = task / "logs"
    folder.mkdir()
    log = {**header, "model_configs": {"task": name}, "logs": logs}
    (folder / "stored.json").write_text(json.dumps(log))
    return folder


def scores(lmms: Path, task: Path, name: str, logs: Path) -> dict[str, float]:
    """What lmms-eval makes of them."""
    words = ["eval", "--model", "from_log", "--model_args", f"logs={logs}", "--tasks", name]
    words += ["--include_path", str(task), "--batch_size", "1", "--output_path", str(task / "out")]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run(
        [lmms, *words], env=environment, capture_output=True, text=True, check=False
    )
    (task / "log.txt").write_text(done.stdout + done.stderr)
    found = sorted((task / "out").rglob("*results.json"))
    if done.returncode or not found:
        sys.exit(f"lmms-eval failed; the end of its log:\n{(done.stdout + done.stderr)[-3000:]}")
    told: dict[str, Any] = json.loads(found[-1].read_text())["results"][name]
    named = {key.partition(",")[0]: value for key, value in told.items()}
    return {metric: named[metric] for metric in GROUPS if metric in named}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lmms", type=Path, required=True, help="its `lmms-eval` command")
    parser.add_argument("--data", type=Path, required=True, help="a diagnose folder")
    parser.add_argument("--evaluation", type=Path, required=True, help="an evaluate run of it")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    given = parser.parse_args()
    out = given.out.resolve()
    words = ["--to", "lmms-eval", "--data", str(given.data), "--out", str(out)]
    if cli.main(["export", *words]):
        sys.exit("the export failed")
    name = next(out.glob("*.yaml")).stem
    theirs = scores(given.lmms.absolute(), out, name, write_log(out, given.evaluation, name))
    lines = json.loads((given.evaluation / "summary.json").read_text())["lines"]
    ours = {line["group"]: line["exact"]["value"] for line in lines}
    found = {metric: [value, ours[GROUPS[metric]]] for metric, value in theirs.items()}
    assert found, "lmms-eval told no score"
    assert all(abs(one - other) < 1e-9 for one, other in found.values()), found
    print(json.dumps(found))


if __name__ == "__main__":
    main()
