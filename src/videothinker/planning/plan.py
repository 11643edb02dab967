"""What a run will cost before it is run: tokens, operations, memory by part, and what to change.

Arithmetic over shapes and `memory`; no model is built and nothing is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from videothinker.algorithms.base import TrainConfig
from videothinker.budget import limits
from videothinker.errors import UserError
from videothinker.models.catalog import find_shape, model_type, published, refuse_other_family
from videothinker.models.folders import ModelPlace, find_model
from videothinker.models.shapes import Grid, Shape, parameters, step_flops, video_tokens
from videothinker.planning import memory, pieces, workload
from videothinker.planning.live_bytes import logit_bytes
from videothinker.planning.workload import FLOAT, Workload
from videothinker.records import Question

GIB = 1 << 30
CONTEXT = GIB
"""Assumed for the CUDA context and libraries' workspaces: not measured."""
GAPS = 0.05
"""Assumed share lost to gaps in the allocator: not measured."""
IN_FLIGHT = 1 << 30
"""Bytes of gradients that may be on their way to the CPU; the backward waits where more would."""
CLEVRER_FRAME = (320, 480)
"""Height and width of CLEVRER's videos."""
TEXT_TOKENS = 210
"""Assumed without data or tokenizer: a counterfactual question of CLEVRER with its choices."""
MEASURED_QUESTIONS = 200
"""How many questions are tokenized to learn their length."""


@dataclass(frozen=True)
class PromptSize:
    """The prompts a run will see."""

    grid: Grid | None
    height: int
    width: int
    text: int
    """Tokens beside the video in the longest prompt."""
    mean_text: float
    source: str
    """How these are known, in words."""


@dataclass(frozen=True)
class Choice:
    """What a run makes of the room on a card."""

    at_once: int
    """Prompts whose completions are drawn together."""
    merges: bool
    """They are drawn from a copy of the matrices with the adapter in it, where there is one."""
    recomputes: bool
    """Activations are made again in the backward pass, and not kept."""


