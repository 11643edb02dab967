"""What is diagnosed: a folder with event logs (CLEVRER's layout), or a list of questions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

import msgspec

from videothinker import hub
from videothinker.benchmarks import catalog, jsonl
from videothinker.benchmarks.base import Benchmark, kinds_of, told_kinds
from videothinker.clevrer.annotations import (
    SPLITS as SCENES,
)
from videothinker.clevrer.annotations import (
    Annotation,
    annotation_path,
    complain,
    list_annotations,
    read_annotation,
)
from videothinker.clevrer.answerers import Asked
from videothinker.clevrer.compact import render_compact
from videothinker.clevrer.grammar import remove_premise
from videothinker.clevrer.questions import (
    MINIMAL_PAIRS,
    Split,
    load_minimal_pairs,
    load_split,
    question_file,
    read_questions,
    to_records,
)
from videothinker.clevrer.transcript import render
from videothinker.diagnosis.config import DiagnoseConfig
from videothinker.diagnosis.evidence import diagnose_split
from videothinker.errors import UserError
from videothinker.lists.table import holds_list
from videothinker.records import Diagnosis, Question
from videothinker.runs import by_name
from videothinker.seeds import derive

SPLITS = ("train", "validation")
PAIRS_SPLIT = "validation"
"""The split whose videos a simulated world's minimal pairs are about."""
EMPTY_LIST = 8
"""Bytes of a question file that can hold no question: `[]` and white space."""


@dataclass(frozen=True)
class Source:
    """Questions, what the logs say of them, and where their videos lie."""

    questions: tuple[Question, ...]
    logs: tuple[Diagnosis, ...]
    """One a counterfactual question; for a list of questions, the diagnosis that lies beside it;
    empty where there are no logs."""
    data_root: Path
    benchmark: str
    """Under this name a protocol knows how it is asked."""
    asked: Mapping[str, Asked] = field(default_factory=dict[str, Asked])
    """Question id -> the same by its programs, of counterfactual questions on known scenes."""
    grouping: str | None = None
    """What questions without a label are tabulated by; None is their type."""
    pairs: tuple[Question, ...] = ()
    """Minimal pairs of a simulated world, the two of a pair beside each other."""
    pair_logs: tuple[Diagnosis, ...] = ()
    """What the logs say of each of their questions."""
    problems: tuple[str, ...] = ()
    """What was wrong and left out, in words."""
    notes: tuple[str, ...] = ()
    """What is no failure and should be known: questions of another kind, other counts."""


def has_logs(data: Path, config: DiagnoseConfig) -> bool:
    """Is it a folder in CLEVRER's layout (or meant to be one), and none that holds a list?"""
    return config.benchmark in (None, "clevrer") and data.is_dir() and not holds_list(data)


def present_splits(data: Path, wanted: str) -> list[str]:
    """The splits to read: those with a question file or annotations.

    A world made without validation scenes has an empty list of them: no split, unless it is asked
    for by name.

    Raises:
        UserError: none is there.
    """
    if wanted != "all":
        return [wanted]
    found = [name for name in SPLITS if _is_present(data, name)]
    if not found:
        raise UserError(
            f"{data}: holds neither train.json nor validation.json with questions, nor their "
            "annotations; give a folder in CLEVRER's layout, or a file of questions"
        )
    return found


def _is_present(data: Path, split: str) -> bool:
    path = question_file(data, split)
    written = path.is_file() and path.stat().st_size > EMPTY_LIST
    return written or bool(list_annotations(data, split))


def read_list(data: Path, config: DiagnoseConfig) -> Benchmark | None:
    """A list of questions; None where the data is a folder with event logs.

    Raises:
        UserError: there is nothing to read, found before a run folder is made.
    """
    if has_logs(data, config):
        return None
    return catalog.load(
        config.benchmark or "jsonl",
        data,
        config.split,
        root=config.data_root,
        accept_guesses=config.accept_guesses,
    )


