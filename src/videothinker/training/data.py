"""The questions a stage trains on: a seeded draw, a validation slice, and what they are made of."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path

from videothinker import console, giveaways
from videothinker.algorithms.base import TrainConfig
from videothinker.benchmarks import jsonl
from videothinker.benchmarks.base import tier_of
from videothinker.errors import UserError
from videothinker.families import family_of
from videothinker.lists.arrow import is_dataset
from videothinker.records import Label, Question
from videothinker.run_file import QUESTIONS, RunFile, read_run_file
from videothinker.seeds import derive

ROLES: dict[str, Label] = {"irrelevant": "observational", "causal": "inferential"}
"""Role in a minimal pair -> its label under `same_truth`, by construction: the removal changes the
truth of no option, or of at least one."""

Part = tuple[str, tuple[float, float] | None]
"""A video and the clip of it that is asked about (null: all of it): what is decoded at once."""


def part_of(question: Question) -> Part | None:
    """What is decoded for a question; null for a transcript."""
    return None if question.video is None else (question.video, question.clip)


@dataclass(frozen=True)
class TrainingSet:
    """Questions in the run's seeded order."""

    source: Path
    """The file they came from."""
    data_root: Path
    """Where their videos lie."""
    train: tuple[Question, ...]
    validation: tuple[Question, ...]
    labels: dict[str, Label]
    """question id -> label; empty where the data has no diagnosis."""
    unanswerable: int
    """Questions left out because no choice is correct or the diagnosis excludes them."""
    undiagnosed: int
    """Questions left out because the diagnosis does not speak of them (other types)."""
    pool: tuple[Question, ...]
    """All that could be drawn, in order."""
    parts: dict[str, str] = field(default_factory=dict)
    """id of an inferential question -> does it give itself away? Where that is known."""
    bad: dict[Part, str] = field(default_factory=dict)
    """Videos whose questions are left out -> what is wrong with them."""

    @property
    def without_video(self) -> int:
        """Questions left out because their video cannot be read."""
        return sum(part_of(q) in self.bad for q in self.pool)

    @property
    def bad_names(self) -> dict[str, str]:
        """`a.mp4`, or `a.mp4 (2 to 5 s)` for a clip of it -> what is wrong with it."""
        return {
            video if clip is None else f"{video} ({clip[0]:g} to {clip[1]:g} s)": reason
            for (video, clip), reason in self.bad.items()
        }

    def composition(self) -> dict[str, object]:
        """What the draw is made of, for run.json."""
        told: dict[str, object] = {
            "train_questions": len(self.train),
            "held_out_questions": len(self.validation),
            "left_out_unanswerable": self.unanswerable,
            "left_out_undiagnosed": self.undiagnosed,
            "left_out_bad_video": self.without_video,
            "labels": _count(self.labels.get(q.id, "unlabelled") for q in self.train),
            "types": _count(q.type for q in self.train),
            "splits": _count(q.split for q in self.train),
            "tier": "transcript" if all(q.context for q in self.train) else "video",
            "held_out_labels": _count(self.labels.get(q.id, "unlabelled") for q in self.validation),
        }
        return told | {"bad_videos": self.bad_names} if self.bad else told


def _count(values: object) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))  # pyright: ignore[reportArgumentType, reportCallIssue]


def _tell_left_out(
    every: Sequence[Question],
    questions: Sequence[Question],
    asked: Sequence[Question],
    usable: Sequence[Question],
) -> None:
    """Each list is a part of the one before it."""
    splits, kept_splits = (Counter(f"of split {q.split}" for q in qs) for qs in (every, questions))
    left_out = splits - kept_splits
    left_out["without a diagnosis"] = len(questions) - len(asked)
    left_out["without a right answer, or that the diagnosis excludes"] = len(asked) - len(usable)
    for why, count in left_out.items():
        if count:
            console.say(f"left out: {count:,} questions {why}")


def _refuse_evaluation(folder: Path) -> None:
    """Refuse the questions of an evaluate run: they are held out, and a sample of a list.

    Raises:
        UserError: naming the list.
    """
    run_json = folder / "run.json"
    run = read_run_file(run_json) if run_json.is_file() else RunFile()
    if run.stage == "evaluate":
        raise UserError(
            f"{folder}: is a run of `evaluate`, whose questions are for measuring; give the list "
            f"that it asked from, {run.facts.get('data', 'such as a diagnose folder')}"
        )


