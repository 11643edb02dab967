"""What every algorithm shares: the settings, and what the one loop asks an algorithm.

TRL's names, the vetted recipe as defaults; every default's source stands in its field's docstring
and in `docs/paper_index.md`. Light: stdlib alone, so that `--help` needs no torch.

The settings are flat: a flag, a recipe's key, an argument in Python and a name in run.json are one
word. An algorithm is a subclass in a file of its own: the settings it adds, and the answers below
that it gives otherwise than plain GRPO, whose answers these are.
"""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args, get_origin

from videothinker.algorithms.choices import (
    DivergenceName,
    DivergencePlace,
    LossType,
    QuestionSampling,
    RewardScale,
)
from videothinker.algorithms.control import Signs
from videothinker.budget import DEADLINE, MEGABYTES, check_budget
from videothinker.errors import UserError

Shard = Literal["states", "layers"]
MAY_BE_ZERO = (
    "train_questions", "lora_rank", "eval_steps", "eval_questions", "weight_decay", "max_refills",
    "guard_valid",
)  # fmt: skip
SAME_RESULT = (
    "data_root", "accept_guesses", "reward_timeout", "optimizer_device", "offload_bias",
    "gradient_checkpointing", "shard", "save_steps", "save_total_limit", "log_with",
    "max_bad_steps",
)  # fmt: skip
"""Settings that change nothing of what a run computes: where things are read, computed and kept,
and how long is waited. They may differ on resume, and make no other method."""
READING = ("on_bad_video", "follow_links", "deadline", "decode_megabytes")
"""Which videos can be read: they too, though `drop` trains without the others' questions."""
OWN_RULE = ("seed", "repulsion")
"""Any seed is one; `algorithms/cdpo.py` says of the repulsion what it may be."""


@dataclass(frozen=True)
class Objective:
    """What is maximised at a step; see `objective.py`."""

    loss_type: LossType = "grpo"
    epsilon: float = 0.2
    epsilon_high: float = 0.28
    temperature: float = 1.0
    divergence: DivergenceName | None = None
    """Null where nothing is measured against a bias model."""
    divergence_in: DivergencePlace = "loss"
    repulsion: float = 0.0
    """The weight, with its sign; of a step after schedule and guard."""


