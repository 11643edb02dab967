"""A cross-validated classifier on everything but the premise: what does a list give away?

It sees the options (words, lengths, places), the question's words without the premise, and, where
scenes are known, what happens in the video. A logistic regression says of each option whether it
is right; the folds hold whole videos, so nothing is learned from the video that is asked about.
"""

import importlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from videothinker.clevrer.answerers import Asked
from videothinker.dependence import cluster_of
from videothinker.prompts import LETTERS
from videothinker.records import Question
from videothinker.seeds import derive

NAME = "classifier, cross-validated"
FOLDS = 5
FEWEST_VIDEOS = 20
"""Fewer say nothing: a fold would hold three videos or less."""
MOST_QUESTIONS = 20_000
"""More do not move the estimate, and cost minutes."""
FREQUENT = 10
"""A wording that comes as often has features of its own."""
WORD = re.compile(r"[a-z0-9]+")
HASHED = 2**17
"""Places for features; two that fall on one place are one to it."""


@dataclass(frozen=True)
class Classified:
    """Question id -> is it right? Beside it what should be known, in words."""

    right: Mapping[str, bool]
    note: str | None = None


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _seen(asked: Asked) -> list[list[str]]:
    """For each option: what the video shows of it, and of the objects that no option names."""
    shown = asked.in_video
    balance = f"{sum(shown)}/{len(shown)}"
    offered = [pair for pair in asked.seen if pair in asked.options]
    named = {one for option in asked.options for one in option}
    spare = {one for pair in asked.seen for one in pair} - named
    found: list[list[str]] = []
    for happens, option in zip(shown, asked.options, strict=True):
        hits = sorted(sum(one in pair for pair in asked.seen) for one in option)
        near = any(pair & option and pair & spare for pair in asked.seen)
        ends = (option in offered[:1], option in offered[-1:])
        told = (f"of {balance}", f"hits {hits}", f"near unnamed {near}", f"ends {ends}")
        pieces = [f"seen {happens}", *(f"seen {happens}, {one}" for one in told)]
        found.append([*pieces, f"seen {happens}, near unnamed {near}, ends {ends}, of {balance}"])
    return found


def features(question: Question, asked: Asked | None, wording: str) -> Iterator[list[str]]:
    """For each option what is known of it without the premise, as the names of what holds.

    Args:
        question: its removed object is never looked at.
        asked: the same by its programs, where the scene is known.
        wording: the question without its premise where many ask so, else empty.
    """
    texts = [_words(choice) for choice in question.choices]
    lengths = [len(choice) for choice in question.choices]
    said = set(_words(_wording(question)))
    count = len(texts)
    seen: list[list[str]] = [[] for _ in texts] if asked is None else _seen(asked)
    for place, words in enumerate(texts):
        longer = sum(lengths[place] > other for other in lengths)
        shorter = sum(lengths[place] < other for other in lengths)
        about = [
            *(f"place {place}", f"place {place} of {count}", f"place {place - count}"),
            *(f"longer than {longer}", f"shorter than {shorter}", f"of {count}"),
            *(
                f"longer than {longer}, shorter than {shorter}",
                f"in question {len(said & {*words})}",
            ),
            *(f"word {word}" for word in words),
            f"text {' '.join(words)}",
        ]
        about += seen[place]
        yield [*about, f"asks {wording}", *(f"{wording}: {one}" for one in about if wording)]


def _drawn(questions: Sequence[Question], seed: int) -> list[Question]:
    """At most MOST_QUESTIONS, of whole videos drawn by the seed, in their own order."""
    if len(questions) <= MOST_QUESTIONS:
        return list(questions)
    sizes = Counter(map(cluster_of, questions))
    kept, total = set[str](), 0
    for video in sorted(sizes, key=lambda name: derive(seed, "diagnose", "classifier", name)):
        total += sizes[video]
        if total > MOST_QUESTIONS:
            break
        kept.add(video)
    return [question for question in questions if cluster_of(question) in kept]


