"""What a diagnosis found: shares by rule and group, where rules disagree, what the probes answer.

Everything is counted from diagnosis.jsonl and questions.jsonl; a rule that does not apply to a
question (null) is left out of that rule's denominator, and the denominator is printed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from videothinker.errors import UserError
from videothinker.giveaways import AWAY, REST, UNKNOWN, part_of
from videothinker.records import Diagnosis, Question, Sample, read_jsonl
from videothinker.report.audit import audit_sheets
from videothinker.report.probing import probing_sheets
from videothinker.report.sheet import Sheet
from videothinker.report.sources import RunFolder

FEW, CROWD = 12, 4
"""A group with more values than FEW, or fewer questions a value than CROWD, is none to tabulate
(a scene number, say)."""

PROBED = (
    *("observational", "inferential"),
    *(f"inferential, {part}" for part in (AWAY, REST, UNKNOWN)),
    "all",
)
"""What the answers to a probe are counted by."""


@dataclass(frozen=True)
class Proportion:
    """`hits` of `n`."""

    name: str
    hits: int
    n: int

    @property
    def value(self) -> float:
        """In [0, 1]."""
        return self.hits / self.n


@dataclass(frozen=True)
class Diagnosed:
    """One diagnose run, counted."""

    run: RunFolder
    questions: Mapping[str, Question]
    rows: tuple[Diagnosis, ...]
    probing: tuple[Sheet, ...] = ()
    """The audit, and what probing found where a model was probed."""
    unread: Mapping[str, float] = field(default_factory=dict)
    """Probe -> share of the model's answers that no letter could be read from."""

    @property
    def used(self) -> list[Diagnosis]:
        """All but the excluded, of which the shares of labels, rules and groups do not speak."""
        return [row for row in self.rows if row.label != "excluded"]

    @property
    def labels(self) -> list[Proportion]:
        """Share of each label that occurs."""
        counts = Counter(row.label for row in self.used)
        order = ("observational", "inferential")
        return [
            Proportion(label, counts[label], counts.total()) for label in order if counts[label]
        ]

    @property
    def give_aways(self) -> list[Proportion]:
        """For each label, of the questions of which it is known: how many give themselves away."""
        found: list[Proportion] = []
        for label in ("observational", "inferential"):
            told = [part_of(row) for row in self.rows if row.label == label]
            known = [part for part in told if part != UNKNOWN]
            if known:
                found.append(Proportion(label, known.count(AWAY), len(known)))
        return found

    @property
    def rules(self) -> list[str]:
        """Every rule with a flag, in the order of the records."""
        return list(dict.fromkeys(rule for row in self.rows for rule in row.flags))

    @property
    def chosen(self) -> list[str]:
        """The rule (rarely rules) that gave the labels."""
        return list(dict.fromkeys(row.rule for row in self.rows))

    @property
    def by_rule(self) -> list[Proportion]:
        """Share of observational questions under every rule."""
        shares = []
        for rule in self.rules:
            flags = [row.flags[rule] for row in self.used if row.flags.get(rule) is not None]
            if flags:
                shares.append(Proportion(rule, sum(map(bool, flags)), len(flags)))
        return shares

    def disagreement(self, one: str, other: str) -> Proportion | None:
        """Questions on which two rules give different labels; None where they never both apply."""
        pairs = [(row.flags.get(one), row.flags.get(other)) for row in self.used]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        if not both:
            return None
        return Proportion(f"{one} against {other}", sum(a != b for a, b in both), len(both))

    @property
    def groups(self) -> dict[str, list[Proportion]]:
        """Share of observational questions for each value of each group (and split, and type)."""
        kept = self.used
        found: dict[str, list[Proportion]] = {}
        keys = dict.fromkeys(key for q in self.questions.values() for key in q.groups)
        for key in ("split", "type", *keys):
            values: dict[str, list[bool]] = {}
            for row in kept:
                q = self.questions[row.question_id]
                value = {**q.groups, "split": q.split, "type": q.type}.get(key)
                if value is not None:
                    values.setdefault(value, []).append(row.label == "observational")
            if 2 <= len(values) <= FEW and len(kept) >= CROWD * len(values):
                found[key] = [
                    Proportion(v, sum(hits), len(hits)) for v, hits in sorted(values.items())
                ]
        return found

    @property
    def probes(self) -> list[tuple[str, list[Proportion]]]:
        """Probe -> share of right answers: all, by label, inferential ones with their split."""
        found = []
        groups: dict[str, tuple[str, ...]] = {
            row.question_id: (row.label, "all") for row in self.rows
        }
        for row in self.rows:
            if row.label == "inferential":
                groups[row.question_id] = (row.label, "all", f"inferential, {part_of(row)}")
        for probe in dict.fromkeys(name for row in self.rows for name in row.probes):
            shares = []
            for label in PROBED:
                counts = [
                    row.probes[probe]
                    for row in self.rows
                    if probe in row.probes and label in groups[row.question_id]
                ]
                n = sum(total for _, total in counts)
                if n:
                    shares.append(Proportion(label, sum(right for right, _ in counts), n))
            found.append((probe, shares))
        return found

    @property
    def probed(self) -> list[str]:
        """Those of PROBED by which an answer is counted."""
        known = {share.name for _, shares in self.probes for share in shares}
        return [label for label in PROBED if label in known]


def read_diagnoses(runs: Sequence[RunFolder]) -> list[Diagnosed]:
    """Every diagnose run among `runs`.

    Raises:
        UserError: a diagnosis of a question that questions.jsonl does not hold.
    """
    found = []
    for run in runs:
        if run.stage != "diagnose":
            continue
        questions = {q.id: q for q in read_jsonl(run.path / "questions.jsonl", Question)}
        listed = run.path / "diagnosis.jsonl"
        rows = tuple(read_jsonl(listed, Diagnosis)) if listed.is_file() else ()
        strangers = [row.question_id for row in rows if row.question_id not in questions]
        if strangers:
            raise UserError(
                f"{run.path / 'diagnosis.jsonl'}: labels {strangers[0]!r}, which questions.jsonl "
                "lacks; run 'diagnose' again"
            )
        tables = (*audit_sheets(run), *probing_sheets(run))
        found.append(Diagnosed(run, questions, rows, tables, _unread(run)))
    return found


def _unread(run: RunFolder) -> dict[str, float]:
    listed = run.path / "samples.jsonl"
    verdicts: dict[str, list[bool]] = {}
    for sample in read_jsonl(listed, Sample) if listed.is_file() else []:
        verdicts.setdefault(sample.variant, []).append(sample.verdict != "ok")
    return {probe: sum(lost) / len(lost) for probe, lost in verdicts.items()}
