"""`videothinker diagnose`: which questions can be answered without reasoning?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from videothinker.console import say
from videothinker.diagnosis.biasset import BiasSet, bias_set
from videothinker.diagnosis.config import RULES, DiagnoseConfig
from videothinker.diagnosis.effects import swaps
from videothinker.diagnosis.insight import insight, insight_lines
from videothinker.diagnosis.probes import FLAGS, LOG_FREE, diagnose_by_probes
from videothinker.diagnosis.sources import Source, inputs_of, read_list, read_source
from videothinker.diagnosis.summary import lines, rule_counts, summarise
from videothinker.records import Diagnosis, write_atomic, write_jsonl
from videothinker.runs import Run, open_run


def _write(run: Run, source: Source, diagnoses: Sequence[Diagnosis]) -> BiasSet:
    chosen = bias_set(source.questions, {d.question_id: d.label for d in diagnoses})
    write_jsonl(run.path / "questions.jsonl", source.questions)
    if source.pairs:
        write_jsonl(run.path / "minimal_pairs.jsonl", source.pairs)
    write_jsonl(run.path / "diagnosis.jsonl", diagnoses)
    write_jsonl(run.path / "bias.jsonl", chosen.struck)
    write_jsonl(run.path / "bias_as_is.jsonl", chosen.as_is)
    return chosen


def _with_probes(
    run: Run, source: Source, config: DiagnoseConfig
) -> tuple[list[Diagnosis], dict[str, Any]]:
    # torch and transformers are heavy, and labelling from logs needs neither.
    from videothinker.diagnosis.probing import probe  # noqa: PLC0415

    logs = {diagnosis.question_id: diagnosis for diagnosis in source.logs}
    subject = [q for q in source.questions if not logs or q.id in logs]
    probed = probe(run, source, subject, config)
    run.facts["probed_model"] = probed.model
    run.failures += probed.failed
    asked = {question.id for question in probed.questions}
    kept = [q for q in subject if q.id in asked or not q.answer]
    diagnoses = diagnose_by_probes(kept, probed.samples, logs)
    swapped = swaps(probed.pairs, probed.pair_samples)
    found = insight(probed.questions, diagnoses, probed.samples, config.seed, swapped)
    return diagnoses, found


def _placed(config: DiagnoseConfig, model: str) -> DiagnoseConfig:
    """With what `auto` stands for: another machine does not go on in other numbers."""
    from videothinker.models.catalog import place  # noqa: PLC0415

    placed = place(model, config.device, config.dtype)
    return replace(config, device=placed.device, dtype=placed.dtype)


def _tell(run: Run, summary: dict[str, Any], chosen: BiasSet, rule: str) -> None:
    write_atomic(run.path / "summary.json", msgspec.json.format(msgspec.json.encode(summary)))
    for problem in summary["problems"]:
        say(f"left out: {problem}")
    for line in lines(summary, rule):
        say(line)
    for line in insight_lines(summary["probing"]) if "probing" in summary else ():
        say(line)
    say(
        f"bias set ({chosen.split or 'all splits'}): {len(chosen.struck)} with the premise struck "
        f"out, {len(chosen.as_is)} as they are, {chosen.not_applicable} not applicable (no premise)"
    )
    say(f"wrote {run.path}/questions.jsonl, diagnosis.jsonl, bias.jsonl, bias_as_is.jsonl")
    say(f"next: videothinker train bias --data {run.path} --model MODEL --out OUT")


def diagnose(data: Path, config: DiagnoseConfig) -> Path:
    """Label questions as observational or inferential, and write the bias set.

    Args:
        data: a folder in CLEVRER's layout (real or simulated), labelled from its event logs; or a
            file of questions, labelled by probing a model. With both logs and a model, the label is
            the probes' and the logs' flags stand beside it.
        config: see `DiagnoseConfig`.

    Returns:
        `config.out`, with questions.jsonl, diagnosis.jsonl, bias.jsonl, bias_as_is.jsonl,
        summary.json, minimal_pairs.jsonl on a simulated world, and samples.jsonl where a model was
        probed.

    Raises:
        UserError: bad input; see `sources.read_source`.
    """
    listed = read_list(data, config)
    inputs = inputs_of(data, config, listed)
    if config.probe is not None:
        config = _placed(config, config.probe)
    with open_run(config.out, "diagnose", config, inputs) as run:
        if run.done:
            say(f"{config.out}: is done already; give another --out to run again")
            return config.out
        say(f"reading {data}")
        source = read_source(data, config, listed)
        run.facts["data_root"] = str(source.data_root)
        run.failures = len(source.problems)
        for note in source.notes:
            say(f"not diagnosed or not as published: {note}")
        rule, diagnoses, probing = config.rule, list(source.logs), None
        rules = list(RULES)
        if config.probe is not None:
            diagnoses, probing = _with_probes(run, source, config)
            rule = LOG_FREE
            rules = [
                name
                for name in (*RULES, *FLAGS.values())
                if any(name in d.flags for d in diagnoses)
            ]
        chosen = _write(run, source, diagnoses)
        summary = summarise(source.questions, diagnoses, rules, source.problems)
        if source.pairs:
            summary["minimal_pairs"] = rule_counts(source.pair_logs, RULES)
        if probing is not None:
            summary["probing"] = probing
        _tell(run, summary, chosen, rule)
    return config.out