def _source(data: Path, name: str) -> Path:
    """The list itself, or the file `name` of a diagnose folder.

    Raises:
        UserError: a folder without it, or of an evaluate run.
    """
    _refuse_evaluation(data if data.is_dir() else data.parent)
    source = data / name
    if data.is_file() or (is_dataset(data) and not source.is_file()):
        return data
    if not source.is_file() and (data / "audit.jsonl").is_file():
        raise UserError(
            f"{data}: its questions are audited and not labelled, so there is no {name}; "
            "label them first: videothinker diagnose with --probe MODEL"
        )
    return source


def _diagnosed(
    questions: Sequence[Question], source: Path
) -> tuple[dict[str, Label], dict[str, str]]:
    """Labels by id, and of inferential questions, where it is known, the part they are of."""
    labels: dict[str, Label] = {
        q.id: ROLES[q.groups["role"]] for q in questions if q.groups.get("role") in ROLES
    }
    rows = jsonl.labels(source)
    labels |= {row.question_id: row.label for row in rows}
    told = {row.question_id: giveaways.part_of(row) for row in rows if row.label == "inferential"}
    parts = {name: part for name, part in told.items() if part != giveaways.UNKNOWN}
    return labels, parts


def _of_train(questions: list[Question], source: Path) -> list[Question]:
    """The questions of the split `train`, or of the only one there is, with a warning.

    Raises:
        UserError: several splits, and none is `train`.
    """
    splits = sorted({q.split for q in questions})
    if "train" in splits:
        return [q for q in questions if q.split == "train"]
    if len(splits) > 1:
        raise UserError(
            f"{source}: no question belongs to the split 'train'; it has {', '.join(splits)}: "
            "call the one to learn from 'train'"
        )
    if splits:
        console.say(
            f"warning: {source}: no question belongs to the split 'train', so {splits[0]} is "
            "trained on; an evaluation on it would not be held out"
        )
    return questions


def load_training_set(data: Path, config: TrainConfig) -> TrainingSet:
    """Read a diagnose folder (or one of its question files) and draw.

    The order depends on the seed and each question's id alone, so the three stages see the
    questions they have in common in the same order; the two of a minimal pair stay together. The
    validation slice comes from the order's end, at most a tenth of all, half of each label where
    possible. Splits other than `train` stay out, unless there is but one: then it is used, with a
    warning.

    Raises:
        UserError: no such file, several splits of which none is `train`, no question with an answer
            in it, or a question without its pair
            where the reward wants pairs.
    """
    source = _source(data, config.trained_on())
    questions = every = jsonl.read_questions(
        source, root=config.data_root, accept_guesses=config.accept_guesses
    )
    labels, parts = _diagnosed(questions, source)
    if source.name == config.trained_on() != QUESTIONS and jsonl.facts(source).at_chance:
        console.say(
            f"warning: {source}: the model that was probed for it is not shown to be better than a "
            "guess, so it holds questions by chance; diagnose with another --probe MODEL"
        )
    questions = _of_train(questions, source)
    # A diagnosis covers the questions that can be shortcut at all (CLEVRER's counterfactual ones);
    # the paper trains on those alone.
    asked = [q for q in questions if q.id in labels] if labels else questions
    usable = [q for q in asked if q.answer and labels.get(q.id) != "excluded"]
    if not usable:
        raise UserError(
            f"{source}: holds no training question with an answer; a bias set is empty where no "
            "question was labelled observational: diagnose again with another --probe MODEL, or "
            "train bias with --as-is where questions have no premise"
        )
    tier_of(usable)
    _tell_left_out(every, questions, asked, usable)
    ordered = tuple(in_order(usable, config.seed, 0))
    train, validation = _draw(ordered, labels, config, source)
    return TrainingSet(
        source=source,
        data_root=config.data_root or jsonl.data_root(source),
        train=train,
        validation=validation,
        labels=labels,
        parts=parts,
        unanswerable=len(asked) - len(usable),
        undiagnosed=len(questions) - len(asked),
        pool=ordered,
    )


