"""A model's card: front matter, how it was trained, what it scores and what not to expect of it.

All of it is read from records: the training run's run.json and metrics.jsonl, and the samples of
evaluate runs, whose accuracies are computed anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData

from videothinker import hub
from videothinker.algorithms.base import SAME_RESULT
from videothinker.algorithms.catalog import ALGORITHMS
from videothinker.benchmarks import jsonl
from videothinker.errors import UserError
from videothinker.estimates import between, percent
from videothinker.evaluation.summary import summarise
from videothinker.publishing.contents import Contents, sources
from videothinker.records import Question, Sample, Step, read_jsonl
from videothinker.run_file import RunFile, read_run_file
from videothinker.runs import digest_path
from videothinker.shipped import shipped

TASK = "video-text-to-text"
TRAINED = {f"train_{name}": kind for name, kind in ALGORITHMS.items()}
STAGES = {
    "pretrain": "A small video LLM, trained from scratch on simulated videos",
    "export": "A LoRA adapter merged into its base",
    **{stage: f"{kind.role}: {kind.meaning}" for stage, kind in TRAINED.items()},
}
"""What made a model."""
HEAD = ("questions", "right", "95 %", "n", "not read", "always A", "random", "blind")
COLUMNS = (
    "All in percent. An answer is right where exactly the right letters are given. Intervals are "
    "clustered by video. `not read` are answers without a readable letter, cut off or failed: they "
    "count as wrong. The last three columns are floors: always saying A, guessing, and this model "
    "without its video."
)
LEFT_OUT = frozenset({*SAME_RESULT, "out", "model", "bias", "success"})
"""Settings that the recipe in a card leaves out."""


@dataclass(frozen=True)
class Evaluated:
    """One evaluate run of the model, in numbers."""

    benchmark: str
    split: str
    protocol: str
    summary: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Of its table."""
        where = f", {self.split}" if self.split else ""
        return f"{self.benchmark}{where}, {self.summary['tier']} tier, protocol `{self.protocol}`"


def read_evaluation(path: Path, model: str) -> Evaluated:
    """An evaluate run's numbers, from its records.

    Args:
        path: its folder.
        model: the digest of the folder that is published.

    Raises:
        UserError: it is none, is not done, or is of another model.
    """
    run = read_run_file(path / "run.json")
    if run.stage != "evaluate" or run.status != "done":
        told = f"a run of {run.stage or 'nothing'} that is {run.status or 'not begun'}"
        raise UserError(f"{path}: is {told}; give evaluate runs that are done")
    if run.inputs.get("model") != model:
        raise UserError(
            f"{path}: is an evaluation of another model (its weights' digest is "
            f"{str(run.inputs.get('model'))[:12]}, the one published has {model[:12]}); evaluate "
            "the very folder that is pushed"
        )
    questions = read_jsonl(path / "questions.jsonl", Question)
    samples = read_jsonl(path / "samples.jsonl", Sample)
    labels = {d.question_id: d for d in jsonl.labels(path)}
    protocol = run.facts["protocol"]
    return Evaluated(
        benchmark=sources(questions, run),
        split=", ".join(sorted({q.split for q in questions})),
        protocol=protocol["key"],
        summary=summarise(questions, samples, labels, (), several=protocol["several"]),
    )


def model_card(address: str, contents: Contents, measured: Sequence[Evaluated], terms: str) -> str:
    """The card, as Markdown with front matter.

    Args:
        address: where the model is going to lie.
        contents: the model.
        measured: its evaluations.
        terms: its licence; empty where none was said.
    """
    run = contents.run
    name = address.rpartition("/")[2]
    base = contents.base or _name(run.config.get("model") if run else None)
    lines = [
        *("---", _front(name, contents, base, measured, terms), "---", ""),
        *(f"# {name}", "", _opening(contents, base), ""),
        *("## How to use it", "", *_use(address, contents), ""),
        *("## What it scores", "", *_scores(measured)),
        *(("## How it was trained", "", *_trained(contents, run)) if run else ()),
        *("## Limits", "", *_limits(run, measured), ""),
        *(
            f"Digest of the files, as in `run.json`: `{digest_path(contents.folder)}` (SHA-256).",
            "",
        ),
    ]
    return "\n".join(lines)


def _front(
    name: str,
    contents: Contents,
    base: str | None,
    measured: Sequence[Evaluated],
    terms: str,
) -> str:
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=one.benchmark,
            dataset_name=one.title,
            dataset_split=one.split or None,
            metric_type="accuracy",
            metric_name=f"exact match, {line['group']}",
            metric_value=round(line["exact"]["value"], 4),
        )
        for one in measured
        for line in one.summary["lines"]
    ]
    stage = contents.run.stage.partition("_")[2] if contents.run else ""
    if base is not None and hub.is_address(base):
        base = hub.read_address(base).id
    data = ModelCardData(
        license=terms or None,
        base_model=base if base is not None and base.count("/") == 1 else None,
        library_name="peft" if contents.base else "transformers",
        pipeline_tag=TASK,
        tags=["videothinker", *([stage] if stage else [])],
        model_name=name if results else None,
        eval_results=results or None,
    )
    return data.to_yaml()


