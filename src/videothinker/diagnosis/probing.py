"""Ask the probed model: every probe, several samples each, resumable sample by sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from videothinker.answering.ask import answer_questions
from videothinker.answering.protocols import resolve
from videothinker.answering.variants import applies
from videothinker.console import say
from videothinker.diagnosis.config import DiagnoseConfig
from videothinker.errors import UserError
from videothinker.policy.model import Policy, load_policy
from videothinker.records import Question, Sample
from videothinker.runs import Journal, Run
from videothinker.seeds import derive

Samples = dict[str, dict[str, list[Sample]]]
"""Probe -> question id -> its samples, in the order of their seeds."""


@dataclass(frozen=True)
class Probed:
    """What the model answered."""

    questions: tuple[Question, ...]
    samples: Samples
    model: str
    """Digest of the weights."""

    @property
    def failed(self) -> int:
        """Samples that could not be drawn: the video cannot be read."""
        return sum(
            sample.verdict == "failed"
            for by_question in self.samples.values()
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


def ask_all(
    policy: Policy,
    questions: Sequence[Question],
    data_root: Path,
    config: DiagnoseConfig,
    journal: Journal[Sample],
) -> Samples:
    """Every probe on every question it applies to."""
    protocol = resolve(
        config.protocol,
        config.benchmark,
        temperature=config.temperature,
        frames=config.frames,
        max_pixels=config.max_pixels,
        max_new_tokens=config.max_new_tokens,
    )
    digest = policy.digest
    found: Samples = {}
    for probe in config.probes:
        asked = [question for question in questions if applies(question, probe)]
        by_question: dict[str, list[Sample]] = {}
        for sample in answer_questions(
            policy,
            asked,
            data_root,
            protocol,
            variant=probe,
            samples=config.samples,
            seed=config.seed,
            journal=journal,
            model=digest,
        ):
            by_question.setdefault(sample.question_id, []).append(sample)
        found[probe] = by_question
    return found


def probe(
    run: Run, questions: Sequence[Question], data_root: Path, config: DiagnoseConfig
) -> Probed:
    """Probe `config.probe` on the questions that have a right answer; samples go to samples.jsonl.

    Raises:
        UserError: no model was given, or it cannot be loaded, or nothing can be asked.
    """
    if config.probe is None:
        raise UserError("no model to probe came; give --probe MODEL")
    asked = draw([q for q in questions if q.answer], config.limit, config.seed)
    if not asked:
        raise UserError("no question has a right answer, so nothing can be probed")
    policy = load_policy(config.probe, dtype=config.dtype, device=config.device)
    say(
        f"probing {config.probe} on {len(asked)} questions, {config.samples} samples each: "
        f"{', '.join(config.probes)}"
    )
    journal = run.journal("samples.jsonl", Sample)
    samples = ask_all(policy, asked, data_root, config, journal)
    return Probed(tuple(asked), samples, policy.digest)


def by_id(samples: Samples, name: str) -> Mapping[str, Sequence[Sample]]:
    """One probe's samples; empty where it was not run."""
    return samples.get(name, {})
