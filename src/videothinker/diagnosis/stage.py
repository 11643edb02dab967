"""`videothinker diagnose`: which questions can be answered without reasoning?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from videothinker import break_even, hub
from videothinker.answering.endpoint import MAY_CHANGE
from videothinker.benchmarks import jsonl
from videothinker.console import say
from videothinker.diagnosis import audit_table
from videothinker.diagnosis.audit import audit, kinds_of
from videothinker.diagnosis.biasset import BiasSet, bias_set
from videothinker.diagnosis.config import RULES, DiagnoseConfig
from videothinker.diagnosis.effects import swaps
from videothinker.diagnosis.following import is_at_chance, next_lines, over_guessing
from videothinker.diagnosis.insight import insight, insight_lines
from videothinker.diagnosis.premises import counts, natural_pairs, pair_line
from videothinker.diagnosis.probes import FLAGS, diagnose_by_probes
from videothinker.diagnosis.sources import Source, inputs_of, read_list, read_source
from videothinker.diagnosis.summary import lines, rule_counts, summarise
from videothinker.ranks import size
from videothinker.records import AUDIT, Diagnosis, write_atomic, write_jsonl
from videothinker.runs import Run, open_run

if TYPE_CHECKING:
    from videothinker.answering.placing import Elsewhere
    from videothinker.models.placement import Placement


def _write(run: Run, source: Source, diagnoses: Sequence[Diagnosis]) -> BiasSet | None:
    """The records; None for the bias set where no question is labelled."""
    write_jsonl(run.path / "questions.jsonl", source.questions)
    if source.pairs:
        write_jsonl(run.path / "minimal_pairs.jsonl", source.pairs)
    run.facts["labelled"] = bool(diagnoses)
    if not diagnoses:
        return None
    chosen = bias_set(source.questions, {d.question_id: d.label for d in diagnoses})
    write_jsonl(run.path / "diagnosis.jsonl", diagnoses)
    write_jsonl(run.path / "bias.jsonl", chosen.premise_removed)
    write_jsonl(run.path / "bias_as_is.jsonl", chosen.as_is)
    return chosen


def _audit(
    run: Run, source: Source, diagnoses: Sequence[Diagnosis], seed: int
) -> tuple[dict[str, Any], list[str]]:
    """What shallow answerers get, and the natural pairs: for the summary, and for a person.

    Where there are logs their labels count, which a probed model's answers only estimate.
    """
    questions = source.questions
    labels = {d.question_id: d for d in source.logs or diagnoses}
    kinds = kinds_of(questions, source.grouping)
    records, note = audit(questions, labels, source.asked, kinds, seed)
    found = natural_pairs(questions, source.asked)
    write_jsonl(run.path / AUDIT, records)
    write_jsonl(run.path / "natural_pairs.jsonl", found.records())
    table = audit_table.table(records) if records else None
    shown = ["audit: no question has a right answer"] if table is None else audit_table.lines(table)
    pairs = counts(found)
    summary = {"audit": table, "audit_note": note, "natural_pairs": pairs}
    return summary, [*shown, *([note] if note else []), pair_line(pairs)]


def _with_probes(
    run: Run, source: Source, placed: "Placement | Elsewhere", config: DiagnoseConfig
) -> tuple[list[Diagnosis], dict[str, Any]]:
    """The records, and what probing adds to the summary."""
    # torch and transformers are heavy, and labelling from logs needs neither.
    from videothinker.diagnosis.probing import probe  # noqa: PLC0415

    logs = {diagnosis.question_id: diagnosis for diagnosis in source.logs}
    subject = [q for q in source.questions if not logs or q.id in logs]
    probed = probe(run, source, subject, placed, config)
    run.facts["probed_model"] = probed.model
    run.failures += probed.failed
    asked = {question.id for question in probed.questions}
    kept = [q for q in subject if q.id in asked or not q.answer]
    diagnoses = diagnose_by_probes(kept, probed.samples, logs)
    swapped = swaps(probed.pairs, probed.pair_samples)
    added: dict[str, Any] = {
        "probing": insight(probed.questions, diagnoses, probed.samples, config.seed, swapped),
        "over_guessing": over_guessing(probed.questions, probed.samples),
    }
    if probed.ways:
        labels = {d.question_id: d for d in diagnoses}
        added["ways"] = break_even.forecast(probed.questions, labels, *probed.ways)
    return diagnoses, added


def _ways_lines(found: Mapping[str, Any] | None, ways: Sequence[str]) -> list[str]:
    if found is None:
        return ["no break-even is forecast: it takes questions of both labels"]
    here, there = map(repr, ways)
    return break_even.lines(found, there, here)


def _tell(summary: dict[str, Any], rule: str, audited: Sequence[str], ways: Sequence[str]) -> None:
    for problem in summary["problems"]:
        say(f"left out: {problem}")
    for line in lines(summary, rule):
        say(line)
    for line in insight_lines(summary["probing"]) if "probing" in summary else ():
        say(line)
    for line in _ways_lines(summary["ways"], ways) if ways else ():
        say(line)
    for line in audited:
        say(line)


def _tell_next(
    run: Run,
    data: Path,
    config: DiagnoseConfig,
    chosen: BiasSet | None,
    gains: Mapping[str, Any],
) -> None:
    if chosen is None:
        say(
            "no question is labelled: no event logs speak of them; give --probe MODEL, or a folder "
            "in CLEVRER's layout"
        )
        say(f"wrote {run.path}/questions.jsonl, audit.jsonl, natural_pairs.jsonl")
        what = f" --benchmark {config.benchmark}" if config.benchmark else ""
        what += f" --data-root {hub.as_given(config.data_root)}" if config.data_root else ""
        what += " --accept-guesses" if config.accept_guesses else ""
        out = run.path.with_name(f"{run.path.name}-probed")
        asked = f"{hub.as_given(data)}{what}"
        say(f"next: videothinker diagnose {asked} --probe MODEL --out {hub.as_given(out)}")
        return
    say(
        f"bias set ({chosen.split or 'all splits'}): {len(chosen.premise_removed)} with the "
        f"premise removed, {len(chosen.as_is)} as they are, {chosen.not_applicable} not "
        "applicable (no premise)"
    )
    say(
        f"wrote {run.path}/questions.jsonl, diagnosis.jsonl, bias.jsonl, bias_as_is.jsonl, "
        "audit.jsonl, natural_pairs.jsonl"
    )
    served = config.probe is None or config.served.endpoint is not None
    for line in next_lines(chosen, gains, run.path, "MODEL" if served else str(config.probe)):
        say(line)


def diagnose(data: Path, config: DiagnoseConfig) -> Path:
    """Label questions as observational or inferential, and write the bias set.

    Args:
        data: a folder in CLEVRER's layout (real or simulated), labelled from its event logs; or a
            file of questions, labelled by probing a model, and only audited without one. With both
            logs and a model, the label is the probes' and the logs' flags stand beside it.
        config: see `DiagnoseConfig`.

    Returns:
        `config.out`, with questions.jsonl, audit.jsonl, natural_pairs.jsonl and summary.json;
        diagnosis.jsonl, bias.jsonl and bias_as_is.jsonl where questions are labelled;
        minimal_pairs.jsonl on a simulated world that has some; samples.jsonl where a model was
        probed.

    Raises:
        UserError: bad input; see `sources.read_source`.
    """
    data = hub.local(data)
    if size() == 1:
        _diagnose(data, config)
        return config.out
    from videothinker.answering.sharing import own_folder  # noqa: PLC0415 (torch)

    with own_folder(config) as own:
        _diagnose(data, own)
    return config.out


def _is_done(run: Run) -> bool:
    """Of several processes the first opened the run."""
    if size() == 1:
        return run.done
    from videothinker.answering.sharing import is_done  # noqa: PLC0415 (torch)

    return is_done(run.done)


def _diagnose(data: Path, config: DiagnoseConfig) -> None:
    listed = read_list(data, config)
    inputs = inputs_of(data, config, listed)
    placed = None
    if config.probe is not None:
        from videothinker.answering.placing import place  # noqa: PLC0415 (torch)

        placed = place(config.probe, config.device, config.dtype, config.served)
        # what `auto` stands for is part of the run: another machine does not go on in other numbers
        config = replace(config, device=placed.device, dtype=placed.dtype)
    with open_run(config.out, "diagnose", config, inputs, may_change=MAY_CHANGE) as run:
        if _is_done(run):
            say(f"{config.out}: is done already; give another --out to run again")
            return
        say(f"reading {data}")
        source = read_source(data, config, listed)
        run.facts["data_root"] = str(source.data_root)
        run.facts["simulated"] = jsonl.of_world(data, source.data_root, source.questions)
        run.failures = len(source.problems)
        for note in source.notes:
            say(f"not diagnosed or not as published: {note}")
        diagnoses, probed = list(source.logs), dict[str, Any]()
        if placed is not None:
            diagnoses, probed = _with_probes(run, source, placed, config)
        rule = diagnoses[0].rule if diagnoses else config.rule
        flags = {name for d in diagnoses for name in d.flags}
        rules = [name for name in (*RULES, *FLAGS.values()) if name in flags]
        chosen = _write(run, source, diagnoses)
        summary = summarise(source.questions, diagnoses, rules, source.problems)
        if source.pairs:
            summary["minimal_pairs"] = rule_counts(source.pair_logs, RULES)
        summary |= probed
        gains = probed.get("over_guessing", {})
        run.facts["at_chance"] = is_at_chance(gains)
        if "endpoint" in run.facts:
            summary["endpoint"] = run.facts["endpoint"]
        found, audited = _audit(run, source, diagnoses, config.seed)
        summary |= found
        write_atomic(run.path / "summary.json", msgspec.json.format(msgspec.json.encode(summary)))
        _tell(summary, rule, audited, config.ways)
        _tell_next(run, data, config, chosen, gains)
