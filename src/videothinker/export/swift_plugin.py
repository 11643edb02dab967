"""The plug-in for ms-swift: our rewards, and its GRPO trainer with our objective.

Imported in ms-swift's own environment alone, by the `plugin.py` that `export --to ms-swift` writes;
there videothinker is installed without its dependencies. Written for ms-swift 4.6.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from swift.rewards import ORM, orms  # pyright: ignore[reportMissingImports]
from swift.rlhf_trainers import GRPOTrainer  # pyright: ignore[reportMissingImports]
from swift.trainers import TrainerFactory  # pyright: ignore[reportMissingImports]
from torch import Tensor

from videothinker.algorithms.base import TrainConfig
from videothinker.answers import parse
from videothinker.errors import UserError
from videothinker.export.swift_objective import MicroBatch, Steering, StepLoss, step_loss
from videothinker.export.swift_settings import COLUMN, reward_name, to_config
from videothinker.training.rewards import RewardFunc, load_rewards

CONFIG: list[TrainConfig] = []
"""The one whose export was loaded."""


def load(settings: Path) -> None:
    """Put our rewards and our trainer in ms-swift's places.

    Args:
        settings: the settings.json that was exported.
    """
    config = to_config(json.loads(settings.read_text(encoding="utf-8")))
    CONFIG[:] = [config]
    for name, function in load_rewards(config.reward_funcs).items():
        orms[reward_name(name)] = _orm(function)
    TrainerFactory.TRAINER_MAPPING["grpo"] = f"{__name__}:CdpoTrainer".replace(":", ".")


def _orm(function: RewardFunc) -> Callable[..., Any]:
    """A reward function with our signature as a class of ms-swift."""

    class Ours(ORM):  # pyright: ignore[reportUntypedBaseClass]
        def __call__(self, completions: Sequence[str], **given: Any) -> list[float]:
            told: list[dict[str, Any]] = given[COLUMN]
            columns = {name: [row[name] for row in told] for name in told[0]}
            columns["answer"] = [tuple(letters) for letters in columns["answer"]]
            columns["truncated"] = [r == "length" for r in given["finish_reason"]]
            columns["completion_ids"] = list(given.get("response_token_ids", [[]] * len(told)))
            words = [messages[-2]["content"] for messages in given["messages"]]
            return list(function(prompts=words, completions=list(completions), **columns))

    return Ours


class CdpoTrainer(GRPOTrainer):  # pyright: ignore[reportUntypedBaseClass]
    """ms-swift's GRPO with our loss and our steering; rollouts and advantages stay its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steering = Steering(CONFIG[0])
        self._seen: list[StepLoss] = []
        odd = {
            "padding_free": self.template.padding_free,
            "sequence_parallel_size": self.template.sequence_parallel_size > 1,
            "use_liger_kernel": self.use_liger_loss,
            "num_iterations": self.num_iterations != CONFIG[0].num_iterations,
        }
        if wrong := [name for name, given in odd.items() if given]:
            raise UserError(
                f"{', '.join(wrong)}: the plug-in computes no loss under these; leave them out"
            )
        if self.steering.needs_measure and self.ref_model is None:
            raise UserError("the objective has a divergence and no --ref_model came; give the bias")

    def _postprocess_batch(self, samples: list[Any], batches: list[dict[str, Any]]) -> None:
        super()._postprocess_batch(samples, batches)
        if not self.model.training:
            return
        if self.steering.needs_measure and not self._seen:
            with torch.no_grad():
                for batch in batches:
                    self._look(self.model, batch["model_inputs"], batch["grpo_batch"])
        sums = gather_object([(s.kl, s.entropy, s.tokens) for s in self._seen])
        self._seen = []
        kl, entropy, tokens = (sum(row[i] for row in sums) for i in range(3))
        self.steering.remember(kl, entropy, tokens)
        valid = gather_object([_is_valid(sample) for sample in samples])
        share = sum(valid) / len(valid)
        guard = self.steering.weigh(share)
        repulsion = self.steering.objective.repulsion
        self._metrics["train"]["repulsion"].append(repulsion)
        self._metrics["train"]["valid"].append(share)
        if guard and self.accelerator.is_main_process:
            print(f"guard: {guard}", flush=True)

    def _compute_loss_and_metrics(
        self, model: Any, model_inputs: dict[str, Any], grpo_batch: Any
    ) -> tuple[Tensor, dict[str, Any]]:
        mode = "train" if self.model.training else "eval"
        found = self._look(model, model_inputs, grpo_batch)
        loss = found.loss
        if self.loss_type == "dapo":
            loss = self._undo_gradient_accumulation_scaling(loss)
        means = torch.tensor([found.kl, found.entropy], device=loss.device) / max(found.tokens, 1)
        kl, entropy = self.accelerator.gather_for_metrics(means[None]).mean(0).tolist()
        self._metrics[mode]["entropy/mean"].append(entropy)
        return loss, {"mode": mode, "entropy": {}, "kl": kl}

    def _look(self, model: Any, model_inputs: dict[str, Any], grpo_batch: Any) -> StepLoss:
        """The loss of a micro-batch; its sums are kept for the next step."""
        objective, mask_GC = self.steering.objective, grpo_batch.completion_mask.bool()
        bias_logits_GCV = None
        if objective.divergence is not None:
            with torch.no_grad():
                bias_logits_GCV = self._logits(self.ref_model, model_inputs, grpo_batch)
        counts_G = mask_GC.sum(1).clamp(min=1)
        processes, total = self.accelerator.num_processes, grpo_batch.num_items_in_batch
        batch = MicroBatch(
            logits_GCV=self._logits(model, model_inputs, grpo_batch),
            bias_logits_GCV=bias_logits_GCV,
            targets_GC=model_inputs["input_ids"][:, -grpo_batch.logits_to_keep :],
            mask_GC=mask_GC,
            advantages_G=(grpo_batch.advantages * mask_GC).sum(1) / counts_G,
            old_logps_GC=grpo_batch.old_per_token_logps,
        )
        found = step_loss(
            batch, objective, completions=len(mask_GC), tokens=float(total) / processes
        )
        if self.model.training:
            self._seen.append(found)
        return found

    def _logits(self, model: Any, model_inputs: dict[str, Any], grpo_batch: Any) -> Tensor:
        keep, inputs = grpo_batch.logits_to_keep, {**model_inputs, "use_cache": False}
        if "logits_to_keep" in self.model_kwarg_keys:
            inputs["logits_to_keep"] = keep + 1
        return model(**inputs).logits[:, -(keep + 1) : -1]


def _is_valid(sample: Any) -> bool:
    text, cut = sample.messages[-1]["content"], sample.finish_reason == "length"
    return parse(text, sample.extra[COLUMN]["choices"], truncated=cut).format