@dataclass(frozen=True)
class BiasSource:
    """Which frozen bias model a run needs, and how it is held."""

    model: str
    offload: bool = False
    """On the CPU between its uses."""
    may_be_policy: bool = False
    """Is the starting policy itself allowed?"""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What the three stages share."""

    stage: ClassVar[str]
    """The second word of `train <stage>`."""
    about: ClassVar[str]
    """What that does, as the help lists it."""
    role: ClassVar[str]
    """What its models are called beside others, in the report and on their cards."""
    meaning: ClassVar[str]
    """The same in a few words."""
    limit: ClassVar[str] = ""
    """What its models are not for, if they are not to answer questions as well as they can."""
    following: ClassVar[str] = "evaluate --model {out} --data {data} --out {beside}/evaluate-{name}"
    """The command that a good run goes on with."""

    model: str
    """The model to start from: a transformers folder, a run folder with `model/`, or a hub name."""
    out: Path
    """The run folder to write."""
    seed: int = 0
    """Seeds every draw, together with the stage, the step and the item."""
    data_root: Path | None = None
    """Where the videos lie; by default what the diagnose run recorded, else the data folder."""
    accept_guesses: bool = False
    """Accept what had to be guessed, and is named, in reading a list that is not in our format."""
    on_bad_video: Literal["stop", "drop"] = "stop"
    """All videos that the run may ask for are looked at before step 1: `drop` leaves out the
    questions of those that cannot be read, as if the list had never held them. Ours."""
    deadline: float = DEADLINE
    """Seconds a video may take to decode before it counts as bad."""
    decode_megabytes: int = MEGABYTES
    """Memory that decoding may hold, of 10^6 bytes; a video that needs more counts as bad. Frames
    of as much again are kept for the steps that will ask for them."""
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
    """Optimisation steps; with a larger number a run at a constant rate goes on. Paper: 500 a
    stage."""
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
    loss_type: LossType = "grpo"
    """`grpo`: mean over completions of their mean token (paper); `dapo`: mean over tokens."""
    scale_rewards: RewardScale = "group"
    """What advantages are divided by. Authors' script: the group's deviation plus 1e-4."""
    reward_funcs: tuple[str, ...] = ("soft_accuracy", "format")
    """Ours by name, or `module:function` with TRL's signature. Paper: soft accuracy + format."""
    reward_weights: tuple[float, ...] | None = None
    """A weight for each reward function. Paper: all one (null)."""
    reward_timeout: float = 600.0
    """Seconds that a reward function may take over one group of completions. Ours."""
    sampling: QuestionSampling = "uniform"
    """How a step's questions are drawn. Paper: uniform, every question once before any twice."""
    inferential_share: float | None = None
    """With `label`: share of inferential questions among those drawn. Ours."""
    sampling_floor: float = 0.2
    """With a sampling by success: eps in p(q) ~ 1 - success(q) + eps. Ours: measured in miniature.
    `curriculum` draws by 4 success(q) (1 - success(q)) + eps, of the model that is trained."""
    sampling_rollouts: int = 8
    """With a sampling by success: rollouts a question to measure success. Ours: G again."""
    success: Path | None = None
    """With a sampling by success: `success.jsonl` of an earlier run of the same model, to reuse."""
    whole_families: bool = False
    """With a sampling by success: draw the questions of a family together; `train_questions` and
    the validation slice break none. Ours."""
    freeze_vision: bool = False
    """Keep the vision tower as it is. Authors' script: the tower is trained."""
    gradient_checkpointing: bool | None = None
    """Recompute activations in the backward pass. Given neither way, the plan chooses: they
    are kept where the GPU holds them, which is quicker and gives the same numbers. Authors' script:
    true."""
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
    shard: Shard = "states"
    """Of several processes: what each holds a piece of. `states`: masters, gradients and moments;
    `layers`: the weights of each layer as well, the bias model's too. The same update. Ours."""
    eval_steps: int = 50
    """Steps between two validations; 0 never. Ours."""
    eval_questions: int = 64
    """Size of the validation slice, half of each label where possible. Ours."""
    save_steps: int = 50
    """Steps between two checkpoints. Ours."""
    save_total_limit: int = 2
    """Checkpoints kept. Ours."""
    max_bad_steps: int = 3
    """Steps in a row with a loss or gradient that is not a number before the run stops. Ours."""
    log_with: Literal["tensorboard", "wandb"] | None = None
    """An accelerate tracker beside metrics.jsonl; its files lie in `trackers/`."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            name, value, allowed = field.name, getattr(self, field.name), get_args(field.type)
            if get_origin(field.type) is Literal:
                require(self, name, value in allowed, ", ".join(map(str, allowed)))
            elif name in MAY_BE_ZERO:
                require(self, name, 0 <= value < math.inf, "zero or more")
            elif field.type is int and name not in OWN_RULE:
                require(self, name, value >= 1, "an integer of at least 1")
            elif field.type is float and name not in OWN_RULE:
                require(self, name, value > 0 and math.isfinite(value), "a number above 0")
        check_budget(self.deadline, self.decode_megabytes)
        require(self, "num_generations", self.num_generations >= 2, "at least 2 (a group)")
        require(self, "epsilon", 0 < self.epsilon < 1, "between 0 and 1")
        require(self, "min_pixels", self.min_pixels <= self.max_pixels, "at most max_pixels")
        require(self, "reward_funcs", self.reward_funcs, "one or more reward functions")
        if self.reward_weights is not None:
            count = len(self.reward_funcs)
            finite = all(map(math.isfinite, self.reward_weights))
            known = finite and len(self.reward_weights) == count
            require(self, "reward_weights", known, f"{count} numbers")
        alone = self.moments == "float32" or self.optimizer_device == "model"
        require(self, "moments", alone, "float32 where optimizer_device is 'cpu'")
        share = self.inferential_share
        if self.sampling == "label":
            known = share is not None and 0 <= share <= 1
            require(self, "inferential_share", known, "from 0 to 1 (sampling 'label' needs it)")
        else:
            require(self, "inferential_share", share is None, "null unless sampling is 'label'")
        apart = not self.whole_families or self.draws_by_success
        require(self, "whole_families", apart, f"false where sampling is {self.sampling!r}")
        if "pair_consistency" in self.reward_funcs:
            _require_pairs(self)

    @property
    def draws_by_success(self) -> bool:
        """Does how often a model answers a question right decide how often it is drawn?"""
        return self.sampling not in ("uniform", "label")

    def trained_on(self) -> str:
        """Which file of a diagnose folder is trained on."""
        return "questions.jsonl"

    def bias_source(self) -> BiasSource | None:
        """The frozen bias model the run needs, if it needs one."""
        return None

    def refills(self) -> int:
        """Further draws to replace a step's groups without signal; 0 keeps such groups."""
        return 0

    def objective(self) -> Objective:
        """What is maximised, before schedule and guard."""
        return Objective(self.loss_type, self.epsilon, self.epsilon_high, self.temperature)

    def weigh(self, signs: Signs) -> tuple[float, str | None]:  # noqa: ARG002
        """The repulsion in force, with its sign, and what a guard did, in words."""
        return 0.0, None


def _require_pairs(config: TrainConfig) -> None:
    """What keeps the two questions of a minimal pair in one step, and the reward in proportion."""
    words = "with the reward 'pair_consistency'"
    for name in ("prompts_per_step", "train_questions"):
        require(config, name, getattr(config, name) % 2 == 0, f"an even number {words}")
    require(config, "sampling", config.sampling == "uniform", f"'uniform' {words}")
    ratio = f"'none' or 'type' {words}: the group's deviation would divide the proportion out"
    require(config, "scale_rewards", config.scale_rewards != "group", ratio)


def require(config: object, name: str, ok: object, allowed: str) -> None:
    """Refuse a setting.

    Raises:
        UserError: unless `ok`.
    """
    if not ok:
        raise UserError(f"{name} is {getattr(config, name)!r}; allowed is {allowed}")
