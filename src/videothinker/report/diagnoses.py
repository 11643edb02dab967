"""What a diagnosis found: shares by rule and group, where rules disagree, what the probes answer.

Everything is counted from diagnosis.jsonl and questions.jsonl; a rule that does not apply to a
question (null) is left out of that rule's denominator, and the denominator is printed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from videothinker.errors import UserError
from videothinker.giveaways import AWAY, UNKNOWN, part_of
from videothinker.records import Diagnosis, Question, read_jsonl
from videothinker.report.probing import probing_sheets
from videothinker.report.sheet import Sheet
from videothinker.report.sources import RunFolder

FEW, CROWD = 12, 4
"""A group with more values than FEW, or fewer questions a value than CROWD, is none to tabulate
(a scene number, say)."""


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
    """What probing found, where a model was probed."""

    @property
    def labels(self) -> list[Proportion]:
        """Share of each label that occurs."""
        counts = Counter(row.label for row in self.rows)
        order = ("observational", "inferential", "excluded")
        return [
            Proportion(label, counts[label], len(self.rows)) for label in order if counts[label]
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
            flags = [row.flags[rule] for row in self.rows if row.flags.get(rule) is not None]
            if flags:
                shares.append(Proportion(rule, sum(map(bool, flags)), len(flags)))
        return shares

    def disagreement(self, one: str, other: str) -> Proportion | None:
        """Questions on which two rules give different labels; None where they never both apply."""
        pairs = [(row.flags.get(one), row.flags.get(other)) for row in self.rows]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        if not both:
            return None
        return Proportion(f"{one} against {other}", sum(a != b for a, b in both), len(both))

    @property
    def groups(self) -> dict[str, list[Proportion]]:
        """Share of observational questions for each value of each group (and split, and type)."""
        kept = [row for row in self.rows if row.label != "excluded"]
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
        """Probe -> share of right answers, over all questions and for each label."""
        found = []
        for probe in dict.fromkeys(name for row in self.rows for name in row.probes):
            shares = []
            for label in ("observational", "inferential", "all"):
                counts = [
                    row.probes[probe]
                    for row in self.rows
                    if probe in row.probes and label in (row.label, "all")
                ]
                n = sum(total for _, total in counts)
                if n:
                    shares.append(Proportion(label, sum(right for right, _ in counts), n))
            found.append((probe, shares))
        return found


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
        rows = tuple(read_jsonl(run.path / "diagnosis.jsonl", Diagnosis))
        strangers = [row.question_id for row in rows if row.question_id not in questions]
        if strangers:
            raise UserError(
                f"{run.path / 'diagnosis.jsonl'}: labels {strangers[0]!r}, which questions.jsonl "
                "lacks; run 'diagnose' again"
            )
        found.append(Diagnosed(run, questions, rows, tuple(probing_sheets(run))))
    return found
