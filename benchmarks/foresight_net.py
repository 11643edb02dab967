"""How much of what happens without an object can a small network learn, and from what?

    OMP_NUM_THREADS=1 python benchmarks/foresight_net.py SETTING [--inputs 0 4 8] [--scenes 2000]

A transformer over the pairs of a scene's objects (0.3 M parameters) is told which pairs collided,
in what order (and when, where it reads places), which object is removed, and at so many frames the
cell of a transcript in which each object is; 0 frames: who met whom and nothing else. It says which
pairs collide without the object. Trained on all removals of the scenes, asked about families of
other scenes: those of SETTING in foresight.py. One line of JSON for each number of frames.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from foresight import SETTINGS, Member, members, percent
from torch import Tensor, nn
from torch.nn import functional

from videothinker.clevrer.compact import CELL
from videothinker.world.config import WorldConfig
from videothinker.world.objects import frame_ids
from videothinker.world.produce import truth_of
from videothinker.world.scenes import scene_config
from videothinker.world.worlds import World, make_world

MOST = 6
"""Objects; fewer are filled up."""
FIRST, SECOND = np.triu_indices(MOST, 1)
"""The objects of each of P pairs."""
PER_PAIR = 3
"""Collides, place in the order, time."""
CHANGED = 3.0
"""Weight in the loss of pairs whose truth the removal changes."""


@dataclass(frozen=True)
class Example:
    """One scene: N objects, filled up to MOST; K of them can be removed."""

    objects_NF: np.ndarray
    met_NNE: np.ndarray
    """Of each pair: collides, place in the order, time."""
    without_KNN: np.ndarray
    known_KNN: np.ndarray
    """Pairs whose truth is asked: of objects that are there, and not in doubt."""
    removable: tuple[int, ...]


def example(world: World, frames: int) -> Example:
    """What the network is told of a scene, and what is true."""
    run, end, count = world.factual, world.scene.length, len(world.scene.objects)
    at = frame_ids(frames, end)
    seen_FN1 = run.inside_TN[at][..., None]
    middles_FN2 = (np.floor(run.positions_TN2[at] / CELL) + 0.5) * CELL
    told_FN3 = np.concatenate([np.where(seen_FN1, middles_FN2 / 2, 0), seen_FN1], axis=-1)
    objects_NF = np.zeros((MOST, 3 * frames + 1), np.float32)
    objects_NF[:count, :-1] = told_FN3.transpose(1, 0, 2).reshape(count, -1)
    objects_NF[:count, -1] = 1
    truth = truth_of(world)
    met_NNE = np.zeros((MOST, MOST, PER_PAIR), np.float32)
    hits = [hit for hit in run.collisions if hit.frame < end]
    for order, hit in enumerate(hits):
        told = [1, order / 4, hit.frame / end if frames else 0]
        met_NNE[hit.i, hit.j] = met_NNE[hit.j, hit.i] = told
    removable = tuple(sorted({k for hit in hits for k in hit.pair}))
    known, without = np.zeros((2, len(removable), MOST, MOST), bool)
    for row, removed in enumerate(removable):
        for i, j in truth.clear(removed):
            known[row, i, j] = known[row, j, i] = True
            without[row, i, j] = without[row, j, i] = truth.happens(removed, (i, j))
    return Example(objects_NF, met_NNE, without, known, removable)


class Net(nn.Module):
    """Pairs look at pairs; out comes a logit for each."""

    def __init__(self, features: int, width: int = 96, layers: int = 4) -> None:
        super().__init__()
        self.told = nn.Linear(2 * features + 3 * PER_PAIR + 2, width)
        self.names_ND = nn.Parameter(0.3 * torch.randn(MOST, width))
        self.removed = nn.Linear(width, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 4, 2 * width, 0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.says = nn.Linear(width, 1)

    def forward(self, objects_BNF: Tensor, met_BNNE: Tensor, removed_B: Tensor) -> Tensor:
        """Logits of the pairs, (B, P)."""
        own_BNE = met_BNNE[torch.arange(len(removed_B)), removed_B]
        is_BN = functional.one_hot(removed_B, MOST).float()
        told = (
            objects_BNF[:, FIRST], objects_BNF[:, SECOND], met_BNNE[:, FIRST, SECOND],
            own_BNE[:, FIRST], own_BNE[:, SECOND],
            torch.stack([is_BN[:, FIRST], is_BN[:, SECOND]], dim=-1),
        )  # fmt: skip
        names_PD = self.names_ND[FIRST] + self.names_ND[SECOND]
        state_BPD = self.told(torch.cat(told, dim=-1)) + names_PD
        state_BPD = state_BPD + self.removed(self.names_ND[removed_B])[:, None]
        for layer in self.layers:
            state_BPD = layer(state_BPD)
        return self.says(state_BPD)[..., 0]


def train(examples: list[Example], steps: int, batch: int = 96) -> Net:
    """Names are dealt anew for every example, so that none means anything."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = Net(examples[0].objects_NF.shape[1])
    optimizer = torch.optim.AdamW(net.parameters(), lr=1.5e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.5e-3, total_steps=steps, pct_start=0.1
    )
    items = [(one, row) for one in examples for row in range(len(one.removable))]
    for _ in range(steps):
        rows = []
        for place in rng.integers(len(items), size=batch):
            one, row = items[place]
            deal = rng.permutation(MOST)
            removed = int(np.nonzero(deal == one.removable[row])[0][0])
            square = np.ix_(deal, deal)
            rows.append(
                (
                    one.objects_NF[deal],
                    one.met_NNE[square],
                    removed,
                    one.without_KNN[row][square][FIRST, SECOND],
                    one.known_KNN[row][square][FIRST, SECOND],
                )
            )
        objects, met, gone, without, known = (
            torch.as_tensor(np.stack(part)) for part in zip(*rows, strict=True)
        )
        logits_BP = net(objects, met, gone)
        changed_BP = without != (met[:, FIRST, SECOND, 0] > 0)
        weight_BP = known * (1 + (CHANGED - 1) * changed_BP)
        each_BP = functional.binary_cross_entropy_with_logits(
            logits_BP, without.float(), reduction="none"
        )
        loss = (each_BP * weight_BP).sum() / weight_BP.sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def right(net: Net, one: Example, family: list[Member]) -> list[bool]:
    """Which members of a family the network answers rightly, all options at once."""
    found = []
    for member in family:
        removed = torch.tensor([member.asked.removed])
        told = (torch.from_numpy(part)[None] for part in (one.objects_NF, one.met_NNE))
        says_P = (net(*told, removed)[0] > 0).tolist()
        pairs = zip(FIRST.tolist(), SECOND.tolist(), strict=True)
        happens = dict(zip(map(frozenset, pairs), says_P, strict=True))
        said = member.asked.picks(happens[option] for option in member.asked.options)
        found.append(said == member.gold)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("setting", choices=list(SETTINGS))
    parser.add_argument("--inputs", type=int, nargs="+", default=[0, 4, 8])
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--asked", type=int, default=240)
    parser.add_argument("--steps", type=int, default=1500)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = WorldConfig(out=Path("unused"), **SETTINGS[arguments.setting])
    dials = scene_config(config)
    worlds = [make_world(5, index, dials) for index in range(arguments.scenes)]
    others = [make_world(6, index, dials) for index in range(arguments.asked)]
    families = {
        beyond: [(w, found) for w in others if (found := members(w, config, beyond_rules=beyond))]
        for beyond in (False, True)
    }
    for frames in arguments.inputs:
        begun = time.process_time()
        net = train([example(world, frames) for world in worlds], arguments.steps)
        seconds = time.process_time() - begun
        scores: dict[str, list[float]] = {}
        for beyond, asked_of in families.items():
            answers = [right(net, example(world, frames), found) for world, found in asked_of]
            scores["beyond the rules" if beyond else "any"] = [
                *percent(answers).round(1).tolist(),
                len(answers),
            ]
        told = {"setting": arguments.setting, "frames": frames, "cpu_s": round(seconds)}
        sys.stdout.write(json.dumps({**told, **scores}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
