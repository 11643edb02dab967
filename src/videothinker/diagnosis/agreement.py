"""How well do labels made without logs agree with labels made from them?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from videothinker.diagnosis.effects import is_negated
from videothinker.diagnosis.probes import survives
from videothinker.records import Question, Sample


@dataclass(frozen=True)
class Agreement:
    """A confusion table; *positive* is observational."""

    both: int
    """Observational under both."""
    only_predicted: int
    only_reference: int
    neither: int

    @property
    def n(self) -> int:
        """Questions that both label."""
        return self.both + self.only_predicted + self.only_reference + self.neither

    @property
    def precision(self) -> float | None:
        """Of those called observational, how many are? None where none is called so."""
        called = self.both + self.only_predicted
        return self.both / called if called else None

    @property
    def recall(self) -> float | None:
        """Of the observational ones, how many are found? None where there are none."""
        there = self.both + self.only_reference
        return self.both / there if there else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of the two; None where nothing is or is called observational."""
        total = 2 * self.both + self.only_predicted + self.only_reference
        return 2 * self.both / total if total else None

    @property
    def chance_f1(self) -> float | None:
        """F1 of calling as many questions observational, drawn blindly.

        With shares p (called) and b (observational), precision is b, recall p, F1 is 2pb / (p + b).
        """
        called, there = self.both + self.only_predicted, self.both + self.only_reference
        return 2 * called * there / (self.n * (called + there)) if called + there else None

    @property
    def all_f1(self) -> float | None:
        """F1 of calling every question observational: what a label must beat. 2b / (1 + b)."""
        there = self.both + self.only_reference
        return 2 * there / (self.n + there) if there else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa: agreement beyond chance; 0 for blind and for constant labels.

        None where both labels are constant.
        """
        called, there = self.both + self.only_predicted, self.both + self.only_reference
        by_chance = called * there + (self.n - called) * (self.n - there)
        if self.n == 0 or by_chance == self.n**2:
            return None
        return (self.n * (self.both + self.neither) - by_chance) / (self.n**2 - by_chance)


def agree(pairs: Iterable[tuple[bool | None, bool | None]]) -> Agreement:
    """Count (predicted, reference); pairs in which one does not apply are left out."""
    table = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for predicted, reference in pairs:
        if predicted is not None and reference is not None:
            table[predicted, reference] += 1
    return Agreement(*table.values())


def by_samples(
    questions: Sequence[Question],
    samples: Mapping[str, Sequence[Sample]],
    flags: Mapping[str, Mapping[str, bool | None]],
    references: Sequence[str],
    counts: Sequence[int],
) -> dict[int, dict[str, Agreement]]:
    """Agreement as a function of the number of samples a question.

    Args:
        questions: give the right answers.
        samples: question id -> its samples with the premise removed, in order.
        flags: question id -> the flags the event logs give.
        references: the rules to compare with.
        counts: how many of the samples to vote with.

    Returns:
        count -> rule -> agreement of the vote of the first `count` samples.

    Raises:
        ValueError: a question has fewer samples than asked for.
    """
    probed = [question for question in questions if samples.get(question.id)]
    fewest = min((len(samples[question.id]) for question in probed), default=0)
    if max(counts) > fewest:
        raise ValueError(f"{max(counts)} samples asked for; a question has {fewest}")
    found: dict[int, dict[str, Agreement]] = {}
    for count in counts:
        label = {q.id: survives(q, samples[q.id][:count]) for q in probed}
        found[count] = {
            rule: agree((label[q.id], flags.get(q.id, {}).get(rule)) for q in probed)
            for rule in references
        }
    return found


def dealt_anew(questions: Sequence[Question], rng: np.random.Generator) -> list[Question]:
    """The control: right answers exchanged among questions of as many choices and the same stem.

    Labels made with them must agree with nothing: F1 falls to that of blind labelling, kappa to 0.
    """
    alike: dict[tuple[int, bool], list[int]] = {}
    for place, question in enumerate(questions):
        alike.setdefault((len(question.choices), is_negated(question)), []).append(place)
    dealt = list(questions)
    for places in alike.values():
        for place, other in zip(places, rng.permutation(places), strict=True):
            answer = questions[int(other)].answer
            dealt[place] = msgspec.structs.replace(questions[place], answer=answer)
    return dealt
