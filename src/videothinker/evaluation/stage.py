"""`videothinker evaluate`: ask, record every sample, print the tables computed from the records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec

from videothinker import break_even, hub
from videothinker.answering import variants
from videothinker.answering.ask import answer_questions, check_samples
from videothinker.answering.endpoint import MAY_CHANGE
from videothinker.answering.pixels import tell_far
from videothinker.answering.placing import batch_sizes, load, place
from videothinker.answering.served import cost_line, costs, settle
from videothinker.answering.sharing import is_done, own_folder
from videothinker.benchmarks import catalog, jsonl
from videothinker.benchmarks.base import Benchmark
from videothinker.benchmarks.protocols import Protocol
from videothinker.budget import limits
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.evaluation import metrics, tables
from videothinker.evaluation.config import EvaluateConfig
from videothinker.evaluation.metrics import Answered
from videothinker.evaluation.selection import Selection, check, select
from videothinker.evaluation.summary import by_question, summarise, without_simulating
from videothinker.models.base import Model
from videothinker.records import (
    AUDIT,
    Audited,
    Diagnosis,
    Question,
    Sample,
    read_jsonl,
    write_atomic,
    write_jsonl,
)
from videothinker.run_file import to_plain
from videothinker.runs import Run, by_name, open_run
from videothinker.trained import asked_again, saw_no_video


def evaluate(data: Path, config: EvaluateConfig) -> Path:
    """Answer a benchmark's questions and write samples.jsonl, questions.jsonl and summary.json.

    Args:
        data: the benchmark's folder as downloaded, our questions.jsonl, a diagnose folder, or the
            address of one on a hub.
        config: the settings.

    Returns:
        The run folder; with `check`, the data folder.

    Raises:
        UserError: a wrong or partial download, a model that cannot be loaded, nothing to ask.
    """
    data = hub.local(data)
    with own_folder(config) as own:
        _evaluate(data, own)
    return data if config.check else config.out


def _evaluate(data: Path, config: EvaluateConfig) -> None:
    benchmark = catalog.load(
        config.benchmark,
        data,
        config.split,
        root=config.data_root,
        accept_guesses=config.accept_guesses,
    )
    root = config.data_root or jsonl.data_root(data)
    if config.check:
        check(benchmark, root, follow_links=config.follow_links)
        return
    labels = {d.question_id: d for d in _labels(data, config)}
    chosen = select(benchmark, config, labels)
    protocol = protocol_of(config)
    _refuse(chosen, protocol, config)
    inputs = by_name(benchmark.files)
    # what `auto` stands for is part of the run: another machine does not go on in other numbers
    placed = place(str(config.model), config.device, config.dtype, config.served)
    inputs["model"] = placed.folder
    config = replace(config, device=placed.device, dtype=placed.dtype)
    with open_run(config.out, "evaluate", config, inputs, may_change=MAY_CHANGE) as run:
        if is_done(run.done):
            say(f"{config.out}: done before; nothing to do")
            return
        for line in placed.lines:
            say(line)
        policy = load(placed, run)
        _announce(data, benchmark, chosen, protocol)
        run.facts |= placed.facts
        run.facts |= {"protocol": {**to_plain(protocol), "key": protocol.key}}
        run.facts |= {"data": str(data.resolve()), "data_root": str(root.resolve())}
        _tell_trained(run, placed.folder, chosen, config)
        run.facts["simulated"] = jsonl.of_world(data, root, chosen.questions)
        write_jsonl(config.out / "questions.jsonl", chosen.questions)
        here = [labels[q.id] for q in chosen.questions if q.id in labels]
        if here:
            write_jsonl(config.out / "diagnosis.jsonl", here)
        asked = {q.id for q in chosen.questions}
        beside = [one for one in _audited(data, config) if one.question_id in asked]
        if beside:
            write_jsonl(config.out / AUDIT, beside)
        _ask(
            run,
            policy,
            chosen,
            root=root,
            protocol=protocol,
            config=config,
            folder=placed.folder,
        )
        _conclude(run, benchmark, chosen, protocol, config)
    say(f"wrote {config.out}; next: videothinker report {hub.as_given(config.out)}")


def _tell_trained(run: Run, folder: Path | None, chosen: Selection, config: EvaluateConfig) -> None:
    """Say, here and in the report, how many of the questions the model was trained on.

    And that it never saw a video, where it is shown some.
    """
    known, asked = asked_again(folder, chosen.questions), len(chosen.questions)
    run.facts["trained_on"] = known
    warnings: list[str] = []
    if known:
        warnings.append(
            f"in {config.out.name} the model was trained on what it is asked: {known:,} of "
            f"{asked:,} questions are in its training list; give a --split or list held out of it"
        )
    if saw_no_video(folder) and any(q.video is not None for q in chosen.questions):
        warnings.append(
            f"in {config.out.name} the model is shown videos and was pretrained on transcripts "
            "alone; ask it about transcripts, or give a model that was trained on videos"
        )
    if warnings:
        run.facts["warnings"] = warnings
    for warning in warnings:
        say(f"warning: {warning}")


def _refuse(chosen: Selection, protocol: Protocol, config: EvaluateConfig) -> None:
    """What would only show after the answers were paid for."""
    check_samples(protocol, config.samples)
    if not any(variants.applies(q, v) for v in config.variants for q in chosen.questions):
        raise UserError(
            f"variants {', '.join(config.variants)}: apply to none of {len(chosen.questions):,} "
            "questions, which have no premise to remove; give --variants full"
        )
    if config.compare is None:
        return
    if "full" not in config.variants:
        raise UserError("--compare compares the variant full; add it to --variants")
    answered_by(config.compare, chosen.questions)


def protocol_of(config: EvaluateConfig) -> Protocol:
    """The protocol with the config's changes."""
    keys = ("frames", "min_pixels", "max_pixels", "max_new_tokens", "temperature", "prefill")
    changes = {key: getattr(config, key) for key in keys}
    return catalog.resolve(config.protocol, config.benchmark, **changes)


