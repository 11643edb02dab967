"""Which of a benchmark's questions are asked, and what is left out, counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from videothinker.benchmarks.base import Benchmark, tier_of
from videothinker.errors import UserError
from videothinker.evaluation.config import EvaluateConfig
from videothinker.evaluation.metrics import cluster_of
from videothinker.records import Diagnosis, Question
from videothinker.seeds import derive


@dataclass(frozen=True)
class Selection:
    """What is asked, in the benchmark's order."""

    questions: tuple[Question, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why -> how many questions were left out."""


def wanted_types(benchmark: Benchmark, config: EvaluateConfig) -> tuple[str, ...] | None:
    """Question types to keep; CLEVRER's column in the paper's table is counterfactual."""
    datasets = {q.dataset for q in benchmark.questions}
    if config.types is None and datasets == {"clevrer"}:
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
