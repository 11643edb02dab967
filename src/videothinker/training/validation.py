"""Accuracy by label on a small slice kept out of training, greedily decoded: not a result."""

from dataclasses import dataclass
from statistics import fmean

from videothinker import answers
from videothinker.generation.base import generate
from videothinker.models.loaded import Policy
from videothinker.training.config import TrainConfig
from videothinker.training.data import TrainingSet
from videothinker.training.processes import Processes
from videothinker.training.rollouts import Prompts, sampling_of

PORTION = 32
"""Questions decoded together."""


@dataclass
class Validation:
    """The slice and how it is asked."""

    config: TrainConfig
    data: TrainingSet
    prompts: Prompts
    processes: Processes

    def accuracy(self, policy: Policy) -> dict[str, float]:
        """Label -> share of exactly right answers; empty where there is no slice."""
        mine = [q for i, q in enumerate(self.data.held_out) if self.processes.mine(i)]
        greedy = sampling_of(self.config, num_generations=1, temperature=0.0)
        rows: list[tuple[str, float]] = []
        for start in range(0, len(mine), PORTION):
            questions = mine[start : start + PORTION]
            encoded = [self.prompts.encode(question) for question in questions]
            groups = generate(policy, encoded, greedy, [0] * len(encoded))
            for question, group in zip(questions, groups, strict=True):
                cut = bool(group.truncated_G[0])
                parsed = answers.parse(policy.decode(group)[0], question.choices, truncated=cut)
                label = self.data.labels.get(question.id, "unlabelled")
                rows.append((label, answers.exact(parsed.answer, question.answer)))
        rows = self.processes.gather(rows)
        return {
            label: fmean(exact for kind, exact in rows if kind == label)
            for label in sorted({kind for kind, _ in rows})
        }