def _labels(data: Path, config: EvaluateConfig) -> list[Diagnosis]:
    if config.diagnosis is not None:
        found = jsonl.labels(hub.local(config.diagnosis))
        if not found:
            raise UserError(f"{config.diagnosis}: holds no diagnosis.jsonl; give a diagnose folder")
        return found
    return jsonl.labels(data) if config.benchmark == "jsonl" else []


def _audited(data: Path, config: EvaluateConfig) -> list[Audited]:
    """From where the labels are."""
    if config.diagnosis is not None:
        return jsonl.audited(hub.local(config.diagnosis))
    return jsonl.audited(data) if config.benchmark == "jsonl" else []


def _announce(data: Path, benchmark: Benchmark, chosen: Selection, protocol: Protocol) -> None:
    pixels = f"{protocol.min_pixels or 'model'} to {protocol.max_pixels or 'model'} pixels"
    say(
        f"read {len(benchmark.questions):,} questions from {data}; asking {len(chosen.questions):,}"
    )
    say(
        f"protocol {protocol.key}: {protocol.frames} frames of {pixels}, temperature "
        f"{protocol.temperature:g}, at most {protocol.max_new_tokens} tokens, "
        f"{'several letters' if protocol.several else 'one letter'}"
    )
    for kind, count in benchmark.needs_judge.items():
        say(f"needs a judge: {count:,} ({kind}), not asked")