def _name(model: object) -> str | None:
    """A hub name; None for a folder of somebody's machine."""
    if not isinstance(model, str):
        return None
    if hub.is_address(model):
        return hub.name_of(model)
    plain = model.count("/") == 1 and model[0] not in "./~" and not shipped(model).exists()
    return model if plain else None


def _opening(contents: Contents, base: str | None) -> str:
    what = STAGES.get(contents.run.stage if contents.run else "", "A video LLM")
    kind = "A LoRA adapter" if contents.base else "A complete model"
    start = f" It started from `{base}`." if base else ""
    return f"{kind}, made with VideoThinker. {what}.{start}"


def _use(address: str, contents: Contents) -> list[str]:
    plain = "" if contents.base else "; plain transformers loads it too"
    return [
        f"With VideoThinker installed{plain}:",
        "",
        "```bash",
        f"videothinker evaluate --model {address} --data DATA",
        f"videothinker ask VIDEO QUESTION --choice left right --model {address}",
        "```",
    ]


def _scores(measured: Sequence[Evaluated]) -> list[str]:
    if not measured:
        return ["Not evaluated: no run was given when this card was written.", ""]
    lines: list[str] = []
    for one in measured:
        lines += [f"### {one.title}", ""]
        lines += [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
        for row in one.summary["lines"]:
            exact, blind = row["exact"], row["blind"]
            lost = row["unparsed"] + row["truncated"] + row["failed"]
            spread = between(exact["low"], exact["high"])
            cells = [row["group"], percent(exact["value"]), spread, f"{exact['n']:,}"]
            cells += [percent(lost), percent(row["always A"]), percent(row["random"])]
            cells += [percent(blind["value"] if blind else None)]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return [*lines, COLUMNS, ""]


def _trained(contents: Contents, run: RunFile) -> list[str]:
    facts = run.facts
    lines: list[str] = []
    for name, words in (
        ("train_questions", "questions trained on"),
        ("tier", "tier"),
        ("labels", "their labels"),
        ("types", "their types"),
        ("splits", "their splits"),
        ("drawn_shares", "shares in which labels are drawn"),
        ("training_seconds", "seconds"),
    ):
        if name in facts:
            lines.append(f"| {words} | {_cell(facts[name])} |")
    path = contents.folder.parent / "metrics.jsonl"
    steps = read_jsonl(path, Step) if run.stage in TRAINED and path.is_file() else []
    if steps:
        last = steps[-1]
        reward = ", ".join(f"{name} {value:.2f}" for name, value in last.reward.items())
        lines.append(f"| steps | {last.step} |")
        lines.append(f"| mean rewards at the last step | {reward} |")
    if lines:
        lines = ["| | |", "|---|---|", *lines, ""]
    kept = {k: v for k, v in run.config.items() if k not in LEFT_OUT and v is not None}
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True).rstrip()
    return [*lines, "The settings, as a recipe for `--config`:", "", "```yaml", text, "```", ""]


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(part)}" for name, part in value.items())
    return f"{value:,}" if isinstance(value, int | float) else str(value).replace("|", "/")


def _limits(run: RunFile | None, measured: Sequence[Evaluated]) -> list[str]:
    """What the records say that it cannot do, or cannot be said to do."""
    found: list[str] = []
    if run is not None:
        algorithm = TRAINED.get(run.stage)
        if algorithm is not None and algorithm.limit:
            found.append(algorithm.limit)
        start = str(run.config.get("model"))
        warnings = [str(warning) for warning in run.facts.get("warnings", [])]
        found += [warning.replace(start, "the model it started from") for warning in warnings]
    tiers = {one.summary["tier"] for one in measured} | {run.facts.get("tier") if run else None}
    if "transcript" in tiers:
        found.append("It was trained or evaluated on transcripts of videos, not on their frames.")
    if not measured:
        found.append("Nothing is known of its accuracy.")
    few = [
        f"{row['group']} ({row['exact']['n']})"
        for one in measured
        for row in one.summary["lines"]
        if row["exact"]["n"] < 100
    ]
    if few:
        found.append(f"Fewer than 100 questions stand behind: {', '.join(dict.fromkeys(few))}.")
    found += [
        "One run of one seed: other seeds give other numbers.",
        "It answers multiple-choice questions about short videos; nothing else was tried.",
    ]
    return [f"* {one[0].upper()}{one[1:]}".replace("<", "&lt;") for one in found]
