"""What probing adds to a summary: agreement with the logs, causal effects, shortcut reliance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from videothinker.dependence import dependence
from videothinker.diagnosis.agreement import Agreement, agree, by_samples, dealt_anew
from videothinker.diagnosis.causal import Adjustment, adjust
from videothinker.diagnosis.config import RULES
from videothinker.diagnosis.effects import premise_removals, swaps, units_of
from videothinker.diagnosis.probes import LOG_FREE
from videothinker.diagnosis.reliance import Intervention, reliance
from videothinker.diagnosis.rotation import by_question
from videothinker.estimates import points, share, show
from videothinker.giveaways import split
from videothinker.records import Diagnosis, Question, Sample, read_jsonl
from videothinker.seeds import numpy_generator

ByQuestion = Mapping[str, Sequence[Sample]]
INTERVENTIONS = {
    "reliance_strike": "premise removed",
    "reliance_swap": "premise swapped (minimal pairs)",
}
"""What was done to a premise, by its name in the records."""


def tell_agreement(found: Agreement) -> dict[str, Any]:
    """The numbers of an agreement."""
    names = ("n", "precision", "recall", "f1", "chance_f1", "all_f1", "kappa")
    return {name: getattr(found, name) for name in names}


def vote_sizes(samples: int) -> list[int]:
    """1, 2, 4, ... and all."""
    sizes = [2**i for i in range(samples.bit_length()) if 2**i < samples]
    return [*sizes, samples]


def effects(
    questions: Mapping[str, Question],
    diagnoses: Mapping[str, Diagnosis],
    full: ByQuestion,
    seed: int,
) -> dict[str, Any]:
    """P(A | T, Q) beside P(A | do(T), Q), and the same with T and O exchanged."""
    drawn = [sample for mine in full.values() for sample in mine]
    found: dict[str, Any] = {}
    for name, swap in (("reasoning", False), ("observation", True)):
        units = units_of(questions, diagnoses, drawn, swap=swap)
        if not units:
            return {}
        rng = numpy_generator(seed, "diagnose", f"causal/{name}")
        table, contrasts = adjust(units, rng)
        found[name] = {
            "adjusted": [_adjustment(row) for row in table],
            "effect": [asdict(row) for row in contrasts],
        }
    return found


def _adjustment(row: Adjustment) -> dict[str, Any]:
    named = [f"{cell.treatment} / {cell.observation}" for cell in row.unsupported]
    return {**asdict(row), "unsupported": named}


def insight(
    questions: Sequence[Question],
    diagnoses: Sequence[Diagnosis],
    samples: Mapping[str, ByQuestion],
    seed: int,
    swapped: Sequence[Intervention] = (),
) -> dict[str, Any]:
    """Everything that needs both samples and logs; empty parts are left out.

    Args:
        questions: the probed ones.
        diagnoses: their records, with the logs' flags and evidence where there are logs.
        samples: probe -> question id -> samples.
        seed: of the bootstrap, and of the control's shuffle.
        swapped: the minimal pairs that were asked.
    """
    by_id = {d.question_id: d for d in diagnoses}
    full, removed = samples.get("full", {}), samples.get("struck", {})
    found: dict[str, Any] = {"probes": _probe_shares(samples)}
    if full and "blind" in samples:
        found["video"] = video_needed(questions, by_id, full, samples["blind"])
    logged = any(rule in d.flags for d in diagnoses for rule in RULES)
    if logged and removed:
        flags = {d.question_id: d.flags for d in diagnoses}
        found["agreement"] = {
            rule: tell_agreement(agree((f.get(LOG_FREE), f.get(rule)) for f in flags.values()))
            for rule in RULES
        }
        sizes = vote_sizes(min(len(drawn) for drawn in removed.values()))
        votes = by_samples(questions, removed, flags, RULES, sizes)
        found["agreement_by_samples"] = {
            str(size): {rule: tell_agreement(row) for rule, row in rows.items()}
            for size, rows in votes.items()
        }
        dealt = dealt_anew(questions, numpy_generator(seed, "diagnose", "dealt anew"))
        control = by_samples(dealt, removed, flags, RULES, sizes[-1:])[sizes[-1]]
        found["agreement_shuffled"] = {rule: tell_agreement(row) for rule, row in control.items()}
    if logged and full:
        found["causal"] = effects({q.id: q for q in questions}, by_id, full, seed)
        if removed:
            found["reliance_strike"] = asdict(
                reliance(premise_removals(questions, by_id, full, removed))
            )
    if swapped:
        found["reliance_swap"] = asdict(reliance(swapped))
    return found


def video_needed(
    questions: Sequence[Question],
    labels: Mapping[str, Diagnosis],
    full: ByQuestion,
    blind: ByQuestion,
) -> dict[str, Any]:
    """Blind Gap and Visual Gain (`dependence`), of all questions, by label and with the split."""
    several = any(len(question.answer) > 1 for question in questions)
    parts: dict[str, list[str]] = {"all": [question.id for question in questions]}
    for label in ("observational", "inferential"):
        parts[label] = [name for name in parts["all"] if labels[name].label == label]
    away = split(parts["inferential"], labels)
    parts |= {f"inferential, {part}": ids for part, ids in away.items()}
    found: dict[str, Any] = {}
    for part, ids in parts.items():
        named = set(ids)
        told = dependence([q for q in questions if q.id in named], full, blind, several=several)
        if told is not None:
            found[part] = {name: asdict(value) for name, value in told._asdict().items()}
    return found


def read_insight(run: Path, seed: int) -> dict[str, Any] | None:
    """The insight of a diagnose run, computed anew from its records; None where nothing was probed.

    Args:
        run: its folder.
        seed: the run's.

    Raises:
        UserError: a record that cannot be read.
    """
    if not (run / "samples.jsonl").is_file():
        return None
    diagnoses = [d for d in read_jsonl(run / "diagnosis.jsonl", Diagnosis) if d.probes]
    probed = {d.question_id for d in diagnoses}
    questions = [q for q in read_jsonl(run / "questions.jsonl", Question) if q.id in probed]
    listed = run / "minimal_pairs.jsonl"
    members = read_jsonl(listed, Question) if listed.is_file() else []
    samples: dict[str, list[Sample]] = {}
    for sample in read_jsonl(run / "samples.jsonl", Sample):
        samples.setdefault(sample.variant, []).append(sample)
    drawn = {probe: by_question(questions, mine) for probe, mine in samples.items()}
    pairs = zip(members[::2], members[1::2], strict=True)
    swapped = swaps(pairs, by_question(members, samples.get("full", [])))
    return insight(questions, diagnoses, drawn, seed, swapped)


def _probe_shares(samples: Mapping[str, ByQuestion]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for probe, asked in samples.items():
        drawn = [sample for mine in asked.values() for sample in mine]
        table[probe] = {
            "questions": len(asked),
            "samples": len(drawn),
            "right": sum(sample.exact == 1 for sample in drawn),
            "unparsed": sum(sample.verdict in ("unparsed", "truncated") for sample in drawn),
            "failed": sum(sample.verdict == "failed" for sample in drawn),
        }
    return table


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def insight_lines(found: Mapping[str, Any]) -> list[str]:
    """The insight for a person."""
    told: list[str] = []
    for probe, row in found["probes"].items():
        if row["questions"] == 0:
            told.append(f"  {probe:13} applies to no question: none has a premise to remove")
            continue
        told.append(
            f"  {probe:13} {show(share(row['right'], row['samples']))} right over samples of "
            f"{row['questions']} questions; {row['unparsed']} unparsed, {row['failed']} failed"
        )
    for part, row in found.get("video", {}).items():
        gap, gain = (points(row[name]) for name in ("blind_gap", "visual_gain"))
        told.append(f"  {part}: Blind Gap {gap}, Visual Gain {gain}, n {row['blind_gap']['n']}")
    if found.get("video"):
        told.append(
            "  (Blind Gap: minus a guess of one option, or of any set of them where questions have "
            "several right ones)"
        )
    for rule, row in found.get("agreement", {}).items():
        told.append(
            f"  {LOG_FREE} against {rule:16} precision {_number(row['precision'])}, recall "
            f"{_number(row['recall'])}, F1 {_number(row['f1'])} (all "
            f"observational {_number(row['all_f1'])}), kappa {_number(row['kappa'])}, n {row['n']}"
        )
    for name, rows in found.get("causal", {}).items():
        for row in rows["effect"]:
            effect = row["effect"]
            told.append(
                f"  effect of {name} on the answer ({row['query']}): {effect['value']:+.3f} "
                f"(95 % {effect['low']:+.3f} to {effect['high']:+.3f})"
            )
        told += [
            f"  no support for {name} ({row['query']}): {', '.join(row['unsupported'])}"
            for row in rows["adjusted"]
            if row["unsupported"]
        ]
    for name, what in INTERVENTIONS.items():
        if name in found:
            row = found[name]
            stays, changes = row["stays_when_should_change"], row["changes_when_should_stay"]
            told.append(
                f"  {what}: the answer stays when it should change "
                f"{_share(stays)}; changes when it should stay {_share(changes)}"
            )
    return told


def _share(row: Mapping[str, Any]) -> str:
    return show(share(row["count"], row["n"]))
