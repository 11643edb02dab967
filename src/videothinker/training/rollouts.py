"""From questions to scored groups: prompts, rollouts, rewards, and DAPO's dynamic sampling."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import torch
from torch import Tensor

from videothinker import answers, prompts
from videothinker.errors import UserError
from videothinker.generation.base import Sampling, generate
from videothinker.models.base import Group, Prompt
from videothinker.models.loaded import Policy
from videothinker.records import Question
from videothinker.seeds import derive
from videothinker.training.config import TrainConfig
from videothinker.training.data import TrainingSet, partners
from videothinker.training.processes import Processes
from videothinker.training.rewards import RewardFunc, asks, score
from videothinker.training.videos import read_frames

PROMPTS_KEPT = 64
"""Prompts whose frames stay in memory, the most recently used: about 17 MB each at the paper's
setting."""


class Prompts:
    """Question -> encoded prompt, the one way training shows a question to a model."""

    def __init__(self, policy: Policy, data: TrainingSet, config: TrainConfig) -> None:
        self.policy, self.data, self.config = policy, data, config
        self._kept: OrderedDict[str, Prompt] = OrderedDict()

    def words(self, question: Question) -> str:
        """The user's message."""
        return prompts.render(question.question, question.choices, context=question.context)

    def encode(self, question: Question) -> Prompt:
        """The prompt with its frames.

        Raises:
            UserError: a bad video, or a prompt over the limit (the question is named).
        """
        if question.id in self._kept:
            self._kept.move_to_end(question.id)
            return self._kept[question.id]
        try:
            encoded = self._encode(question)
        except UserError as error:
            raise UserError(f"question {question.id!r}: {error}") from error
        self._kept[question.id] = encoded
        while len(self._kept) > PROMPTS_KEPT:
            self._kept.popitem(last=False)
        return encoded

    def _encode(self, question: Question) -> Prompt:
        limit, words = self.config.max_prompt_length, self.words(question)
        if question.video is None:
            return self.policy.encode(words, max_prompt_tokens=limit)
        part = (question.video, question.clip)
        video = self.policy.to_video(
            *read_frames(self.data.data_root, part, self.config),
            min_pixels=self.config.min_pixels,
            max_pixels=self.config.max_pixels,
        )
        return self.policy.encode(words, video, max_prompt_tokens=limit)


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


@dataclass(frozen=True)
class Completions:
    """What a group's G completions say."""

    texts: list[str]
    parsed: list[answers.Parsed]


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

    @property
    def drawn(self) -> int:
        """Questions drawn for this step."""
        return len(self.rolled_out)

    @property
    def dropped(self) -> int:
        """Groups without signal: dropped under dynamic sampling, kept elsewhere."""
        return sum(not row.has_signal for row in self.rolled_out)


Draw = Callable[[int], Question]
"""Position in the run's stream of questions -> the question drawn there."""


