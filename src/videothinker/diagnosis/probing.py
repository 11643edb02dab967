"""Ask the probed model: every probe, several samples each, resumable sample by sample."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videothinker.answering.ask import answer_questions
from videothinker.answering.pixels import tell_far
from videothinker.answering.placing import Elsewhere, batch_sizes, load
from videothinker.answering.served import cost_line, costs, settle
from videothinker.answering.variants import applies
from videothinker.benchmarks.catalog import resolve
from videothinker.benchmarks.protocols import Protocol
from videothinker.budget import limits
from videothinker.console import say
from videothinker.diagnosis.config import DiagnoseConfig
from videothinker.diagnosis.rotation import by_question, refuse_alike, rotated
from videothinker.diagnosis.sources import Source
from videothinker.errors import UserError
from videothinker.models.base import Model
from videothinker.models.placement import Placement
from videothinker.records import Question, Sample, Variant
from videothinker.runs import Journal, Run
from videothinker.seeds import derive

Samples = dict[str, dict[str, list[Sample]]]
"""Probe -> question id -> its samples, in the order of their seeds."""


@dataclass(frozen=True)
class Probed:
    """What the model answered."""

    questions: tuple[Question, ...]
    samples: Samples
    pairs: tuple[tuple[Question, Question], ...]
    """The minimal pairs that were asked, as they are."""
    pair_samples: dict[str, list[Sample]]
    """Question id of a pair's member -> its samples."""
    ways: tuple[dict[str, list[Sample]], ...]
    """Of each beginning of an answer that was given: question id -> its samples."""
    model: str
    """Digest of the weights, or what a served model is called."""

    @property
    def failed(self) -> int:
        """Samples that could not be drawn: the video cannot be read."""
        return sum(
            sample.verdict == "failed"
            for by_question in (*self.samples.values(), self.pair_samples, *self.ways)
            for drawn in by_question.values()
            for sample in drawn
        )


def draw(questions: Sequence[Question], limit: int | None, seed: int) -> list[Question]:
    """`limit` of the questions, drawn by the seed, in their own order; all where it is None."""
    if limit is None or limit >= len(questions):
        return list(questions)
    first = sorted(questions, key=lambda q: derive(seed, "diagnose", "limit", q.id))[:limit]
    chosen = {question.id for question in first}
    return [question for question in questions if question.id in chosen]


@dataclass(frozen=True)
class Asker:
    """The probed model and everything that stays the same from probe to probe."""

    policy: Model
    digest: str
    protocol: Protocol
    data_root: Path
    config: DiagnoseConfig
    journal: Journal[Sample]

    def ask(self, questions: Sequence[Question], probe: Variant) -> dict[str, list[Sample]]:
        """Question id -> its samples; a question to which the probe does not apply has none."""
        asked = [question for question in questions if applies(question, probe)]
        samples = answer_questions(
            self.policy,
            [rotated(question, i) for question in asked for i in range(self.config.samples)],
            self.data_root,
            self.protocol,
            variant=probe,
            seed=self.config.seed,
            journal=self.journal,
            model=self.digest,
            **batch_sizes(32, self.config.served),
            **limits(self.config),
        )
        return by_question(asked, samples)


def protocol_of(config: DiagnoseConfig, benchmark: str) -> Protocol:
    """The protocol with the changes the config asks for."""
    return resolve(
        config.protocol,
        benchmark,
        temperature=config.temperature,
        frames=config.frames,
        max_pixels=config.max_pixels,
        max_new_tokens=config.max_new_tokens,
    )


def probe(
    run: Run,
    source: Source,
    questions: Sequence[Question],
    placed: Placement | Elsewhere,
    config: DiagnoseConfig,
) -> Probed:
    """Probe the model on the questions that have a right answer; samples go to samples.jsonl.

    Minimal pairs are asked as they are, where the `full` probe is run.

    Raises:
        UserError: the model cannot be loaded, or nothing can be asked.
    """
    asked = draw([q for q in questions if q.answer], config.limit, config.seed)
    if not asked:
        raise UserError("no question has a right answer, so nothing can be probed")
    both = zip(source.pairs[::2], source.pairs[1::2], strict=True)
    pairs = [two for two in both if two[0].answer and two[1].answer]
    chosen = {q.id for q in draw([one for one, _ in pairs], config.limit, config.seed)}
    pairs = [two for two in pairs if two[0].id in chosen and "full" in config.probes]
    refuse_alike([*asked, *(question for two in pairs for question in two)], config.samples)
    run.facts |= placed.facts
    for line in placed.lines:
        say(line)
    policy = load(placed, run)
    say(
        f"probing {placed.source} on {len(asked)} questions and {len(pairs)} minimal pairs, "
        f"{config.samples} samples each: {', '.join(config.probes)}"
    )
    asker = Asker(
        policy=policy,
        digest=policy.digest,
        protocol=protocol_of(config, source.benchmark),
        data_root=source.data_root,
        config=config,
        journal=run.journal("samples.jsonl", Sample),
    )
    probed = Probed(
        questions=tuple(asked),
        samples={name: asker.ask(asked, name) for name in config.probes},
        pairs=tuple(pairs),
        pair_samples=asker.ask([question for two in pairs for question in two], "full"),
        ways=_answer_in_ways(run, asker, asked),
        model=asker.digest,
    )
    settle(policy)
    tell_far(asker.journal.records, placed.folder)
    spent = costs(run.path)
    if spent is not None:
        run.facts["endpoint"] = spent
        say(cost_line(spent))
    return probed


def _answer_in_ways(
    run: Run, asker: Asker, questions: Sequence[Question]
) -> tuple[dict[str, list[Sample]], ...]:
    """The questions as they are, answers made to begin in each way; to ways.jsonl."""
    if not asker.config.ways:
        return ()
    journal = run.journal("ways.jsonl", Sample)
    return tuple(
        replace(asker, protocol=replace(asker.protocol, prefill=way), journal=journal).ask(
            questions, "full"
        )
        for way in asker.config.ways
    )
