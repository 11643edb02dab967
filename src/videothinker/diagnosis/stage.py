"""`videothinker diagnose`: which questions can be answered without reasoning?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from videothinker.clevrer.annotations import list_annotations
from videothinker.clevrer.questions import load_split, question_file, to_records
from videothinker.console import say
from videothinker.diagnosis.biasset import BiasSet, bias_set
from videothinker.diagnosis.config import RULES, DiagnoseConfig
from videothinker.diagnosis.evidence import diagnose_split
from videothinker.diagnosis.summary import lines, summarise
from videothinker.diagnosis.transcripts import with_transcripts
from videothinker.errors import UserError
from videothinker.records import Diagnosis, Question, write_atomic, write_jsonl
from videothinker.runs import Run, open_run


def present_splits(data: Path, wanted: str) -> list[str]:
    """The splits to read: those with a question file or annotations.

    Raises:
        UserError: none is there.
    """
    if not data.is_dir():
        raise UserError(f"{data}: is no folder; give one in CLEVRER's layout")
    names = ("train", "validation") if wanted == "all" else (wanted,)
    found = [
        name for name in names if question_file(data, name).exists() or list_annotations(data, name)
    ]
    if not found:
        raise UserError(
            f"{data}: holds neither {' nor '.join(f'{name}.json' for name in names)} nor their "
            "annotations; give a folder in CLEVRER's layout"
        )
    return found


def read_with_logs(
    data: Path, splits: Sequence[str], rule: str, problems: list[UserError] | None
) -> tuple[list[Question], list[Diagnosis]]:
    """Read and label every split; one is let go before the next is read."""
    questions: list[Question] = []
    diagnoses: list[Diagnosis] = []
    for name in splits:
        split = load_split(data, name, problems=problems)
        sound: set[str] = set()
        for identity, diagnosis in diagnose_split(split, rule, problems=problems):
            sound.add(identity)
            if diagnosis is not None:
                diagnoses.append(diagnosis)
        records = to_records(split.scenes, data, name, problems=problems)
        questions += [question for question in records if question.id in sound]
    if not questions:
        raise UserError(f"{data}: holds no sound question; give a folder in CLEVRER's layout")
    kept = {question.id for question in questions}
    return questions, [d for d in diagnoses if d.question_id in kept]


def write_outputs(
    run: Run, questions: Sequence[Question], diagnoses: Sequence[Diagnosis]
) -> BiasSet:
    """The four files of a diagnosis."""
    chosen = bias_set(questions, {d.question_id: d.label for d in diagnoses})
    write_jsonl(run.path / "questions.jsonl", questions)
    write_jsonl(run.path / "diagnosis.jsonl", diagnoses)
    write_jsonl(run.path / "bias.jsonl", chosen.struck)
    write_jsonl(run.path / "bias_as_is.jsonl", chosen.as_is)
    return chosen


def _tell(run: Run, summary: dict[str, Any], chosen: BiasSet, config: DiagnoseConfig) -> None:
    write_atomic(run.path / "summary.json", msgspec.json.format(msgspec.json.encode(summary)))
    for problem in summary["problems"]:
        say(f"left out: {problem}")
    for line in lines(summary, config.rule):
        say(line)
    say(
        f"bias set ({chosen.split or 'all splits'}): {len(chosen.struck)} with the premise struck "
        f"out, {len(chosen.as_is)} as they are, {chosen.not_applicable} not applicable (no premise)"
    )
    say(f"wrote {run.path}/questions.jsonl, diagnosis.jsonl, bias.jsonl, bias_as_is.jsonl")
    say(f"next: videothinker train bias --data {run.path} --model MODEL")


def diagnose(data: Path, config: DiagnoseConfig) -> Path:
    """Label questions as observational or inferential, and write the bias set.

    Args:
        data: a folder in CLEVRER's layout (real or simulated).
        config: see `DiagnoseConfig`.

    Returns:
        `config.out`, with questions.jsonl, diagnosis.jsonl, bias.jsonl, bias_as_is.jsonl and
        summary.json.

    Raises:
        UserError: bad input; see `clevrer.questions.load_split`.
    """
    splits = present_splits(data, config.split)
    inputs = {name: path for name in splits if (path := question_file(data, name)).is_file()}
    with open_run(config.out, "diagnose", config, inputs) as run:
        if run.done:
            say(f"{config.out}: is done already; delete it to run again")
            return config.out
        run.facts["data_root"] = str(data.resolve())
        problems: list[UserError] | None = [] if config.keep_going else None
        say(f"reading {data} ({', '.join(splits)})")
        questions, diagnoses = read_with_logs(data, splits, config.rule, problems)
        if config.miss_rate is not None:
            questions = list(
                with_transcripts(questions, data, miss_rate=config.miss_rate, seed=config.seed)
            )
        told = [str(problem) for problem in problems or ()]
        run.failures = len(told)
        chosen = write_outputs(run, questions, diagnoses)
        _tell(run, summarise(questions, diagnoses, RULES, told), chosen, config)
    return config.out
