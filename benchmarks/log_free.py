"""How good are labels made without event logs?

    python benchmarks/log_free.py WORLD [--model MODEL] [--miss-rates 0.04 0.15 0.3] [--samples 8]
                                     [--temperature 1]

Labels the counterfactual questions of a world (`videothinker world --frames 0` is enough for the
transcript tier) from its logs, then without them: the premise is struck out, the model answers
several times, and a question whose right answer survives the vote is called observational.
Precision, recall and F1 against every rule, as a function of the samples voted on and of the share
of events missing from the transcripts; `--miss-rates` left empty asks about the videos. Beside F1
stand what it is without any skill (*all* questions called observational; *blind*: as many of them
as the label calls so, drawn at random) and Cohen's kappa, which is 0 for both. Then the same with
the right answers shuffled among alike questions, which must fall to its own blind labelling.

Without a model, the *ceiling* alone: a reader that copies the transcript's event log without a
mistake. It is no model, only what missing events leave possible. The last line is JSON.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from videothinker.clevrer.annotations import ObjectProperty
from videothinker.clevrer.grammar import parse_option, resolve
from videothinker.diagnosis.agreement import by_samples, dealt_anew
from videothinker.diagnosis.config import RULES, DiagnoseConfig
from videothinker.diagnosis.effects import is_negated
from videothinker.diagnosis.insight import tell_agreement, vote_sizes
from videothinker.diagnosis.rotation import by_question
from videothinker.diagnosis.stage import diagnose
from videothinker.records import Diagnosis, Question, Sample, read_jsonl

TOLD = re.compile(r"Frame \d+: the (.+) and the (.+) collide\.")


def read_log(context: str) -> tuple[list[ObjectProperty], set[frozenset[int]]]:
    """A transcript's objects and the collisions that its event log holds."""
    named = context.split("\n", 1)[0].removeprefix("Objects: ").rstrip(".").split(", ")
    objects = [ObjectProperty(i, *name.split()) for i, name in enumerate(named)]
    pairs = {frozenset(resolve(name, objects) for name in hit) for hit in TOLD.findall(context)}
    return objects, pairs


def ceiling(questions: Iterable[Question]) -> dict[str, list[Sample]]:
    """One answer a question, without its premise, by a reader that makes no mistake."""
    answers = {}
    for question in questions:
        objects, seen = read_log(question.context or "")
        letters = tuple(
            letter
            for letter, choice in zip("ABCDEFGH", question.choices, strict=False)
            if (frozenset(resolve(name, objects) for name in parse_option(choice)) in seen)
            != is_negated(question)
        )
        record = Sample(
            question_id=question.id,
            model="ceiling",
            protocol="none",
            variant="struck",
            answer=letters or None,
            verdict="ok",
        )
        answers[question.id] = [record]
    return answers


def struck_samples(out: Path, questions: Sequence[Question]) -> dict[str, list[Sample]]:
    """What a probed model answered without the premise, by question."""
    return by_question(questions, read_jsonl(out / "samples.jsonl", Sample))


def measure(
    questions: Sequence[Question], samples: dict[str, list[Sample]], logs: Sequence[Diagnosis]
) -> list[dict[str, object]]:
    """One row a number of samples and rule, each with the F1 of shuffled right answers."""
    flags = {d.question_id: d.flags for d in logs}
    sizes = vote_sizes(min(len(drawn) for drawn in samples.values()))
    honest = by_samples(questions, samples, flags, RULES, sizes)
    rng = np.random.default_rng(0)
    dealt = by_samples(dealt_anew(questions, rng), samples, flags, RULES, sizes)
    return [
        {
            "samples": size,
            "rule": rule,
            **tell_agreement(row),
            "shuffled_f1": dealt[size][rule].f1,
            "shuffled_chance_f1": dealt[size][rule].chance_f1,
            "shuffled_kappa": dealt[size][rule].kappa,
        }
        for size, rows in honest.items()
        for rule, row in rows.items()
    ]


def event_recall(model: str) -> float | None:
    """What the model's pretraining measured: the share of collisions that it names from frames."""
    for name in ("run.json", "measured.json"):
        path = Path(model) / name
        if path.is_file():
            metadata = json.loads(path.read_text())
            return metadata.get("facts", metadata).get("held_out", {}).get("pairs_recall")
    return None


def show(name: str, rate: float | None, rows: Sequence[dict[str, object]]) -> None:
    tier = "video tier" if rate is None else f"transcript tier, {rate:.0%} of events missing"
    print(f"{name}; {tier}; n = {rows[0]['n']}")
    head = ("precis.", "recall", "F1", "all F1", "blind", "kappa", "sh. F1", "blind", "kappa")
    print(f"  samples {'rule':16} {' '.join(f'{name:>7}' for name in head)}")
    for row in rows:
        keys = (
            *("precision", "recall", "f1", "all_f1", "chance_f1", "kappa"),
            *("shuffled_f1", "shuffled_chance_f1", "shuffled_kappa"),
        )
        shown = ["      -" if row[key] is None else f"{row[key]:7.3f}" for key in keys]
        print(f"  {row['samples']:7} {row['rule']:16} {' '.join(shown)}")


def label(
    world: Path, place: Path, rate: float | None, model: str | None, args: argparse.Namespace
) -> Path:
    """Diagnose the world in the transcript or video tier; probe the model if there is one.

    Without one the transcripts are in whole sentences; the same events are missing from both forms.
    """
    name = "ceiling" if model is None else "probed"
    config = DiagnoseConfig(
        out=place / f"{name}-{'video' if rate is None else rate}",
        split=args.split,
        miss_rate=rate,
        transcript="full" if model is None else "compact",
        probe=model,
        probes=("struck",),
        samples=args.samples,
        temperature=args.temperature,
        protocol=args.protocol,
        max_new_tokens=args.max_new_tokens,
        limit=args.limit,
        seed=args.seed,
    )
    return diagnose(world, config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("world", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--miss-rates", type=float, nargs="*", default=[0.04, 0.15, 0.3])
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--split", default="all")
    parser.add_argument("--protocol", default="demo")
    parser.add_argument("--max-new-tokens", type=int)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the runs here; a second call resumes them")
    args = parser.parse_args()
    if args.model is None and not args.miss_rates:
        sys.exit("no model and no miss rates: nothing to measure")
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        place = args.out or Path(scratch)
        for rate in args.miss_rates or [None]:
            for model in [None, args.model] if args.model else [None]:
                if model is None and rate is None:
                    continue
                out = label(args.world, place, rate, model, args)
                logs = read_jsonl(out / "diagnosis.jsonl", Diagnosis)
                named = {d.question_id for d in logs if d.label != "excluded"}
                questions = read_jsonl(out / "questions.jsonl", Question)
                questions = [q for q in questions if q.id in named]
                samples = ceiling(questions) if model is None else struck_samples(out, questions)
                rows = measure(questions, samples, logs)
                show(model or "ceiling (no model)", rate, rows)
                if model is not None and rate is None:
                    print(f"  the model's recall of collisions, from frames: {event_recall(model)}")
                result[f"{model or 'ceiling'} @ {'video' if rate is None else rate}"] = rows
    print(json.dumps(result))


if __name__ == "__main__":
    main()
