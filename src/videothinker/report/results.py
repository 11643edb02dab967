"""Evaluations joined: boards (one benchmark, protocol and tier), arms (one way of training) on
them, and one answered set for each trained model. Tiers are never pooled.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from videothinker.errors import UserError
from videothinker.records import Diagnosis, Question, Sample, read_jsonl
from videothinker.report.sources import RunFolder, read_book, stage_of

Tier = Literal["video tier", "transcript tier"]
ROLES = {
    "pretrain": "Base",
    "train-bias": "Bias model",
    "train-grpo": "GRPO",
    "train-cdpo": "CDPO",
}
ORDER = ("Base", "Bias model", "GRPO", "CDPO")
NOT_A_SETTING = frozenset(
    {
        *("seed", "out", "json", "data", "data_root", "model", "bias", "success", "log_with"),
        *("save_steps", "save_total_limit", "eval_steps", "eval_questions"),
    }
)
"""Settings that do not make another arm: where things lie, what is looked at, and the seed."""


SIMULATED = "simulated world"
"""How questions about our own simulated videos are called, whatever their layout."""


@dataclass(frozen=True)
class Answered:
    """What one model answered: one evaluate run on one board."""

    run: RunFolder
    seed: int
    """The training seed of the model (its evaluation's seed where it was not trained here)."""
    samples: Mapping[str, Mapping[str, tuple[Sample, ...]]]
    """variant -> question id -> samples."""

    def scores(self, variant: str = "full", metric: str = "exact") -> dict[str, float]:
        """Question id -> mean score over its samples; failures are in it, as zeros."""
        found = self.samples.get(variant, {})
        return {
            q: sum(getattr(s, metric) for s in group) / len(group) for q, group in found.items()
        }


@dataclass(frozen=True)
class Arm:
    """One way of training, with one answered set for each seed."""

    name: str
    role: str
    answered: tuple[Answered, ...]


@dataclass(frozen=True)
class Board:
    """One benchmark's questions under one protocol, and every arm that answered them."""

    dataset: str
    split: str
    protocol: str
    tier: Tier
    questions: Mapping[str, Question]
    labels: Mapping[str, Diagnosis]
    arms: tuple[Arm, ...]

    @property
    def title(self) -> str:
        """Dataset, split, protocol and tier, as every table's title carries them."""
        return f"{self.dataset} {self.split} · protocol {self.protocol} · {self.tier}"

    def arm(self, role: str) -> Arm | None:
        """The first arm of a role, if there is one."""
        return next((arm for arm in self.arms if arm.role == role), None)

    def ids(self, label: str | None = None) -> list[str]:
        """Question ids, in order; those of one label where it is given."""
        if label is None:
            return list(self.questions)
        return [q for q in self.questions if q in self.labels and self.labels[q].label == label]


def origin(model: str, runs: Sequence[RunFolder]) -> tuple[str | None, dict[str, Any]]:
    """The stage that made a model and its run.json, found beside the weights or among `runs`.

    A model lies in `RUN/model` or in `RUN/checkpoints/step-N`. Where its folder has moved, the run
    of the same name among those given is taken.
    """
    path = Path(model)
    for folder in (path, path.parent, path.parent.parent):
        if folder.name and (folder / "run.json").is_file():
            book = read_book(folder)
            return stage_of(book), book
    for run in runs:
        if run.stage in ROLES and run.name in path.parts:
            return run.stage, run.book
    return None, {}


def _role(model: str, stage: str | None, runs: Sequence[RunFolder]) -> str:
    if stage in ROLES:
        return ROLES[stage]
    bases = {str(run.config.get("model")) for run in runs if run.stage in ROLES}
    return "Base" if model in bases or not bases else Path(model).name


def _settings(book: Mapping[str, Any], runs: Sequence[RunFolder]) -> dict[str, str]:
    config = book.get("config") or {}
    found = {k: str(v) for k, v in config.items() if k not in NOT_A_SETTING}
    if config.get("bias") is not None:
        stage, _ = origin(str(config["bias"]), runs)
        found["repels"] = ROLES.get(str(stage), Path(str(config["bias"])).name).lower()
    return found


def _names(keys: Iterable[tuple[str, tuple[tuple[str, str], ...]]]) -> dict[Any, str]:
    """A name for each (role, settings): the role, and what sets it apart from its like."""
    keys = list(dict.fromkeys(keys))
    names = {}
    for role, settings in keys:
        like = [dict(other) for r, other in keys if r == role]
        apart = [k for k, v in settings if any(other.get(k) != v for other in like)]
        words = ", ".join(f"{k} {dict(settings)[k]}" for k in apart)
        names[role, settings] = f"{role} ({words})" if words else role
    return names


def _tier(question: Question) -> Tier:
    return "transcript tier" if question.context is not None else "video tier"


def _is_world(root: Path) -> bool:
    """Are these the files of stage `world`? They are laid out as CLEVRER's, and are not CLEVRER."""
    return (root / "run.json").is_file() and stage_of(read_book(root)) == "world"


@dataclass(frozen=True)
class _Part:
    """One evaluate run's share of one board."""

    key: tuple[str, str, str, Tier]
    arm: tuple[str, tuple[tuple[str, str], ...]]
    answered: Answered
    questions: dict[str, Question]
    labels: dict[str, Diagnosis]


def _read_labels(run: RunFolder, runs: Sequence[RunFolder]) -> dict[str, Diagnosis]:
    """Labels from every diagnosis given; those the evaluation itself used come first."""
    folders = [r.path for r in runs if r.stage == "diagnose"] + [run.path]
    paths = [folder / "diagnosis.jsonl" for folder in folders]
    return {d.question_id: d for p in paths if p.is_file() for d in read_jsonl(p, Diagnosis)}


def _check(run: RunFolder, samples: Sequence[Sample], questions: Mapping[str, Question]) -> None:
    """Samples without their question, or (in a finished run) questions without their sample."""
    where = run.path / "samples.jsonl"
    if not samples:
        raise UserError(f"{where}: is empty; run 'evaluate' again")
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


def _parts(run: RunFolder, runs: Sequence[RunFolder]) -> list[_Part]:
    samples = read_jsonl(run.path / "samples.jsonl", Sample)
    questions = {q.id: q for q in read_jsonl(run.path / "questions.jsonl", Question)}
    _check(run, samples, questions)
    labels = _read_labels(run, runs)
    model = str(run.config.get("model", samples[0].model))
    stage, book = origin(model, runs)
    role = _role(model, stage, runs)
    arm = (role, tuple(sorted(_settings(book, runs).items())) if stage in ROLES else ())
    seed = int(book.get("seed") or 0) if book else run.seed
    grouped: dict[Any, dict[str, dict[str, list[Sample]]]] = {}
    simulated = _is_world(run.data_root)
    for s in samples:
        q = questions[s.question_id]
        dataset = SIMULATED if simulated else q.dataset
        by_variant = grouped.setdefault((dataset, q.split, s.protocol, _tier(q)), {})
        by_variant.setdefault(s.variant, {}).setdefault(q.id, []).append(s)
    parts = []
    for key, variants in grouped.items():
        held = {v: {q: tuple(group) for q, group in by.items()} for v, by in variants.items()}
        asked = {q: questions[q] for q in questions if any(q in by for by in held.values())}
        known = {q: labels[q] for q in asked if q in labels}
        parts.append(_Part(key, arm, Answered(run, seed, held), asked, known))
    return parts


def _place(arm: Arm) -> tuple[int, bool]:
    """Base, bias model, GRPO, CDPO, others; of one role, the plain recipe before its variants."""
    rank = ORDER.index(arm.role) if arm.role in ORDER else len(ORDER)
    return rank, "sampling" in arm.name and "sampling uniform" not in arm.name


def read_boards(runs: Sequence[RunFolder]) -> list[Board]:
    """Every board that the evaluate runs among `runs` answered, most labelled questions first.

    Raises:
        UserError: a record file is gone, empty, or does not fit its questions.
    """
    parts = [part for run in runs if run.stage == "evaluate" for part in _parts(run, runs)]
    names = _names(part.arm for part in parts)
    boards = []
    for key in dict.fromkeys(part.key for part in parts):
        here = [part for part in parts if part.key == key]
        arms: dict[Any, list[Answered]] = {}
        for part in here:
            arms.setdefault(part.arm, []).append(part.answered)
        listed = [
            Arm(names[arm], arm[0], tuple(sorted(a, key=lambda one: (one.seed, one.run.number))))
            for arm, a in arms.items()
        ]
        listed.sort(key=_place)
        questions = {q: question for part in here for q, question in part.questions.items()}
        labels = {q: label for part in here for q, label in part.labels.items()}
        boards.append(Board(*key, questions, labels, tuple(listed)))
    return sorted(boards, key=lambda board: -len(board.labels))