@dataclass(frozen=True)
class Plan:
    """A run's cost; every number follows from these. Memory is that of one rank."""

    config: TrainConfig
    shape: Shape
    prompt: PromptSize
    ranks: int = 1
    """Processes that share a step's prompts, and what `config.shard` says."""
    questions: int = 0
    """What it trains on; 0 where the settings take all and no data is at hand."""

    @property
    def video_tokens(self) -> int:
        """Tokens of one video."""
        return 0 if self.prompt.grid is None else video_tokens(self.shape, self.prompt.grid)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the longest prompt."""
        return self.prompt.text + self.video_tokens

    @cached_property
    def work(self) -> Workload:
        """What memory depends on, all completions at full length.

        A step takes no more than it must: one prompt at a time, the adapter apart, activations not
        kept where the run leaves that to the plan. What a card has beyond that `choose` makes use
        of.
        """
        config, divergence = self.config, self.config.objective().divergence
        return Workload(
            shape=self.shape,
            grid=self.prompt.grid,
            prompt=self.prompt_tokens,
            generations=config.num_generations,
            completion=config.max_completion_length,
            prompts=self.prompts,
            at_once=1,
            merges=False,
            width=2 if config.dtype == "bfloat16" else FLOAT,
            lora_rank=config.lora_rank,
            freeze_vision=config.freeze_vision,
            checkpointing=config.gradient_checkpointing is not False,
            logit_bytes=0 if divergence is None else logit_bytes(divergence),
            bias=bias_kind(config),
            bias_shape=bias_shape(config),
            optimizer_on_cpu=config.optimizer_device == "cpu",
            moment_bytes=2 if config.moments == "8bit" else 2 * FLOAT,
            ranks=self.ranks,
            by_layer=self.ranks > 1 and config.shard == "layers",
        )

    @property
    def peak(self) -> int:
        """Bytes of tensors at the worst moment."""
        return sum(memory.peak(self.work)[1].values())

    @property
    def needed(self) -> int:
        """Bytes a GPU must have: the peak, the context, and gaps."""
        return with_gaps(self.peak)

    def choose(self, limit: int) -> Choice:
        """The quickest that fits `limit` bytes: first the merged copy, then prompts together.

        Activations are kept where a tenth of the bytes is left: the count of a step that keeps them
        was held against CPUs alone, and to a tenth.
        """
        recomputes = self.work.checkpointing
        if self.config.gradient_checkpointing is None:
            recomputes = not self._fits(0.9 * limit, checkpointing=False)
        every = range(self.prompts, 0, -1)
        for merges in (True, False) if self.config.lora_rank else (True,):
            for at_once in every:
                if self._fits(limit, at_once=at_once, merges=merges):
                    return Choice(at_once, merges, recomputes)
        return Choice(1, not self.config.lora_rank, recomputes)

    def _fits(self, limit: float, **changes: Any) -> bool:
        """Does it, with these `changes` to what memory depends on?"""
        work = replace(self.work, **changes)
        return with_gaps(sum(memory.peak(work)[1].values())) <= limit

    @property
    def prompts(self) -> int:
        """Prompts of one rank and step."""
        return -(-self.config.prompts_per_step // self.ranks)

    @property
    def measured(self) -> int:
        """Questions that are answered before step 1, where a model's success decides the draws."""
        config = self.config
        return self.questions if config.draws_by_success and config.success is None else 0

    @property
    def traffic(self) -> dict[str, int]:
        """Bytes that a process receives from the others in a step; nothing for one."""
        trained, updates = workload.trained_parameters(self.work), self.config.num_iterations
        return pieces.traffic(self.work, updates=updates, trained=trained)

    @property
    def host(self) -> int:
        """Bytes of main memory for what options move there, and for what is being saved.

        Of all processes together, as if they ran on one machine.
        """
        trained = workload.trained_parameters(self.work)
        weights = memory.bias_weights(self.work) * self.ranks
        moved = trained * (2 * FLOAT + self.work.moment_bytes) + IN_FLIGHT
        moved = moved if self.work.optimizer_on_cpu else 0
        saving = memory.saving_bytes(self.work)
        return moved + (weights if self.work.bias == "offloaded" else 0) + saving

    @property
    def disk(self) -> int:
        """Bytes the run folder takes at most: the model, and one checkpoint more than are kept.

        Under LoRA either holds the adapter alone.
        """
        trained = workload.trained_parameters(self.work)
        every = sum(parameters(self.shape).values())
        model = (trained if self.work.lora_rank else every) * self.work.width
        checkpoint = model + trained * (FLOAT + self.work.moment_bytes)
        return model + (self.config.save_total_limit + 1) * checkpoint

    def flops(self, *, shared: bool) -> dict[str, float]:
        """Operations of one step by phase, all completions at full length."""
        config, work = self.config, self.work
        prompt = round(self.prompt.mean_text) + self.video_tokens
        one = step_flops(
            self.shape,
            self.prompt.grid,
            prompt,
            work.generations,
            work.completion,
            shared=shared,
            bias=config.objective().divergence is not None,
            freeze_vision=config.freeze_vision or bool(config.lora_rank),
            checkpointing=work.checkpointing,
            adapters=bool(config.lora_rank),
        )
        if work.bias_shape is not None and one["bias"]:
            one["bias"] = self._asking(work.bias_shape, work.generations, shared=shared)["bias"]
        return {phase: count * config.prompts_per_step for phase, count in one.items()}

    @property
    def measuring_flops(self) -> float:
        """Operations before step 1, all completions at full length."""
        by_bias = self.config.sampling == "bias-failure"
        shape = (self.work.bias_shape if by_bias else None) or self.shape
        one = self._asking(shape, self.config.sampling_rollouts, shared=True)
        return one["rollout"] * self.measured

    def _asking(self, shape: Shape, generations: int, *, shared: bool) -> dict[str, float]:
        """Operations of one prompt and its completions for a model that is not the policy."""
        grid, prompt = self.prompt.grid, round(self.prompt.mean_text) + self.video_tokens
        return step_flops(shape, grid, prompt, generations, self.work.completion, shared=shared)


def with_gaps(size: int) -> int:
    """Bytes a GPU must have for `size` bytes of tensors."""
    return int(size * (1 + GAPS)) + CONTEXT


def bias_kind(config: TrainConfig) -> workload.BiasKind:
    """Where the bias model lies; under LoRA one that is not there yet is taken for an adapter."""
    source = config.bias_source()
    if source is None:
        return "none"
    model = find_model(source.model)
    if config.lora_rank and (model.adapter is not None or not _is_known(model)):
        return "adapter"
    return "offloaded" if source.offload else "model"


def bias_shape(config: TrainConfig) -> Shape | None:
    """The sizes of a bias model that is there, or published, and no adapter; else the policy's."""
    source = config.bias_source()
    model = find_model(source.model) if source else None
    if model is None or model.adapter is not None:
        return None
    return find_shape(model) if _is_known(model) else None