def leave_out(data: TrainingSet, bad: Mapping[Part, str], config: TrainConfig) -> TrainingSet:
    """The draw from a list without the questions of `bad` videos: as if it had never held them.

    Raises:
        UserError: a question without its pair where the reward wants pairs.
    """
    asked = {part_of(question) for question in data.pool}
    every = {part: reason for part, reason in (data.bad | dict(bad)).items() if part in asked}
    left = [q for q in data.pool if part_of(q) not in every]
    train, validation = _draw(left, data.labels, config, data.source)
    return replace(data, train=train, validation=validation, bad=every)


def to_come(
    data: TrainingSet, config: TrainConfig, *, step: int, position: int
) -> tuple[Question, ...]:
    """What may still be asked after `step` steps, which drew `position` questions."""
    most = config.prompts_per_step * (1 + config.refills())
    last = position + (config.max_steps - step) * most
    in_first_round = config.sampling == "uniform" and last <= len(data.train)
    asked = data.train[position:last] if in_first_round else data.train
    return asked + data.validation


def _draw(
    ordered: Sequence[Question], labels: dict[str, Label], config: TrainConfig, source: Path
) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """The questions to train on, and those to validate on."""
    validation = _validation(ordered, labels, config) if config.eval_steps else ()
    part: Callable[[Question], str] = family_of if config.whole_families else attrgetter("id")
    kept = {part(q) for q in validation}
    train = _first([q for q in ordered if part(q) not in kept], config.train_questions, part)
    if ordered and not train:
        raise UserError(
            f"{source}: no question is left to train on, with {len(validation)} to validate on and "
            f"at most {config.train_questions} to train on; ask for more, or validate on fewer"
        )
    if "pair_consistency" in config.reward_funcs:
        _check_pairs(train, source)
    return train, validation


def _first(
    questions: Sequence[Question], most: int, part: Callable[[Question], str]
) -> tuple[Question, ...]:
    """The first `most` (0: all) of them, no part of which is broken."""
    sizes, room = Counter(map(part, questions)), most or len(questions)
    kept = set[str]()
    for name in sizes:  # in the order of their first questions
        if sizes[name] <= room:
            kept.add(name)
            room -= sizes[name]
    return tuple(q for q in questions if part(q) in kept)


def in_order(questions: Sequence[Question], seed: int, epoch: int) -> list[Question]:
    """The seeded order of one epoch; a subset of the questions keeps their relative order.

    The two questions of a minimal pair stand beside each other, in the order in which they came.
    """
    return sorted(questions, key=lambda q: derive(seed, "order", epoch, q.groups.get("pair", q.id)))


def partners(questions: Mapping[int, Question]) -> dict[int, int]:
    """Item -> the item of the other question of its minimal pair, where that is there too."""
    pairs: dict[str, list[int]] = {}
    for item, question in questions.items():
        if "pair" in question.groups:
            pairs.setdefault(question.groups["pair"], []).append(item)
    both = [items for items in pairs.values() if len(items) == 2]
    return {one: other for pair in both for one, other in (pair, pair[::-1])}


def _check_pairs(train: Sequence[Question], source: Path) -> None:
    """Every draw of two is a minimal pair."""
    for place, question in enumerate(train):
        first = place - place % 2
        if place not in partners(dict(enumerate(train[first : first + 2], first))):
            raise UserError(
                f"{source}: question {question.id!r} has no partner beside it, which the reward "
                "'pair_consistency' needs; give the minimal_pairs.jsonl of a diagnose folder"
            )


def _validation(
    ordered: Sequence[Question], labels: dict[str, Label], config: TrainConfig
) -> tuple[Question, ...]:
    size = min(config.eval_questions, len(ordered) // 10)
    if config.whole_families:  # which have questions of both labels
        return _first(ordered[::-1], size, family_of) if size else ()
    if "pair_consistency" in config.reward_funcs:
        size -= size % 2  # a pair has one question of each label, so half of each are whole pairs
    chosen: list[Question] = []
    for label in ("observational", "inferential"):
        mine = [q for q in reversed(ordered) if labels.get(q.id) == label]
        chosen += mine[: size // 2]
    known = {q.id for q in chosen}
    rest = [q for q in reversed(ordered) if q.id not in known]
    return tuple(chosen + rest[: size - len(chosen)])