def _library() -> Any | None:
    """scikit-learn, untyped; None where it is not installed."""
    try:
        for part in ("feature_extraction", "linear_model", "model_selection"):
            importlib.import_module(f"sklearn.{part}")
    except ImportError:
        return None
    return importlib.import_module("sklearn")


def _wording(question: Question) -> str:
    return question.question_struck or question.question


def _frequent(question: Question, common: Mapping[str, int]) -> str:
    """Its words without the premise where many ask so, else nothing."""
    words = _wording(question)
    return words if common[words] >= FREQUENT else ""


def _picked(chances: Sequence[float], *, single: bool) -> set[int]:
    """The options it picks: the likeliest, or all that are likelier than not."""
    best = max(range(len(chances)), key=lambda place: chances[place])
    return {best} if single else {i for i, one in enumerate(chances) if one > 0.5} | {best}


def classify(questions: Sequence[Question], asked: Mapping[str, Asked], seed: int) -> Classified:
    """Learn on four fifths of the videos, answer the last, five times.

    Args:
        questions: with an answer each.
        asked: question id -> the same by its programs, where scenes are known.
        seed: draws the videos where there are more than MOST_QUESTIONS questions.

    Returns:
        Which of the questions drawn are answered rightly, all options at once; none, with the
        reason, where scikit-learn is not installed or there is too little to learn from.
    """
    videos = len(set(map(cluster_of, questions)))
    if videos < FEWEST_VIDEOS:
        return Classified({}, f"{NAME}: not run, {videos} videos are too few ({FEWEST_VIDEOS})")
    library = _library()
    if library is None:
        return Classified(
            {},
            f"{NAME}: not run, scikit-learn is not installed; "
            "pip install scikit-learn and diagnose into a new --out",
        )
    drawn = _drawn(questions, seed)
    told = [asked.get(question.id) for question in drawn]
    # of a scene that is known it learns what happens, and what is asked turns that round
    turned = [one is not None and one.negated for one in told]
    common = Counter(map(_wording, drawn))
    rows = (
        row
        for question, one in zip(drawn, told, strict=True)
        for row in features(question, one, _frequent(question, common))
    )
    owner = [place for place, question in enumerate(drawn) for _ in question.choices]
    target = [
        (letter in question.answer) != negated
        for question, negated in zip(drawn, turned, strict=True)
        for letter in LETTERS[: len(question.choices)]
    ]
    happens = _out_of_fold(library, rows, target, [cluster_of(drawn[i]) for i in owner])
    chances: list[list[float]] = [[] for _ in drawn]
    for place, one in zip(owner, happens, strict=True):
        chances[place].append(1 - one if turned[place] else one)
    several = {question.type for question in drawn if len(question.answer) > 1}
    right: dict[str, bool] = {}
    for question, mine in zip(drawn, chances, strict=True):
        wanted = {LETTERS.index(letter) for letter in question.answer}
        right[question.id] = _picked(mine, single=question.type not in several) == wanted
    part = len(drawn) < len(questions)
    note = f"{NAME}: on {len(drawn)} questions, drawn by the seed" if part else None
    return Classified(right, note)


def _out_of_fold(
    library: Any, rows: Iterator[list[str]], target: Sequence[bool], groups: Sequence[str]
) -> list[float]:
    """For each row the chance that it is true, by a model that has not seen its video."""
    hasher = library.feature_extraction.FeatureHasher(HASHED, input_type="string")
    hashed, true = hasher.transform(rows), np.asarray(target)
    chances = np.zeros(len(true))
    for train, test in library.model_selection.GroupKFold(FOLDS).split(hashed, groups=groups):
        if true[train].min() == true[train].max():  # nothing to learn but that
            chances[test] = true[train][0]
            continue
        model = library.linear_model.LogisticRegression(solver="liblinear", C=0.3, random_state=0)
        chances[test] = model.fit(hashed[train], true[train]).predict_proba(hashed[test])[:, 1]
    return chances.tolist()
