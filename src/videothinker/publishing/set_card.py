"""A question set's card: what is in it, how its labels came about, and what they do not say."""

from collections import Counter
from collections.abc import Mapping, Sequence

from huggingface_hub import DatasetCardData

from videothinker import giveaways
from videothinker.benchmarks.base import tier_of
from videothinker.publishing.contents import RECORDS, Contents, sources
from videothinker.records import Diagnosis, Question, read_jsonl
from videothinker.run_file import QUESTIONS

LABELS = ("observational", "inferential", "excluded")
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
ABOUT = {
    "questions.jsonl": "all questions",
    "diagnosis.jsonl": "a label for each that has one, every rule's flag, and the evidence",
    "bias.jsonl": "the bias set: observational questions with their premise removed",
    "bias_as_is.jsonl": "the same questions as they are",
    "minimal_pairs.jsonl": "one video, one set of options, two premises",
    "natural_pairs.jsonl": "pairs of questions that differ in their premise",
    "audit.jsonl": "what options' places, lengths and words give away",
    "samples.jsonl": "every answer of the model that was probed",
}


def set_card(address: str, contents: Contents, terms: str) -> str:
    """The card, as Markdown with front matter.

    Args:
        address: where the set is going to lie.
        contents: the set.
        terms: its licence; empty where none was said.

    Raises:
        UserError: its records cannot be read.
    """
    name = address.rpartition("/")[2]
    questions = read_jsonl(contents.files[QUESTIONS], Question)
    told = contents.files.get("diagnosis.jsonl")
    labels = {d.question_id: d for d in read_jsonl(told, Diagnosis)} if told else {}
    records = [file for file in RECORDS if file in contents.files]
    lines = [
        *("---", _front(name, questions, records, terms), "---", ""),
        *(f"# {name}", "", _opening(sources(questions, contents.run), labels), ""),
        *("## How to use it", "", *_use(address, questions, contents), ""),
        *("## What is in it", "", *_counts(questions, labels), ""),
        *(
            "| file | what |",
            "|---|---|",
            *(f"| `{file}` | {ABOUT[file]} |" for file in records),
            "",
        ),
        *("## Limits", "", *_limits(questions, labels, contents), ""),
    ]
    return "\n".join(lines)


def _front(name: str, questions: Sequence[Question], records: Sequence[str], terms: str) -> str:
    size = next((words for most, words in SIZES if len(questions) < most), "n>1M")
    data = DatasetCardData(
        license=terms or None,
        pretty_name=name,
        task_categories=["video-text-to-text", "multiple-choice"],
        size_categories=[size],
        tags=["videothinker"],
        configs=[
            {"config_name": file.removesuffix(".jsonl"), "data_files": file}
            | ({"default": True} if file == QUESTIONS else {})
            for file in records
        ],
    )
    return data.to_yaml()


def _opening(named: str, labels: Mapping[str, Diagnosis]) -> str:
    told = f"Multiple-choice questions about videos ({named}), diagnosed with VideoThinker. "
    if not labels:
        return f"{told}No question is labelled."
    rules = ", ".join(sorted({d.rule for d in labels.values()}))
    return (
        f"{told}A label says whether a description of the video answers the question "
        f"(observational) or does not (inferential), by the rule `{rules}`."
    )


def _use(address: str, questions: Sequence[Question], contents: Contents) -> list[str]:
    rest = "" if _videos_here(questions, contents) else " --data-root VIDEOS"
    first = (
        f"train bias --data {address}{rest} --model MODEL --out runs/bias --as-is"
        if "bias.jsonl" in contents.files
        else f"diagnose {address}{rest} --probe MODEL --out runs/diagnosis"
    )
    then = f"evaluate --data {address}{rest} --model MODEL --out runs/evaluate"
    return ["```bash", f"videothinker {first}", f"videothinker {then}", "```"]


def _videos_here(questions: Sequence[Question], contents: Contents) -> bool:
    named = {q.video for q in questions if q.video is not None}
    return all(
        video in contents.files or any(file.startswith(f"{video}/") for file in contents.files)
        for video in named
    )


def _counts(questions: Sequence[Question], labels: Mapping[str, Diagnosis]) -> list[str]:
    def label(question: Question) -> str:
        found = labels.get(question.id)
        return "not labelled" if found is None else found.label

    names = [*LABELS, "not labelled"]
    lines = [f"| split | type | questions | {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
    for split, kind in sorted({(q.split, q.type) for q in questions}):
        group = [q for q in questions if (q.split, q.type) == (split, kind)]
        counts = Counter(label(q) for q in group)
        cells = [split, kind, f"{len(group):,}", *(f"{counts[name]:,}" for name in names)]
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return lines


def _limits(
    questions: Sequence[Question], labels: Mapping[str, Diagnosis], contents: Contents
) -> list[str]:
    found: list[str] = []
    inferential = [d.question_id for d in labels.values() if d.label == "inferential"]
    parts = giveaways.split(inferential, labels)
    if giveaways.AWAY in parts:
        found.append(
            f"{len(parts[giveaways.AWAY]):,} of {len(inferential):,} inferential questions give "
            f"themselves away: {giveaways.DEFINITION}. To answer them right one need not read "
            "the premise."
        )
    if giveaways.UNKNOWN in parts:
        found.append(
            "Labels come from a model's answers under probes, not from event logs: another model "
            "would give some other labels, and which questions give themselves away is not known."
        )
    if not labels:
        found.append("Nothing says which questions a shortcut answers.")
    if not any(q.split == "train" for q in questions):
        found.append("No question is of the split `train`: nothing is held out from training.")
    if tier_of(questions) == "transcript":
        found.append("Texts stand in the place of the videos (`context`).")
    elif not _videos_here(questions, contents):
        found.append("The videos are not here; `video` names them from their folder on.")
    found.append("The questions and videos keep their sources' own licences.")
    return [f"* {sentence}" for sentence in found]
