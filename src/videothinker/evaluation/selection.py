"""Which of a benchmark's questions can be asked and which are; what is not is counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from videothinker.benchmarks.base import Benchmark, tier_of
from videothinker.console import count, say
from videothinker.dependence import cluster_of
from videothinker.errors import UserError
from videothinker.evaluation.config import EvaluateConfig
from videothinker.records import Diagnosis, Question
from videothinker.run_file import SIMULATED
from videothinker.seeds import derive
from videothinker.video import BadVideo, check_there

NAMED = 10
"""Missing videos named one by one; the rest is counted."""


@dataclass(frozen=True)
class Selection:
    """What is asked, in the benchmark's order."""

    questions: tuple[Question, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why -> how many questions were left out."""


def wanted_types(benchmark: Benchmark, config: EvaluateConfig) -> tuple[str, ...] | None:
    """Question types to keep; CLEVRER's column in the paper's table is counterfactual."""
    datasets = {q.dataset for q in benchmark.questions}
    if config.types is None and datasets in ({"clevrer"}, {SIMULATED}):
        return ("counterfactual",)
    return config.types


def select(
    benchmark: Benchmark, config: EvaluateConfig, labels: Mapping[str, Diagnosis]
) -> Selection:
    """Apply types, label and limit; a question without a correct choice cannot be scored.

    Raises:
        UserError: nothing is left; what there is is named.
    """
    types = wanted_types(benchmark, config)
    kept = [q for q in benchmark.questions if types is None or q.type in types]
    present = Counter(q.type for q in benchmark.questions)
    if not kept:
        raise UserError(
            f"no question is of type {', '.join(types or ())}; there are {', '.join(present)}"
        )
    tier_of(kept)
    left_out = dict(benchmark.left_out)
    left_out |= {f"of type {name}": n for name, n in present.items() if types and name not in types}
    answerable = [q for q in kept if q.answer]
    left_out["no correct choice"] = len(kept) - len(answerable)
    if config.label is not None:
        named = [q for q in answerable if q.id in labels and labels[q.id].label == config.label]
        left_out[f"not labelled {config.label}"] = len(answerable) - len(named)
        answerable = named
    if not answerable:
        reasons = "; ".join(f"{why}: {n}" for why, n in left_out.items() if n)
        raise UserError(f"no question is left to ask ({reasons}); change the selection")
    drawn = draw(answerable, config.limit, config.seed)
    left_out["beyond the limit"] = len(answerable) - len(drawn)
    return Selection(tuple(drawn), {why: n for why, n in left_out.items() if n})


def draw(questions: Sequence[Question], limit: int | None, seed: int) -> list[Question]:
    """Whole videos in a seeded order until `limit` questions are there; the last one may be cut."""
    if limit is None or limit >= len(questions):
        return list(questions)
    by_video: dict[str, list[str]] = {}
    for question in questions:
        by_video.setdefault(cluster_of(question), []).append(question.id)
    order = sorted(by_video, key=lambda video: derive(seed, "limit", video))
    chosen = [name for video in order for name in by_video[video]][:limit]
    kept = set(chosen)
    return [q for q in questions if q.id in kept]


def missing_videos(benchmark: Benchmark, root: Path, *, follow_links: bool) -> dict[str, str]:
    """Video -> one sentence, for each that is missing, empty or outside the folder."""
    found: dict[str, str] = {}
    for video in dict.fromkeys(q.video for q in benchmark.questions if q.video is not None):
        try:
            check_there(root, video, follow_links=follow_links)
        except BadVideo as error:
            found[video] = str(error)
    return found


def check(benchmark: Benchmark, root: Path, *, follow_links: bool = False) -> None:
    """Say what is there and what is missing.

    Raises:
        UserError: something is; the first missing videos are named and all items are counted.
    """
    counts = benchmark.counts()
    say(f"{benchmark.name}: " + ", ".join(f"{k} {n:,}" for k, n in counts.items()))
    wrong = benchmark.wrong_counts()
    missing = missing_videos(benchmark, root, follow_links=follow_links)
    for sentence in [*wrong, *list(missing.values())[:NAMED]]:
        say(sentence)
    usable = len({q.id for q in benchmark.questions if q.video not in missing})
    if wrong or missing:
        published = max(benchmark.expected.get("questions", 0), counts["questions"])
        whole, do = f"is not the whole of {benchmark.name}: ", "download what is named above"
        if not benchmark.expected:
            whole, do = "", "mend what is named above, or give the videos' folder as --data-root"
        differ = f"{count(len(wrong), 'count')} differ, " if wrong else ""
        raise UserError(
            f"{root}: {whole}{usable:,} of {published:,} questions can be asked; {differ}"
            f"{count(len(missing), 'video')} cannot be used; {do}"
        )
    if not benchmark.expected:
        say(f"{root}: all {usable:,} questions have their videos; no counts are published for them")
        return
    say(f"{root}: the whole of {benchmark.name} is there, {usable:,} questions")
