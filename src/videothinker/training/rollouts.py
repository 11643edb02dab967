"""What a step passes on: prompts, rolled out groups, and what is known of them once scored.

Validation draws from the same prompts, and passes on its accuracy alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from statistics import fmean

import torch
from torch import Tensor

from videothinker import answers, prompts
from videothinker.algorithms.base import TrainConfig
from videothinker.errors import UserError
from videothinker.generation.base import Sampling, generate
from videothinker.models.base import Group, Prompt
from videothinker.models.loaded import Policy
from videothinker.processes import Processes
from videothinker.records import Question
from videothinker.training.data import TrainingSet, part_of
from videothinker.training.kept_videos import KeptVideos
from videothinker.training.step import Begun

PORTION = 32
"""Questions of the validation slice decoded together."""


class Prompts:
    """Question -> encoded prompt, the one way training shows a question to a model."""

    def __init__(
        self,
        policy: Policy,
        data: TrainingSet,
        config: TrainConfig,
        videos: KeptVideos | None = None,
    ) -> None:
        self.policy, self.data, self.config = policy, data, config
        self.videos = videos or KeptVideos(policy, data.data_root, config)

    def words(self, question: Question) -> str:
        """The user's message."""
        return prompts.render(question.question, question.choices, context=question.context)

    def encode(self, question: Question) -> Prompt:
        """The prompt with its frames.

        Raises:
            UserError: a bad video, or a prompt over the limit (the question is named).
        """
        try:
            part = part_of(question)
            video = None if part is None else self.videos.get(part)
            limit = self.config.max_prompt_length
            return self.policy.encode(self.words(question), video, max_prompt_tokens=limit)
        except UserError as error:
            raise UserError(f"question {question.id!r}: {error}") from error

    def look_ahead(self, questions: Iterable[Question]) -> None:
        """Let the videos of questions to come be read; nobody waits for it."""
        self.videos.read_ahead(part for q in questions if (part := part_of(q)))


@dataclass(frozen=True)
class Scored:
    """What every process knows of a group."""

    item: int
    """Its number among the step's draws; also its seed's last part."""
    question_id: str
    type: str
    label: str
    rewards_RG: list[list[float]]
    """By reward function, unweighted."""
    valid: list[bool]
    """Completions of a valid format."""
    truncated: list[bool]
    lengths: list[int]
    """Completion tokens."""
    total_G: list[float]
    """Weighted sum of the reward functions."""

    @property
    def has_signal(self) -> bool:
        """Do the rewards of the group differ?"""
        return any(total != self.total_G[0] for total in self.total_G)


@dataclass
class Batch:
    """The groups of one step: all of them scored, this process's own with their tokens."""

    scored: list[Scored] = field(default_factory=list)
    """Those trained on."""
    groups: dict[int, Group] = field(default_factory=dict)
    """Item -> group, for those of them that this process rolled out."""
    rewards_BG: Tensor = field(default_factory=lambda: torch.zeros(0))
    """Their weighted sums of the reward functions."""
    rolled_out: list[Scored] = field(default_factory=list)
    """Every group drawn for this step, those that dynamic sampling dropped included."""
    begun: Begun = field(default_factory=Begun)
    """What of this step was passed before its update."""

    @property
    def drawn(self) -> int:
        """Questions drawn for this step."""
        return len(self.rolled_out)

    @property
    def dropped(self) -> int:
        """Groups without signal: dropped under dynamic sampling, kept elsewhere."""
        return sum(not row.has_signal for row in self.rolled_out)

    @property
    def valid(self) -> float:
        """Share of the completions drawn that have a valid format."""
        return fmean(valid for row in self.rolled_out for valid in row.valid)


def sampling_of(config: TrainConfig) -> Sampling:
    """The rollout's settings."""
    return Sampling(
        num_generations=config.num_generations,
        max_completion_length=config.max_completion_length,
        temperature=config.temperature,
    )


def validate(prompts: Prompts, processes: Processes) -> dict[str, float]:
    """Label -> share of exactly right answers on the validation slice, greedily decoded."""
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
