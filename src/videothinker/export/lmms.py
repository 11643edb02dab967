"""`export --to lmms-eval`: a task folder for its `--include_path`, scored by label as ours are.

Of CLEVRER it asks the counterfactual questions, which lmms-eval has no task for; any other
diagnosed set does as well.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from videothinker import giveaways, hub
from videothinker.benchmarks import jsonl
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.export.config import INSTALL, ExportConfig
from videothinker.export.lmms_task import ALL
from videothinker.records import Diagnosis, Question, write_atomic
from videothinker.run_file import SIMULATED
from videothinker.runs import Run
from videothinker.video import BadVideo, locate

UTILS = '''"""Our prompt and parser in lmms-eval."""

from videothinker.export.lmms_task import doc_to_text, doc_to_visual, process_results

__all__ = ["doc_to_text", "doc_to_visual", "process_results"]
'''
TOKENS = 768
"""Most tokens of an answer, as in our own protocol."""


def write_lmms(data: Path, config: ExportConfig, run: Run) -> None:
    """Write the task's YAML, its functions and its rows.

    Args:
        data: a diagnose folder.
        config: which split is asked.
        run: the export's folder.

    Raises:
        UserError: no question is labelled, or a video is not there.
    """
    found = jsonl.load(data, config.split, root=config.data_root)
    labels = {row.question_id: row for row in jsonl.labels(data)}
    asked = [q for q in found.questions if q.id in labels and labels[q.id].label != "excluded"]
    if not asked:
        raise UserError(
            f"{data}: no question is labelled, and the task scores by label; label them with "
            "`diagnose` and --probe MODEL, or give a diagnosis of a folder in CLEVRER's layout"
        )
    root = (config.data_root or jsonl.data_root(data)).resolve()
    rows = _rows(asked, labels, root, follow_links=config.follow_links)
    splits = {question.split for question in asked}
    named = splits.pop() if len(splits) == 1 else "all"
    name = task_name(SIMULATED if jsonl.of_world(data, root, asked) else asked[0].dataset, named)
    path = run.path.resolve() / "rows.jsonl"
    write_atomic(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    groups = sorted({group for row in rows for group in row["groups"]})
    write_atomic(run.path / "utils.py", UTILS.encode())
    write_atomic(run.path / f"{name}.yaml", _task(name, path, groups).encode())
    run.facts |= {"rows": len(rows), "task": name}
    say(f"wrote the task {name} with {len(rows):,} questions to {config.out}")
    say(f"in lmms-eval's environment: {INSTALL}")
    where = hub.as_given(config.out)
    say(f"next: lmms-eval eval --include_path {where} --tasks {name} --model MODEL ...")


def task_name(dataset: str, split: str) -> str:
    """Of letters, digits and `_`."""
    return re.sub(r"\W+", "_", f"videothinker_{dataset}_{split}").lower()


def groups_of(diagnosis: Diagnosis) -> list[str]:
    """The metrics under which a question counts: its label, and the part that it is of."""
    if diagnosis.label != "inferential":
        return [diagnosis.label]
    part = giveaways.part_of(diagnosis)
    return ["inferential", "inferential_" + re.sub(r"\W+", "_", part)]


def _rows(
    asked: Sequence[Question], labels: Mapping[str, Diagnosis], root: Path, *, follow_links: bool
) -> list[dict[str, Any]]:
    places: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for name in dict.fromkeys(q.video for q in asked if q.video is not None):
        try:
            places[name] = _file(root, name, follow_links=follow_links)
        except BadVideo as error:
            wrong[name] = str(error)
    if wrong:
        lost = sum(question.video in wrong for question in asked)
        raise UserError(
            f"{next(iter(wrong.values()))} (of {lost:,} questions the task cannot have the video)"
        )
    return [
        {
            "question_id": question.id,
            "video": places[question.video] if question.video is not None else "",
            "context": question.context or "",
            "question": question.question,
            "choices": list(question.choices),
            "answer": list(question.answer),
            "groups": groups_of(labels[question.id]),
        }
        for question in asked
    ]


def _file(root: Path, name: str, *, follow_links: bool) -> str:
    video = locate(root, name, follow_links=follow_links)
    if video.is_dir():
        raise BadVideo(f"video {name!r} is a folder of images; encode it as a file")
    return str(video)


def _task(name: str, rows: Path, groups: list[str]) -> str:
    """The YAML; `!function` is lmms-eval's own tag, which no dumper writes."""
    plain: Mapping[str, Any] = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_target": "answer",
        "generation_kwargs": {"max_new_tokens": TOKENS, "temperature": 0, "do_sample": False},
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True}
            for metric in (ALL, *groups)
        ],
        "metadata": [{"version": 1.0}],
    }
    functions = ("doc_to_visual", "doc_to_text", "process_results")
    lines = [f"{function}: !function utils.{function}" for function in functions]
    return yaml.safe_dump(plain, sort_keys=False) + "\n".join([*lines, ""])
