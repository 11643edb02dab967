"""The sceptic's baseline: the divergence in the reward instead of the loss.

As a token-level loss term a divergence drops the score function of the prefix; in the reward it
keeps it, because the advantage multiplies every token of the completion (as in RLHF before GRPO).
"""

from dataclasses import replace

import torch
from torch import Tensor

from videothinker.models.base import Group
from videothinker.models.loaded import Policy
from videothinker.models.logprobs import group_logps
from videothinker.training.processes import Processes
from videothinker.training.rollouts import Batch
from videothinker.training.step import Bias, Objective


@torch.no_grad()
def log_ratios(policy: Policy, bias: Bias, group: Group, temperature: float) -> Tensor:
    """The log-ratio log pi(o) - log pi_bias(o) of each whole completion o, [G], in nats.

    On policy its mean is an unbiased estimate of the KL(pi || bias) of whole completions.
    """
    own_G = group_logps(policy, group, temperature=temperature).logps_GC.sum(dim=1)
    with bias.active():
        other_G = group_logps(bias.policy, group, temperature=temperature).logps_GC.sum(dim=1)
    return own_G - other_G


def move_to_reward(
    policy: Policy, bias: Bias, batch: Batch, objective: Objective, processes: Processes
) -> tuple[Batch, Objective]:
    """The batch with repulsion * log ratio added to its rewards, and the objective without a push.

    The objective still measures its divergence, for the record and the controller.
    """
    mine = [
        (item, log_ratios(policy, bias, group, objective.temperature).tolist())
        for item, group in batch.groups.items()
    ]
    found = dict(processes.gather(mine))
    ratios_BG = torch.tensor(
        [found[row.item] for row in batch.scored], dtype=batch.rewards_BG.dtype
    )
    rewards_BG = batch.rewards_BG + objective.repulsion * ratios_BG
    return replace(batch, rewards_BG=rewards_BG), replace(objective, repulsion=0.0)