def inputs_of(
    data: Path, config: DiagnoseConfig, listed: Benchmark | None
) -> dict[str, Path | None]:
    """The files and folders whose digests tell whether a run can be resumed.

    Annotations are digested content and all, a folder of a thousand at a time, so that an edited
    one is noticed and its folder named. Videos are not: they are many times as large.

    Raises:
        UserError: the folder holds no split.
    """
    if listed is None:
        splits = present_splits(data, config.split)
        files = [data / f"{MINIMAL_PAIRS}.json", *(question_file(data, name) for name in splits)]
        folders = {path.parent for name in splits for path in list_annotations(data, name)}
    else:
        files, folders = [*listed.files, jsonl.labels_file(data)], set[Path]()
    found = by_name([path for path in files if path.is_file()])
    found |= {path.relative_to(data).as_posix(): path for path in sorted(folders)}
    if config.probe is not None and (probed := hub.at_hand(config.probe)).is_dir():
        found["probe"] = probed
    return found


def read_with_logs(
    data: Path,
    splits: Sequence[str],
    rule: str,
    problems: list[UserError] | None,
    asked: dict[str, Asked] | None = None,
) -> tuple[list[Question], list[Diagnosis]]:
    """Read and label every split; one is let go before the next is read.

    `asked` collects counterfactual questions for the audit (see `evidence.diagnose_split`).
    """
    questions: list[Question] = []
    diagnoses: list[Diagnosis] = []
    for name in splits:
        split = load_split(data, name, problems=problems)
        sound: set[str] = set()
        for identity, diagnosis in diagnose_split(split, rule, problems=problems, asked=asked):
            sound.add(identity)
            if diagnosis is not None:
                diagnoses.append(diagnosis)
        records = to_records(split.scenes, data, name, problems=problems)
        questions += [question for question in records if question.id in sound]
    if not questions:
        raise UserError(f"{data}: holds no sound question; give a folder in CLEVRER's layout")
    return questions, _logs_of(questions, diagnoses)


def _logs_of(questions: Sequence[Question], diagnoses: Sequence[Diagnosis]) -> list[Diagnosis]:
    kept = {question.id for question in questions}
    return [diagnosis for diagnosis in diagnoses if diagnosis.question_id in kept]


def read_pairs(data: Path, split: str, problems: list[UserError] | None = None) -> list[Question]:
    """The minimal pairs of a simulated world, the two of a pair beside each other.

    Empty where it has none, or where the split they belong to is not read.
    """
    if not (data / f"{MINIMAL_PAIRS}.json").is_file() or split not in ("all", PAIRS_SPLIT):
        return []
    try:
        return load_minimal_pairs(data)
    except UserError as error:
        complain(problems, str(error))
        return []


def label_pairs(
    data: Path, pairs: Sequence[Question], rule: str, problems: list[UserError] | None
) -> list[Diagnosis]:
    """What the logs say of the minimal pairs' questions."""
    if not pairs:
        return []
    known: dict[int, Annotation] = {}
    for scene in dict.fromkeys(int(question.groups["scene"]) for question in pairs):
        try:
            known[scene] = read_annotation(annotation_path(data, PAIRS_SPLIT, scene))
        except UserError as error:
            complain(problems, str(error))
    asked = read_questions(data / f"{MINIMAL_PAIRS}.json")
    split = Split(MINIMAL_PAIRS, known, tuple(one for one in asked if one.scene_index in known))
    found = diagnose_split(split, rule, problems=problems)
    return [diagnosis for _, diagnosis in found if diagnosis is not None]


