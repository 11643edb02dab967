"""Evaluations joined: boards (one benchmark, protocol and tier), methods (one way of training) on
them, and one evaluation for each trained model. Tiers are never pooled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from msgspec.structs import replace

from videothinker import families, giveaways
from videothinker.benchmarks import catalog, jsonl
from videothinker.benchmarks.base import OwnMetric
from videothinker.clevrer.answerers import HANDED_ON
from videothinker.dependence import average
from videothinker.errors import UserError
from videothinker.families import WHOLE
from videothinker.giveaways import AWAY, REST
from videothinker.records import Diagnosis, Question, Sample, read_jsonl
from videothinker.report.methods import MethodKey, Origin, names, origins, place
from videothinker.report.sources import BASE, ROLES, RunFolder
from videothinker.run_file import SIMULATED

TierName = Literal["video tier", "transcript tier"]
Counted = tuple[str, ...]
"""Ids of questions that count together: one alone, or a family, which is right as a whole."""
PARTS = (AWAY, REST)
"""Into what inferential questions are split, wherever their accuracy is shown."""


@dataclass(frozen=True)
class Evaluation:
    """What one model answered: one evaluate run on one board."""

    run: RunFolder
    seed: int
    """The training seed of the model (its evaluation's seed where it was not trained here)."""
    model: str
    """Digest of its weights."""
    samples: Mapping[str, Mapping[str, tuple[Sample, ...]]]
    """variant -> question id -> samples."""

    def scores(self, variant: str = "full", metric: str = "exact") -> dict[str, float]:
        """Question id -> mean score over its samples; failures are in it, as zeros."""
        found = self.samples.get(variant, {})
        return {question: average(answers, metric) for question, answers in found.items()}


@dataclass(frozen=True)
class Method:
    """One way of training, with one evaluation for each seed."""

    name: str
    role: str
    evaluations: tuple[Evaluation, ...]

    def unparsed(self, ids: Sequence[str], variant: str = "full") -> float:
        """Share of the answers to `ids`, over all seeds, that could not be read."""
        answers = [
            sample
            for one in self.evaluations
            for q in ids
            for sample in one.samples.get(variant, {}).get(q, ())
        ]
        return sum(sample.verdict != "ok" for sample in answers) / len(answers)


@dataclass(frozen=True)
class Board:
    """One benchmark's questions under one protocol, and every method that answered them."""

    dataset: str
    split: str
    protocol: str
    tier: TierName
    questions: Mapping[str, Question]
    labels: Mapping[str, Diagnosis]
    methods: tuple[Method, ...]
    without_simulating: Mapping[str, bool]
    """Question id -> is whoever reads the premise and simulates nothing right? Of those audited."""
    apart: str = ""
    """What tells it from another board of the same name: the run whose questions it holds."""
    unchanged: tuple[str, ...] = ()
    """A sentence for each model that has the very weights of another one here."""

    @property
    def title(self) -> str:
        """Dataset, split, protocol and tier, as every table's title carries them."""
        words = f"{self.dataset} {self.split} · protocol {self.protocol} · {self.tier}"
        return f"{words} · as asked in {self.apart}" if self.apart else words

    def method(self, role: str) -> Method | None:
        """The first method of a role, if there is one."""
        return next((method for method in self.methods if method.role == role), None)

    def ids(self, label: str | None = None) -> list[str]:
        """Question ids, in order; those of one label where it is given."""
        if label is None:
            return list(self.questions)
        return [q for q in self.questions if q in self.labels and self.labels[q].label == label]

    @property
    def by_part(self) -> dict[str, list[str]]:
        """The inferential questions by part: give-aways, the rest, or not known."""
        return giveaways.split(self.ids("inferential"), self.labels)

    @property
    def several(self) -> bool:
        """May an answer hold several letters?"""
        protocol = self.methods[0].evaluations[0].run.facts.protocol
        return protocol is not None and protocol.several

    @property
    def own(self) -> OwnMetric | None:
        """How the benchmark's authors score, where it was asked as they ask."""
        protocol = self.methods[0].evaluations[0].run.facts.protocol
        if protocol is None or protocol.name != "official" or protocol.benchmark is None:
            return None  # early versions did not record the benchmark
        return catalog.about(protocol.benchmark).own

    @property
    def parts(self) -> tuple[str, ...]:
        """PARTS where some inferential questions give themselves away; else there is no split."""
        return PARTS if AWAY in self.by_part else ()

    @cached_property
    def families(self) -> list[Counted]:
        """Ids of the questions of each family, in their order."""
        return [tuple(q.id for q in one) for one in families.families(self.questions.values())]

    def units(self, name: str | None = None) -> list[Counted]:
        """What is counted of a label, of a part of the inferential, of WHOLE, or (None) of all."""
        if name == WHOLE:
            return self.families
        return [(q,) for q in (self.by_part.get(name, []) if name in PARTS else self.ids(name))]


@dataclass(frozen=True)
class _Part:
    """One evaluate run's share of one board."""

    key: tuple[str, str, str, TierName]
    kind: MethodKey
    evaluation: Evaluation
    questions: dict[str, Question]
    labels: dict[str, Diagnosis]

    def fits(self, others: Sequence["_Part"]) -> bool:
        """Do they mean the same questions and labels by the same ids?"""
        return all(
            theirs.get(q, mine) == mine
            for other in others
            for here, theirs in ((self.questions, other.questions), (self.labels, other.labels))
            for q, mine in here.items()
        )


def _read_labels(run: RunFolder, runs: Sequence[RunFolder]) -> dict[str, Diagnosis]:
    """The labels the evaluation itself used; where it used none, those of the diagnoses given."""
    own = run.path / "diagnosis.jsonl"
    given = [r.path / "diagnosis.jsonl" for r in runs if r.stage == "diagnose"]
    paths = [own] if own.is_file() else [path for path in given if path.is_file()]  # or an audit
    return {d.question_id: d for path in paths for d in read_jsonl(path, Diagnosis)}


def _check(run: RunFolder, samples: Sequence[Sample], questions: Mapping[str, Question]) -> None:
    """Samples without their question, or (in a finished run) questions without their sample."""
    where = run.path / "samples.jsonl"
    strangers = sorted({s.question_id for s in samples} - questions.keys())
    if strangers:
        raise UserError(
            f"{where}: answers {strangers[0]!r}, which its questions.jsonl does not hold; "
            "run 'evaluate' again"
        )
    full = {s.question_id for s in samples if s.variant == "full"}
    lost = [q for q in questions if q not in full]
    if run.done and full and lost:
        raise UserError(
            f"{where}: {len(lost):,} of {len(questions):,} answers are gone (first {lost[0]!r}) "
            "though the run is done, and a report is computed from records alone; "
            "run 'evaluate' again"
        )


def _read_questions(run: RunFolder) -> dict[str, Question]:
    """Questions by id.

    Those of a simulated world get the dataset name that published copies carry, so that both
    compare equal.
    """
    found = read_jsonl(run.path / "questions.jsonl", Question)
    if run.facts.of_world:
        found = [replace(question, dataset=SIMULATED) for question in found]
    return {question.id: question for question in found}


def _parts(run: RunFolder, made: Origin, runs: Sequence[RunFolder]) -> list[_Part]:
    samples = read_jsonl(run.path / "samples.jsonl", Sample)
    questions = _read_questions(run)
    _check(run, samples, questions)
    labels = _read_labels(run, runs)
    seed = run.seed if made.seed is None else made.seed
    grouped: dict[Any, dict[str, dict[str, list[Sample]]]] = {}
    for s in samples:
        q = questions[s.question_id]
        tier: TierName = "video tier" if q.context is None else "transcript tier"
        by_variant = grouped.setdefault((q.dataset, q.split, s.protocol, tier), {})
        by_variant.setdefault(s.variant, {}).setdefault(q.id, []).append(s)
    parts = []
    for key, variants in grouped.items():
        held = {v: {q: tuple(group) for q, group in by.items()} for v, by in variants.items()}
        asked = {q: questions[q] for q in questions if any(q in by for by in held.values())}
        known = {q: labels[q] for q in asked if q in labels}
        evaluation = Evaluation(run, seed, samples[0].model, held)
        parts.append(_Part(key, made.kind, evaluation, asked, known))
    return parts


def _same_weights(parts: Sequence[_Part]) -> tuple[str, ...]:
    """A sentence for each model whose weights are those of another method or seed.

    Raises:
        UserError: two evaluations of one model answer the same questions the same way; it would
            count twice.
    """
    seen: dict[tuple[str, str], _Part] = {}
    found: dict[str, None] = {}
    for part in parts:
        for variant in part.evaluation.samples:
            first = seen.setdefault((part.evaluation.model, variant), part)
            here, there = part.evaluation, first.evaluation
            if here.run is there.run:
                continue
            if (part.kind, here.seed) == (first.kind, there.seed):
                raise UserError(
                    f"{there.run.path} and {here.run.path} hold the same model's answers to "
                    f"the same questions (variant {variant}); give one of them"
                )
            trained = part.kind[0] != BASE and part.kind[0] in ROLES.values()
            why = "; its training changed nothing" if trained else ""
            found[
                f"The model of {here.run.name} ({part.kind[0]}, seed {here.seed}) has the very "
                f"weights of that of {there.run.name} ({first.kind[0]}, seed {there.seed}){why}."
            ] = None
    return tuple(found)


def _board(parts: Sequence[_Part], called: Mapping[MethodKey, str], apart: str) -> Board:
    ordered = sorted(parts, key=lambda part: place(part.kind))
    unchanged = _same_weights(ordered)
    methods = []
    for kind in sorted(dict.fromkeys(part.kind for part in parts), key=place):
        evaluations = [part.evaluation for part in parts if part.kind == kind]
        evaluations.sort(key=lambda one: (one.seed, one.run.number))
        methods.append(Method(called[kind], kind[0], tuple(evaluations)))
    questions = {q: question for part in parts for q, question in part.questions.items()}
    labels = {q: label for part in parts for q, label in part.labels.items()}
    audited = {
        one.question_id: one.right[HANDED_ON]
        for folder in dict.fromkeys(part.evaluation.run.path for part in parts)
        for one in jsonl.audited(folder)
        if one.question_id in questions and HANDED_ON in one.right
    }
    return Board(*parts[0].key, questions, labels, tuple(methods), audited, apart, unchanged)


def read_boards(runs: Sequence[RunFolder]) -> list[Board]:
    """Every board that the evaluate runs among `runs` answered, most labelled questions first.

    Evaluations that mean different questions (or labels) by the same ids, such as two worlds of
    different seeds, are on boards of their own.

    Raises:
        UserError: a record file is gone, empty, or does not fit its questions; or a model's answers
            come twice.
    """
    evaluated = [run for run in runs if run.stage == "evaluate"]
    made = origins([str(run.config.get("model")) for run in evaluated], runs)
    parts = [p for run, o in zip(evaluated, made, strict=True) for p in _parts(run, o, runs)]
    called = names(part.kind for part in parts)
    groups: list[list[_Part]] = []
    for part in parts:
        like = [group for group in groups if group[0].key == part.key and part.fits(group)]
        if like:
            like[0].append(part)
        else:
            groups.append([part])
    keys = [group[0].key for group in groups]
    boards = [
        _board(group, called, group[0].evaluation.run.name if keys.count(group[0].key) > 1 else "")
        for group in groups
    ]
    return sorted(boards, key=lambda board: -len(board.labels))
