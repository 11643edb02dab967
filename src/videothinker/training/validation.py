"""Validation: accuracy by label on a small slice kept out of training, greedily decoded."""

from dataclasses import replace
from statistics import fmean

from videothinker import answers
from videothinker.generation.base import generate
from videothinker.training.processes import Processes
from videothinker.training.rollouts import Prompts, sampling_of

PORTION = 32
"""Questions decoded together."""


def validate(prompts: Prompts, processes: Processes) -> dict[str, float]:
    """Label -> share of exactly right answers; empty where there is no slice.

    Inferential accuracy stands beside its two parts, where they are known.
    """
    policy, data = prompts.policy, prompts.data
    mine = [q for i, q in enumerate(data.validation) if processes.mine(i)]
    greedy = replace(sampling_of(prompts.config), num_generations=1, temperature=0.0)
    rows: list[tuple[str, float]] = []
    for start in range(0, len(mine), PORTION):
        questions = mine[start : start + PORTION]
        encoded = [prompts.encode(question) for question in questions]
        groups = generate(policy, encoded, greedy, [0] * len(encoded))
        for question, group in zip(questions, groups, strict=True):
            cut = bool(group.truncated_G[0])
            parsed = answers.parse(policy.decode(group)[0], question.choices, truncated=cut)
            label = data.labels.get(question.id, "unlabelled")
            exact = answers.exact(parsed.answer, question.answer)
            rows.append((label, exact))
            if question.id in data.parts:
                rows.append((f"{label}, {data.parts[question.id]}", exact))
    rows = processes.gather(rows)
    return {
        label: fmean(exact for kind, exact in rows if kind == label)
        for label in sorted({kind for kind, _ in rows})
    }
