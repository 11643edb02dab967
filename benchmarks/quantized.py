"""What weight-only int8 and int4 (torchao) cost the shipped base: accuracy by label, and speed.

    pip install 'videothinker[quantized]'
    videothinker world --give-aways allowed --scenes 200 --validation-scenes 100 --size 64x48 \
      --frames 16 --plain-looks --radius 0.3 --objects-max 5 --softest 0.5 --near-miss 0.4 --out W
    videothinker diagnose W --out D
    OMP_NUM_THREADS=1 python benchmarks/quantized.py --data D [--limit 60]

Every format answers the same held-out questions under the demo's protocol, greedily. Only linear
layers of the language model are quantized, in groups of 32 weights for int4; the head is tied to
the embedding and stays. Tokens a second: one question, one row, CPU time of one thread, the prompt
with its video included. The last line is JSON.
"""

import argparse
import json
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


def table(told: dict) -> str:
    """The result as docs/deploy.md has it."""
    counts = [f"{label} ({told['formats']['float32'][label]['n']})" for label in LABELS]
    lines = [
        f"| weights | {' | '.join(counts)} | unparsed | tokens a second |",
        "|---|---|---|---|---|",
    ]
    for form, found in told["formats"].items():
        cells = [
            "{:.1f} ({:.1f} to {:.1f})".format(
                *(100 * found[label][key] for key in ("value", "low", "high"))
            )
            for label in LABELS
        ]
        lost, speed = f"{100 * found['unparsed']:.1f}", f"{found['tokens_a_second']:.0f}"
        lines.append(f"| {form} | {' | '.join(cells)} | {lost} | {speed} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a diagnose folder with videos")
    parser.add_argument("--model", default="models/base-video")
    parser.add_argument("--limit", type=int, default=0, help="questions of each label; 0 takes all")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    read = load("jsonl", given.data, "validation")
    rows = read_jsonl(given.data / "diagnosis.jsonl", Diagnosis)
    labels = {row.question_id: row.label for row in rows if row.label in LABELS}
    known = [q for q in read.questions if q.id in labels]
    for label in LABELS:
        extra = [q for q in known if labels[q.id] == label][given.limit or len(known) :]
        known = [q for q in known if q not in extra]
    root = json.loads((given.data / "run.json").read_text())["facts"]["data_root"]
    told = {"model": load_policy(given.model).digest, "threads": 1, "formats": {}}
    for form in given.formats:
        policy = quantized(given.model, form)
        told["formats"][form] = measure(policy, form, known, labels, Path(root))
        print(form, json.dumps(told["formats"][form]), flush=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