def _is_known(model: ModelPlace) -> bool:
    """Is it there, or published, so that its sizes can be read?"""
    return model.folder is not None or model.source in published()


def make_plan(
    config: TrainConfig,
    questions: Sequence[Question] = (),
    data_root: Path | None = None,
    *,
    ranks: int = 1,
) -> Plan:
    """The plan of a run; prompts are measured where data and tokenizer are at hand.

    Args:
        config: the run's settings.
        questions: what it trains on; without them CLEVRER's prompts are assumed.
        data_root: where their videos lie.
        ranks: processes, each on its own GPU.

    Raises:
        UserError: a model of another architecture or without a readable configuration; a bias model
            of another family.
    """
    model, source = find_model(config.model), config.bias_source()
    shape = find_shape(model)
    if source is not None and _is_known(bias := find_model(source.model)):
        refuse_other_family(bias.source, model_type(bias), model_type(model))
    prompt = _prompt(config, model, shape, questions, data_root)
    return Plan(config, shape, prompt, ranks, len(questions) or config.train_questions)


def _prompt(
    config: TrainConfig,
    model: ModelPlace,
    shape: Shape,
    questions: Sequence[Question],
    data_root: Path | None,
) -> PromptSize:
    """What the data says, else what CLEVRER is, each named."""
    (height, width), text, mean = CLEVRER_FRAME, TEXT_TOKENS, float(TEXT_TOKENS)
    seen, said = True, [f"{TEXT_TOKENS} text tokens assumed", "frames of 480x320 assumed"]
    if questions:
        first = questions[0]
        seen = first.video is not None
        lengths = _text_tokens(questions[:MEASURED_QUESTIONS], model)
        if lengths:
            text, mean = max(lengths), sum(lengths) / len(lengths)
            said[0] = f"text tokens of {len(lengths)} questions measured"
        if first.video is not None and data_root is not None:
            found = _frame_size(data_root, first.video, config)
            height, width = found or CLEVRER_FRAME
            said[1] = f"frames of {width}x{height} {'measured' if found else 'assumed'}"
    if not seen:
        return PromptSize(None, 0, 0, text, mean, f"{said[0]}; no video")
    rows, columns = _resized(config, shape, height, width)
    vision, steps = shape.vision, -(-config.frames // shape.vision.temporal_patch)
    grid = Grid(steps, rows // vision.patch, columns // vision.patch)
    beside = shape.step_text * grid.time or 2  # a video's beginning and its end
    return PromptSize(grid, rows, columns, text + beside, mean + beside, "; ".join(said))


def _resized(config: TrainConfig, shape: Shape, height: int, width: int) -> tuple[int, int]:
    """The size of a frame as the model sees it."""
    from videothinker.models.qwen_vl.patches import smart_resize, smart_resize_video  # noqa: PLC0415 (torch, for one number)

    factor = shape.vision.patch * shape.vision.merge
    if shape.whole_video:
        return smart_resize_video(
            config.frames,
            height,
            width,
            factor=factor,
            temporal=shape.vision.temporal_patch,
            min_pixels=config.frames * config.min_pixels,
            max_pixels=config.frames * config.max_pixels,
        )
    return smart_resize(
        height, width, factor=factor, min_pixels=config.min_pixels, max_pixels=config.max_pixels
    )


def _text_tokens(questions: Sequence[Question], model: ModelPlace) -> list[int]:
    """Prompt tokens of each question without its video; none without a tokenizer at hand."""
    from videothinker import prompts  # noqa: PLC0415
    from videothinker.models.loaded import prompt_ids  # noqa: PLC0415
    from videothinker.models.loading import bare_tokenizer  # noqa: PLC0415

    try:
        tokenizer = bare_tokenizer(model.complete)
    except UserError:
        return []
    pad: Any = tokenizer.convert_tokens_to_ids("<|video_pad|>")
    words = [prompts.render(q.question, q.choices, context=q.context) for q in questions]
    return [len(prompt_ids(tokenizer, pad, one)) for one in words]


def _frame_size(root: Path, video: str, config: TrainConfig) -> tuple[int, int] | None:
    from videothinker.video import BadVideo, read_clip  # noqa: PLC0415

    try:
        return read_clip(root, video, 1, **limits(config)).frames.shape[1:3]
    except BadVideo:
        return None