def _ask(
    run: Run,
    policy: Model,
    chosen: Selection,
    *,
    root: Path,
    protocol: Protocol,
    config: EvaluateConfig,
    folder: Path | None,
) -> None:
    digest = policy.digest
    journal = run.journal("samples.jsonl", Sample)
    for variant in config.variants:
        asked = [q for q in chosen.questions if variants.applies(q, variant)]
        if len(asked) < len(chosen.questions):
            say(f"variant {variant}: not applicable to {len(chosen.questions) - len(asked):,}")
        if asked:
            answer_questions(
                policy,
                asked,
                root,
                protocol,
                variant=variant,
                samples=config.samples,
                seed=config.seed,
                journal=journal,
                model=digest,
                **batch_sizes(config.rows, config.served),
                **limits(config),
            )
    settle(policy)
    tell_far(journal.records, folder)
    run.failures = sum(sample.verdict == "failed" for sample in journal.records)
    _tell_short(journal.records, protocol)
    for error in sorted({s.error for s in journal.records if s.error is not None})[:10]:
        say(f"failed: {error}")


def _tell_short(samples: Sequence[Sample], protocol: Protocol) -> None:
    """Say which videos gave fewer frames than the protocol wants: all they have."""
    few = [s for s in samples if 0 < s.frames < protocol.frames]
    if few and protocol.fps is None:
        asked, counts = len({s.question_id for s in few}), [s.frames for s in few]
        say(
            f"{asked:,} of the questions: the video has fewer than {protocol.frames} frames and "
            f"all were shown, {min(counts)} to {max(counts)}"
        )


def _conclude(
    run: Run,
    benchmark: Benchmark,
    chosen: Selection,
    protocol: Protocol,
    config: EvaluateConfig,
) -> None:
    """Read the records back, write the summary, print its tables."""
    samples = read_jsonl(run.path / "samples.jsonl", Sample)
    questions = read_jsonl(run.path / "questions.jsonl", Question)
    labels = {d.question_id: d for d in jsonl.labels(run.path)}
    summary: dict[str, Any] = {
        "benchmark": benchmark.name,
        "protocol": {**to_plain(protocol), "key": protocol.key},
        "model": samples[0].model,
        "needs_judge": dict(benchmark.needs_judge),
        "left_out": dict(chosen.left_out),
        **summarise(
            questions,
            samples,
            labels,
            benchmark.groupings,
            several=protocol.several,
            own=benchmark.own if protocol.name == "official" else None,
        ),
    }
    summary["without simulating"] = without_simulating(questions, labels, jsonl.audited(run.path))
    if config.compare is not None:
        summary["compared"] = compare(questions, samples, config.compare, labels)
    spent = costs(run.path)
    if spent is not None:
        summary["endpoint"] = spent
        say(cost_line(spent))
    write_atomic(run.path / "summary.json", msgspec.json.format(msgspec.json.encode(summary)))
    run.facts["shown"] = summary["shown"]
    for line in tables.render(summary):
        say(line)


def answered_by(other: Path, questions: Sequence[Question]) -> Answered:
    """What another evaluate run answered under the variant full, by question.

    Raises:
        UserError: the other folder has no samples, or no question in common.
    """
    theirs = by_question(read_jsonl(other / "samples.jsonl", Sample), "full")
    if not any(question.id in theirs for question in questions):
        raise UserError(f"{other}: has no question in common with this run; give another --compare")
    return theirs


def compare(
    questions: Sequence[Question],
    samples: Sequence[Sample],
    other: Path,
    labels: Mapping[str, Diagnosis],
) -> Mapping[str, Any]:
    """The paired difference to another evaluate run, on the questions both answered.

    With labels also which of the two earns more in training, and from which share on.

    Raises:
        UserError: see `answered_by`.
    """
    ours, theirs = by_question(samples, "full"), answered_by(other, questions)
    common = [q for q in questions if q.id in ours and q.id in theirs]
    return {
        "with": str(other),
        "protocols": sorted({sample.protocol for q in common for sample in theirs[q.id]}),
        "difference": asdict(metrics.paired(common, ours, theirs)),
        "ways": break_even.forecast(common, labels, ours, theirs),
    }
