"""What weight-only int8 and int4 (torchao) cost the shipped bases: accuracy by label, and speed.

    pip install '.[quantized]'
    OMP_NUM_THREADS=1 python benchmarks/quantized.py > quantized.json \
      --model models/base-transcript --data runs/miniature/questions \
      --model models/base-video --data runs/miniature-video/questions

The questions are a cell of `recipes/miniature.yaml` and one of `recipes/miniature-video.yaml`.
Every format answers the same held-out questions under the demo's protocol, greedily. Only linear
layers of the language model are quantized, in groups of 32 weights for int4; the head is tied to
the embedding and stays. Tokens a second: one question, one row, CPU time of one thread, the prompt
with its video included. What is printed is JSON, a base in each entry.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from videothinker.answering.ask import answer_questions
from videothinker.benchmarks.catalog import load, resolve
from videothinker.evaluation.metrics import scored
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import Policy
from videothinker.records import Diagnosis, Question, Sample, read_jsonl
from videothinker.runs import Journal

FORMATS = ("float32", "int8", "int4")
LABELS = ("observational", "inferential")


def quantized(model: str, form: str) -> Policy:
    """The model with the language model's linear layers in `form`."""
    from torchao.quantization import (  # noqa: PLC0415  (an extra; the table needs none)
        Int8WeightOnlyConfig,
        IntxWeightOnlyConfig,
        quantize_,
    )
    from torchao.quantization.granularity import PerGroup  # noqa: PLC0415

    policy = load_policy(model, dtype="float32", device="cpu")
    kinds = {
        "int8": Int8WeightOnlyConfig(),
        "int4": IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)),
    }

    def chosen(module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.Linear) and "language_model" in name

    if form in kinds:
        quantize_(policy.model, kinds[form], filter_fn=chosen)
    return policy


def measure(
    policy: Policy, form: str, questions: list[Question], labels: dict[str, str], root: Path
) -> dict:
    """Accuracy by label and CPU seconds of all answers."""
    protocol = resolve(
        "demo", "jsonl", frames=16, min_pixels=3072, max_pixels=3072, max_new_tokens=96
    )

    def ask(some: list[Question]) -> list[Sample]:
        with tempfile.TemporaryDirectory() as folder:
            journal = Journal(Path(folder) / "samples.jsonl", Sample)
            return answer_questions(
                policy, some, root, protocol, journal=journal, model=form, rows=16
            )

    samples = {s.question_id: [s] for s in ask(questions)}
    found: dict = {"unparsed": sum(s[0].verdict != "ok" for s in samples.values()) / len(samples)}
    for label in LABELS:
        mine = [q for q in questions if labels[q.id] == label]
        estimate = scored(mine, samples, "exact")
        found[label] = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
        found[label]["n"] = estimate.n
    started, tokens = time.process_time(), 0
    for question in questions[:8]:
        (sample,) = ask([question])
        tokens += len(policy.tokenizer(sample.text, add_special_tokens=False)["input_ids"])
    found["tokens_a_second"] = tokens / (time.process_time() - started)
    return found


def table(bases: list[dict]) -> str:
    """The result as docs/deploy.md has it."""
    counts = [f"{label} ({bases[0]['formats']['float32'][label]['n']})" for label in LABELS]
    lines = [
        f"| base | weights | {' | '.join(counts)} | unparsed | tokens a second |",
        "|---|---|---|---|---|---|",
    ]
    for told in bases:
        for form, found in told["formats"].items():
            cells = [
                "{:.1f} ({:.1f} to {:.1f})".format(
                    *(100 * found[label][key] for key in ("value", "low", "high"))
                )
                for label in LABELS
            ]
            lost, speed = f"{100 * found['unparsed']:.1f}", f"{found['tokens_a_second']:.0f}"
            name = f"`{told['name']}`"
            lines.append(f"| {name} | {form} | {' | '.join(cells)} | {lost} | {speed} |")
    return "\n".join(lines)


def base(model: str, data: Path, limit: int) -> dict:
    """All formats of one base on the held-out questions of a diagnosis."""
    read = load("jsonl", data, "validation")
    rows = read_jsonl(data / "diagnosis.jsonl", Diagnosis)
    labels = {row.question_id: row.label for row in rows if row.label in LABELS}
    known = [q for q in read.questions if q.id in labels]
    for label in LABELS:
        extra = [q for q in known if labels[q.id] == label][limit or len(known) :]
        known = [q for q in known if q not in extra]
    root = json.loads((data / "run.json").read_text())["facts"]["data_root"]
    told = {"name": model, "model": load_policy(model).digest, "threads": 1, "formats": {}}
    for form in FORMATS:
        policy = quantized(model, form)
        told["formats"][form] = measure(policy, form, known, labels, Path(root))
        print(model, form, json.dumps(told["formats"][form]), file=sys.stderr, flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", required=True, help="once for each base")
    parser.add_argument(
        "--data", action="append", type=Path, required=True, help="a diagnose folder for each"
    )
    parser.add_argument("--limit", type=int, default=0, help="questions of each label; 0 takes all")
    given = parser.parse_args()
    torch.set_num_threads(1)
    pairs = zip(given.model, given.data, strict=True)
    print(json.dumps([base(model, data, given.limit) for model, data in pairs], indent=1))


if __name__ == "__main__":
    main()