@dataclass
class Collector:
    """Draws, rolls out and scores the groups of a step."""

    config: TrainConfig
    stage: str
    policy: Policy
    prompts: Prompts
    rewards: dict[str, RewardFunc]
    data: TrainingSet
    processes: Processes
    max_refills: int = 0
    """Further draws to replace groups without signal; 0 keeps such groups."""

    def collect(self, step: int, position: int, draw: Draw) -> Batch:
        """The batch of `step`, drawing questions from `position` of the stream onwards."""
        wanted = self.config.prompts_per_step
        batch = Batch()
        for _ in range(1 + self.max_refills):
            items = range(batch.drawn, batch.drawn + wanted - len(batch.scored))
            scored, groups = self._round(step, {i: draw(position + i) for i in items})
            batch.rolled_out += scored
            kept = [row for row in scored if row.has_signal or not self.max_refills]
            batch.scored += kept
            batch.groups |= {row.item: groups[row.item] for row in kept if row.item in groups}
            if len(batch.scored) == wanted:
                break
        if batch.scored:
            totals_BG = [row.total_G for row in batch.scored]
            batch.rewards_BG = torch.tensor(totals_BG, dtype=torch.float64)
        return batch

    def _round(
        self, step: int, questions: dict[int, Question]
    ) -> tuple[list[Scored], dict[int, Group]]:
        mine = {item: q for item, q in questions.items() if self.processes.mine(item)}
        groups = generate(
            self.policy,
            [self.prompts.encode(question) for question in mine.values()],
            sampling_of(self.config),
            [derive(self.config.seed, self.stage, step, item) for item in mine],
        )
        rolled = dict(zip(mine, groups, strict=True))
        said = {item: self._read(mine[item], group) for item, group in rolled.items()}
        success = self._partner_success(questions, said) if self._asks_for_partners else {}
        rows = [
            self._score(item, question, rolled[item], said[item], success.get(item))
            for item, question in mine.items()
        ]
        scored = sorted(self.processes.gather(rows), key=lambda row: row.item)
        return scored, rolled

    @property
    def _asks_for_partners(self) -> bool:
        return any(asks(function, "partner_success") for function in self.rewards.values())

    def _read(self, question: Question, group: Group) -> Completions:
        texts = self.policy.decode(group)
        rows = zip(texts, group.truncated_G.tolist(), strict=True)
        parsed = [answers.parse(text, question.choices, truncated=cut) for text, cut in rows]
        return Completions(texts, parsed)

    def _partner_success(
        self, questions: dict[int, Question], said: dict[int, Completions]
    ) -> dict[int, float]:
        """Item -> how often the other question of its minimal pair was answered exactly right."""
        others = partners(questions)
        if not others:
            return {}
        right = [
            (i, fmean(answers.exact(one.answer, questions[i].answer) for one in said[i].parsed))
            for i in said
            if i in others
        ]
        known = dict(self.processes.gather(right))
        return {item: known[other] for item, other in others.items()}

    def _score(
        self,
        item: int,
        question: Question,
        group: Group,
        said: Completions,
        partner_success: float | None,
    ) -> Scored:
        count = len(said.texts)
        truncated = [bool(cut) for cut in group.truncated_G]
        label = self.data.labels.get(question.id, "unlabelled")
        ids_of = zip(group.completion_ids_GC, group.mask_GC, strict=True)
        columns = {
            "completion_ids": [ids_C[mask_C].tolist() for ids_C, mask_C in ids_of],
            "question_id": [question.id] * count,
            "choices": [question.choices] * count,
            "answer": [question.answer] * count,
            "type": [question.type] * count,
            "label": [label] * count,
            "truncated": truncated,
        }
        if self._asks_for_partners:
            columns["partner_success"] = [partner_success] * count
        words = [self.prompts.words(question)] * count
        rewards_RG = score(self.rewards, words, said.texts, columns)
        valid = [one.format for one in said.parsed]
        lengths = group.mask_GC.sum(dim=1).tolist()
        return Scored(
            *(item, question.id, question.type, label),
            *(rewards_RG.tolist(), valid, truncated, lengths),
            weighted(rewards_RG, self.config.reward_weights),
        )


def weighted(rewards_RG: Tensor, weights: Sequence[float] | None) -> list[float]:
    """Weighted sum of the reward functions [G]; without weights all count alike."""
    weights_R = torch.tensor(weights or (1.0,) * len(rewards_RG), dtype=torch.float64)
    return (weights_R @ rewards_RG.double()).tolist()


def sampling_of(config: TrainConfig, **changes: float) -> Sampling:
    """The rollout's settings; `changes` are fields of `Sampling`."""
    settings: dict[str, float] = {
        "num_generations": config.num_generations,
        "max_completion_length": config.max_completion_length,
        "temperature": config.temperature,
    }
    return Sampling(**(settings | changes))  # pyright: ignore[reportArgumentType]
