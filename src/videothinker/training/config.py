"""The settings of the three training stages: TRL's names, the vetted recipe as defaults.

Every default's source stands in its field's docstring and in `docs/paper_index.md`. Light: stdlib
alone, so that `--help` needs no torch.
"""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin

from videothinker.errors import UserError

Sampling = Literal["uniform", "bias-failure", "base-failure", "label"]
AT_LEAST_ONE = (
    *("frames", "max_pixels", "min_pixels", "max_prompt_length", "max_completion_length"),
    *("prompts_per_step", "max_steps", "num_iterations", "save_steps", "save_total_limit"),
    *("sampling_rollouts", "max_bad_steps"),
)
AT_LEAST_ZERO = ("train_questions", "lora_rank", "eval_steps", "eval_questions", "weight_decay")
ABOVE_ZERO = (
    *("learning_rate", "max_grad_norm", "temperature", "sampling_floor", "lora_alpha"),
    "epsilon_high",
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What the three stages share."""

    model: str
    """The model to start from: a transformers folder, a run folder with `model/`, or a hub name."""
    out: Path
    """The run folder to write."""
    seed: int = 0
    """Seeds every draw, together with the stage, the step and the item."""
    data_root: Path | None = None
    """Where the videos lie; by default what the diagnose run recorded, else the data folder."""
    on_bad_video: Literal["stop", "drop"] = "stop"
    """All videos are looked at before step 1: `drop` leaves out the questions of those that cannot
    be read, as if the list had never held them. Ours."""
    follow_links: bool = False
    """Read videos behind symbolic links that lead out of the data folder, as a hub cache has.
    Ours: off."""
    train_questions: int = 1000
    """Size of the seeded draw; 0 takes all. Paper: 1,000 (1K RL)."""
    frames: int = 16
    """Most frames of each video. Paper: up to 16 in training."""
    max_pixels: int = 128 * 28 * 28
    """Most pixels of a frame. Paper: 128 x 28 x 28 in training."""
    min_pixels: int = 4 * 28 * 28
    """Least pixels of a frame. Ours: qwen-vl-utils' floor for images."""
    max_prompt_length: int = 4096
    """Most prompt tokens; a longer prompt is an error, never cut. Authors' script."""
    max_completion_length: int = 768
    """Most completion tokens. Authors' script."""
    num_generations: int = 8
    """Completions of a prompt, G. Paper: 8."""
    temperature: float = 1.0
    """Sampling temperature of the rollouts. Authors' script."""
    prompts_per_step: int = 2
    """Prompts in the global batch of a step. Authors' script: one a GPU on two GPUs."""
    max_steps: int = 500
    """Optimisation steps. Paper: 500 a stage."""
    num_iterations: int = 1
    """Updates a rollout. Authors' script: 1, so that the clip never binds."""
    learning_rate: float = 1e-6
    """Of AdamW. Paper: 1e-6."""
    lr_scheduler_type: Literal["constant", "linear"] = "constant"
    """`linear` decays to zero at max_steps. Ours: constant; any end is comparable."""
    weight_decay: float = 0.0
    """Of AdamW. TRL's default."""
    max_grad_norm: float = 20.0
    """Clip of the gradient's norm. Authors' script."""
    epsilon: float = 0.2
    """Lower clip: ratios below 1 - epsilon. Authors' script, both stages."""
    epsilon_high: float = 0.28
    """Upper clip: ratios above 1 + epsilon_high. Authors' script, both stages; DAPO."""
    loss_type: Literal["grpo", "dapo"] = "grpo"
    """`grpo`: mean over completions of their mean token (paper); `dapo`: mean over tokens."""
    scale_rewards: Literal["group", "none", "type"] = "group"
    """What advantages are divided by. Authors' script: the group's deviation plus 1e-4."""
    reward_funcs: tuple[str, ...] = ("soft_accuracy", "format")
    """Ours by name, or `module:function` with TRL's signature. Paper: soft accuracy + format."""
    reward_weights: tuple[float, ...] | None = None
    """A weight for each reward function. Paper: all one (null)."""
    sampling: Sampling = "uniform"
    """How a step's questions are drawn. Paper: uniform, every question once before any twice."""
    inferential_share: float | None = None
    """With `label`: share of inferential questions among those drawn. Ours."""
    sampling_floor: float = 0.2
    """With a failure sampling: eps in p(q) ~ 1 - success(q) + eps. Ours: measured in miniature."""
    sampling_rollouts: int = 8
    """With a failure sampling: rollouts a question to measure success. Ours: G again."""
    success: Path | None = None
    """With a failure sampling: `success.jsonl` of an earlier run of the same model, to reuse."""
    freeze_vision: bool = False
    """Keep the vision tower as it is. Authors' script: the tower is trained."""
    gradient_checkpointing: bool = True
    """Recompute activations in the backward pass. Authors' script."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the forward pass; master weights are always float32. Authors' script: bf16."""
    lora_rank: int = 0
    """Rank of LoRA adapters; 0 trains all weights. Paper: full training."""
    lora_alpha: int = 32
    """LoRA's scale is alpha / rank. peft users' common choice."""
    optimizer_device: Literal["model", "cpu"] = "model"
    """Where masters, summed gradients and moments lie: beside the model, or on the CPU, which needs
    no GPU memory for them and computes the same update (on a GPU, but for rounding). Ours."""
    moments: Literal["float32", "8bit"] = "float32"
    """Of AdamW. `8bit` needs bitsandbytes on a GPU and is not exact. Ours: exact."""
    eval_steps: int = 50
    """Steps between two looks at the held-out slice; 0 never. Ours."""
    eval_questions: int = 64
    """Size of the held-out slice, half of each label where possible. Ours."""
    save_steps: int = 50
    """Steps between two checkpoints. Ours."""
    save_total_limit: int = 2
    """Checkpoints kept. Ours."""
    max_bad_steps: int = 3
    """Steps in a row with a loss or gradient that is not a number before the run stops. Ours."""
    log_with: Literal["tensorboard", "wandb"] | None = None
    """An accelerate tracker beside metrics.jsonl; its files lie in `trackers/`."""

    def __post_init__(self) -> None:
        for name in AT_LEAST_ONE:
            _require(self, name, getattr(self, name) >= 1, "an integer of at least 1")
        for name in AT_LEAST_ZERO:
            _require(self, name, getattr(self, name) >= 0, "zero or more")
        for name in ABOVE_ZERO:
            _above_zero(self, name)
        _require(self, "num_generations", self.num_generations >= 2, "at least 2 (a group)")
        _require(self, "epsilon", 0 < self.epsilon < 1, "between 0 and 1")
        _require(self, "min_pixels", self.min_pixels <= self.max_pixels, "at most max_pixels")
        _require(self, "reward_funcs", self.reward_funcs, "one or more reward functions")
        if self.reward_weights is not None:
            count = len(self.reward_funcs)
            _require(self, "reward_weights", len(self.reward_weights) == count, f"{count} numbers")
        for field in dataclasses.fields(self):
            if get_origin(field.type) is Literal:
                allowed = get_args(field.type)
                known = getattr(self, field.name) in allowed
                _require(self, field.name, known, ", ".join(map(str, allowed)))
        alone = self.moments == "float32" or self.optimizer_device == "model"
        _require(self, "moments", alone, "float32 where optimizer_device is 'cpu'")
        share = self.inferential_share
        if self.sampling == "label":
            known = share is not None and 0 <= share <= 1
            _require(self, "inferential_share", known, "from 0 to 1 (sampling 'label' needs it)")
        else:
            _require(self, "inferential_share", share is None, "null unless sampling is 'label'")
        if "pair_consistency" in self.reward_funcs:
            _require_pairs(self)


@dataclass(frozen=True, kw_only=True)
class BiasConfig(TrainConfig):
    """Stage 1: bias-aware training on observational questions, premise struck, following DAPO.

    No divergence term, a higher upper clip, the mean over tokens, and dynamic sampling: groups
    without signal are dropped and refilled. Overlong completions are rewarded like any other, as
    the authors do (DAPO would filter or shape them).
    """

    loss_type: Literal["grpo", "dapo"] = "dapo"
    """Mean over tokens. Paper: stage 1 follows DAPO."""
    as_is: bool = False
    """Train on bias_as_is.jsonl, questions with their premise, rather than bias.jsonl. Ablation."""
    max_refills: int = 9
    """Further draws to fill a step with groups that have signal. Ours: DAPO's 10 draws in all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, "max_refills", self.max_refills >= 0, "zero or more")
        whole = self.max_refills == 0 or "pair_consistency" not in self.reward_funcs
        _require(self, "max_refills", whole, "0 with the reward 'pair_consistency'")


@dataclass(frozen=True, kw_only=True)
class GrpoConfig(TrainConfig):
    """Plain GRPO on all questions, no divergence term: the paper's baseline."""

    bias: str | None = None
    """The bias model, needed by sampling 'bias-failure' alone."""
    offload_bias: bool = False
    """Keep the bias model on the CPU between its uses; exact. Ours."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling == "bias-failure":
            _require(self, "bias", bool(self.bias), "a model, which 'bias-failure' needs")


@dataclass(frozen=True, kw_only=True)
class CdpoConfig(TrainConfig):
    """Stage 2, CDPO: GRPO with a repulsion from the frozen bias model.

    The defaults are ours, a bounded repulsion. The paper's own setting is `divergence k3,
    repulsion 0.01, schedule constant, guard false`.
    """

    bias: str
    """The frozen bias model: a folder, a run of `train bias`, a hub name, or a LoRA adapter."""
    offload_bias: bool = False
    """Keep the bias model on the CPU between its uses; exact. Ours."""
    repulsion: float = 0.3
    """Weight of the divergence from the bias model; TRL's `beta` is -repulsion. Ours: measured in
    miniature with the controller (paper: 0.01, constant)."""
    divergence: Literal["k3", "rho_k3", "k2", "exact", "js"] = "exact"
    """`k3` is the authors' code, KL(bias || pi); `rho_k3`, `k2` and `exact` the paper's formula,
    KL(pi || bias); `js` Jensen-Shannon. Ours: exact, measured in miniature."""
    direction: Literal["repel", "attract"] = "repel"
    """`attract` is the paper's ablation. Paper: repel."""
    schedule: Literal["constant", "controller"] = "controller"
    """`controller`: repulsion * clip(1 - D / target, -1, 1). Ours (paper: constant)."""
    divergence_in: Literal["loss", "reward"] = "loss"
    """`reward` adds repulsion * log(pi / bias) of the whole completion to its reward and leaves the
    loss plain: the sceptic's baseline. Paper: loss."""
    divergence_target: float = 0.4
    """The KL(pi || bias) the controller holds, in nats a token. Ours: measured in miniature."""
    guard: bool = True
    """Stop the push at signs of a collapse; the paper has no such guard. Ours."""
    guard_valid: float = 0.5
    """The guard stops the push below this share of valid formats. Ours."""
    guard_entropy: float = 3.0
    """The guard stops the push above this entropy, in nats a token. Ours."""
    guard_divergence: float = 4.0
    """The guard stops the push above this KL(pi || bias), in nats a token. Ours."""
    allow_self_bias: bool = False
    """Let the bias model be the starting policy itself: the paper's ablation, which collapses."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, "bias", bool(self.bias), "a bias model; make one with `train bias`")
        alone = self.repulsion == 0 and self.sampling != "uniform"
        _require(
            self,
            "repulsion",
            alone or (self.repulsion > 0 and math.isfinite(self.repulsion)),
            "a number above 0 (repulsion = -beta; to pull towards the bias model set direction "
            "'attract'), or 0 with a sampling other than 'uniform'",
        )
        if self.direction == "attract":
            _require(self, "schedule", self.schedule == "constant", "'constant' for 'attract'")
        for name in ("divergence_target", "guard_entropy", "guard_divergence"):
            _above_zero(self, name)
        _require(self, "guard_valid", 0 <= self.guard_valid <= 1, "a share from 0 to 1")


def _require_pairs(config: TrainConfig) -> None:
    """What keeps the two questions of a minimal pair in one step, and the reward in proportion."""
    words = "with the reward 'pair_consistency'"
    for name in ("prompts_per_step", "train_questions"):
        _require(config, name, getattr(config, name) % 2 == 0, f"an even number {words}")
    _require(config, "sampling", config.sampling == "uniform", f"'uniform' {words}")
    ratio = f"'none' or 'type' {words}: the group's deviation would divide the proportion out"
    _require(config, "scale_rewards", config.scale_rewards != "group", ratio)


def _require(config: object, name: str, ok: object, allowed: str) -> None:
    if not ok:
        raise UserError(f"{name} is {getattr(config, name)!r}; allowed is {allowed}")


def _above_zero(config: object, name: str) -> None:
    value = getattr(config, name)
    _require(config, name, value > 0 and math.isfinite(value), "a number above 0")