def with_transcripts(
    questions: Sequence[Question],
    data: Path,
    *,
    miss_rate: float,
    seed: int,
    compact: bool = True,
    problems: list[UserError] | None = None,
) -> Iterator[Question]:
    """Put each scene's transcript in the place of its video: the transcript tier.

    All questions of a scene see one transcript: an event that is missing is missing for all.

    Args:
        questions: of a CLEVRER folder, with their `scene` in `groups`, scene by scene.
        data: that folder; one annotation is read at a time, with its trajectories.
        miss_rate: each event is missing at this rate.
        seed: of the misses, together with the scene.
        compact: the form in few tokens, which the small base models are trained on.
        problems: collect what is wrong (such scenes are left out); else the first is raised.

    Raises:
        UserError: an annotation whose trajectories cannot be told.
    """
    write = render_compact if compact else render
    for scene, group in groupby(questions, key=lambda question: int(question.groups["scene"])):
        split = next(name for name, scenes in SCENES.items() if scene in scenes)
        path = annotation_path(data, split, scene)
        drawn = derive(seed, "diagnose", "transcript", scene)
        try:
            told = write(read_annotation(path, trajectories=True), miss_rate=miss_rate, seed=drawn)
        except UserError as error:
            text = str(error)
            complain(problems, text if text.startswith(str(path)) else f"{path}: {text}")
            continue
        for question in group:
            yield msgspec.structs.replace(question, video=None, context=told)


def _from_folder(data: Path, config: DiagnoseConfig) -> Source:
    problems: list[UserError] | None = [] if config.keep_going else None
    splits = present_splits(data, config.split)
    asked: dict[str, Asked] = {}
    questions, logs = read_with_logs(data, splits, config.rule, problems, asked)
    pairs = read_pairs(data, config.split, problems)
    pair_logs = label_pairs(data, pairs, config.rule, problems)
    if config.miss_rate is not None:
        told = partial(
            with_transcripts,
            data=data,
            miss_rate=config.miss_rate,
            seed=config.seed,
            compact=config.transcript == "compact",
        )
        questions = list(told(questions, problems=problems))
        pairs = list(told(pairs, problems=problems))
        logs = _logs_of(questions, logs)
    return Source(
        questions=tuple(questions),
        logs=tuple(logs),
        data_root=data.resolve(),
        benchmark="clevrer",
        asked=asked,
        pairs=tuple(pairs),
        pair_logs=tuple(pair_logs),
        # one scene may be at fault for its questions and for its pairs
        problems=tuple(dict.fromkeys(str(problem) for problem in problems or ())),
    )


def _from_list(data: Path, config: DiagnoseConfig, found: Benchmark) -> Source:
    if config.miss_rate is not None:
        raise UserError(f"{data}: a list of questions has no event logs; leave --miss-rate out")
    seen: set[str] = set()
    questions: list[Question] = []
    for question in found.questions:
        if question.id in seen:
            raise UserError(f"{data}: question id {question.id!r} comes twice; keep one of them")
        seen.add(question.id)
        bare = question.question_struck or remove_premise(question.question)
        questions.append(msgspec.structs.replace(question, question_struck=bare))
    ours = found.name == "jsonl"
    root = config.data_root or jsonl.data_root(data)
    kinds = kinds_of(questions)
    notes = [
        f"{count} {kind} questions, which need a judge model and not a choice"
        for kind, count in found.needs_judge.items()
    ]
    notes += [f"{count} questions {why}" for why, count in found.left_out.items()]
    if len(kinds) > 1 or "neither" in kinds:
        notes.append(f"several kinds, to be trained and evaluated apart: {told_kinds(kinds)}")
    return Source(
        questions=tuple(questions),
        logs=tuple(d for d in jsonl.labels(data) if d.question_id in seen) if ours else (),
        data_root=root.resolve(),
        benchmark=found.name,
        grouping=next(iter(found.groupings), None),
        notes=(*notes, *found.wrong_counts()),
    )


def read_source(data: Path, config: DiagnoseConfig, listed: Benchmark | None) -> Source:
    """What is to be diagnosed: `listed`, or what the folder with event logs holds.

    Raises:
        UserError: bad input (see `clevrer.questions.load_split`), or a question id twice.
    """
    return _from_folder(data, config) if listed is None else _from_list(data, config, listed)
