"""What a base model can do, by its own greedy words on scenes it never saw; never teacher-forced.

Every answer is kept as a record; `summary` computes all numbers from the records.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from videothinker import answers
from videothinker.clevrer.compact import render_compact, short_names
from videothinker.generation.base import Sampling, generate
from videothinker.lab.pretraining.config import PretrainConfig
from videothinker.lab.pretraining.curriculum import EVERY
from videothinker.lab.pretraining.pool import SceneFacts
from videothinker.lab.pretraining.questions import (
    TaughtQuestion,
    answer_from,
    from_raw,
    paired_what_if,
    what_if,
    which_collide,
)
from videothinker.lab.pretraining.targets import image_cells, tracking
from videothinker.lab.pretraining.thinking import OPENINGS, pairs_in_words
from videothinker.models.base import Prompt
from videothinker.models.loaded import Policy
from videothinker.models.qwen_vl.videos import QwenVideo
from videothinker.seeds import derive, numpy_generator

LONGEST = 192
"""Tokens a completion may take."""
TOGETHER = 16
"""Scenes decoded at once."""
PAIR = re.compile(r"[A-Z][a-z]+[A-Z][a-z]+")
SEEN = re.compile(r"Seen: ([^.<]*)")
LINE = re.compile(r"(\w+)((?: (?:gone|[a-p]{2}))+)")


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to one probe."""

    step: int
    probe: str
    """What was asked and shown: see `PROBES`."""
    scene: int
    question: str
    gold: tuple[str, ...]
    text: str
    format: bool
    exact: float
    shortcut: bool | None = None
    """What-if questions: does the video alone give the right answer?"""
    truth: str = ""
    """The right thinking, where it is judged."""


@dataclass(frozen=True)
class HeldOutScenes:
    """Scenes for the measurements."""

    facts: Sequence[SceneFacts]
    frames: Sequence[np.ndarray] | None
    """uint8 (T, H, W, 3) each; None in the transcript tier."""
    seconds: float
    """How long each video lasts."""
    times: Sequence[float] | None = None
    """When each frame is shown; null where no video is."""

    def first(self, count: int) -> "HeldOutScenes":
        """A part of them."""
        frames = None if self.frames is None else self.frames[:count]
        return replace(self, facts=self.facts[:count], frames=frames)


@dataclass(frozen=True)
class MeasuredPrompt:
    """One prompt to be answered."""

    name: str
    scene: int
    asked: TaughtQuestion
    show: str = "full"
    """full | blank | swapped"""
    prefill: str = ""
    temperature: float = 0.0
    truth: str = ""
    shortcut: bool | None = None


def prompts_of(facts: SceneFacts, place: int, config: PretrainConfig) -> list[MeasuredPrompt]:
    """All that is asked about one held-out scene; the draws depend on the scene alone."""
    rng = numpy_generator(config.seed, "pretraining probes", facts.scene_index)
    names = short_names(facts.objects)
    found: list[MeasuredPrompt] = []
    asked, _ = tracking(facts, rng, config.pool.radius, EVERY)
    if config.tier == "video":
        cells = image_cells(facts, config.pool.radius, flipped=False)
        truth = ", ".join(f"{n} {' '.join(c[::EVERY])}" for n, c in zip(names, cells, strict=True))
        found.append(MeasuredPrompt("objects", place, asked, truth=truth))
    asked = which_collide(facts, rng)
    seen = pairs_in_words(facts.collisions(), names)
    found.append(MeasuredPrompt("collisions", place, asked, truth=seen))
    found += [
        MeasuredPrompt("descriptive", place, from_raw(facts, raw)) for raw in facts.descriptive[:2]
    ]
    for inferential in (0.0, 1.0):
        asked = what_if(facts, rng, inferential)
        if asked is None:
            continue
        shortcut = answer_from(asked, facts.collisions()) == asked.gold
        free = MeasuredPrompt("what-if free", place, asked, shortcut=shortcut)
        found.append(free)
        found.append(replace(free, name="what-if sampled", temperature=1.0))
        for mode in ("obs", "sim"):
            prefill = f"<think>{OPENINGS[mode]}"
            found.append(replace(free, name=f"what-if {mode}", prefill=prefill))
        if config.tier == "video":
            for show in ("blank", "swapped"):
                found.append(replace(free, name=f"what-if {show}", show=show))
    for half in paired_what_if(facts, rng) or ():
        prefill = f"<think>{OPENINGS['sim']}"
        found.append(MeasuredPrompt("pair sim", place, half, prefill=prefill))
    return found


def measure(
    policy: Policy, scenes: HeldOutScenes, config: PretrainConfig, step: int
) -> list[Measured]:
    """Ask every probe about every scene, through the path that trainer and evaluator use.

    `step` says after how many optimisation steps, for the records.
    """
    found: list[Measured] = []
    for start in range(0, len(scenes.facts), TOGETHER):
        places = range(start, min(start + TOGETHER, len(scenes.facts)))
        probes = [p for place in places for p in prompts_of(scenes.facts[place], place, config)]
        for temperature in (0.0, 1.0):
            chosen = [probe for probe in probes if probe.temperature == temperature]
            shown = {(probe.scene, probe.show) for probe in chosen}
            videos = {key: _video(policy, scenes, *key) for key in sorted(shown)}
            prompts = [
                _prompt(policy, scenes, videos[probe.scene, probe.show], probe, config)
                for probe in chosen
            ]
            seeds = [
                derive(config.seed, "measure", p.name, p.scene, i) for i, p in enumerate(chosen)
            ]
            groups = generate(policy, prompts, Sampling(1, LONGEST, temperature), seeds)
            found += [
                _record(probe, scenes, policy.decode(group)[0], step, cut=bool(group.truncated_G))
                for probe, group in zip(chosen, groups, strict=True)
            ]
    return found


def _video(policy: Policy, scenes: HeldOutScenes, scene: int, show: str) -> QwenVideo | None:
    frames = scenes.frames
    if frames is None:
        return None
    shown = np.array(frames[(scene + 1) % len(frames)] if show == "swapped" else frames[scene])
    if show == "blank":
        shown[:] = 128
    return policy.to_video(shown, scenes.seconds, times=scenes.times)


def _prompt(
    policy: Policy,
    scenes: HeldOutScenes,
    video: QwenVideo | None,
    probe: MeasuredPrompt,
    config: PretrainConfig,
) -> Prompt:
    context = None
    if video is None:
        one = scenes.facts[probe.scene]
        seed = derive(config.seed, "measured misses", one.scene_index)
        context = render_compact(
            one.motion(), frames=config.pool.frames, miss_rate=config.miss_rate, seed=seed
        )
    return policy.encode(probe.asked.words(context), video, prefill=probe.prefill)


def _record(
    probe: MeasuredPrompt, scenes: HeldOutScenes, text: str, step: int, *, cut: bool
) -> Measured:
    whole = probe.prefill + text
    parsed = answers.parse(whole, probe.asked.choices, truncated=cut)
    return Measured(
        step=step,
        probe=probe.name,
        scene=scenes.facts[probe.scene].scene_index,
        question=probe.asked.question,
        gold=probe.asked.gold,
        text=whole,
        format=parsed.format,
        exact=answers.exact(parsed.answer, probe.asked.gold),
        shortcut=probe.shortcut,
        truth=probe.truth,
    )


def summary(records: Iterable[Measured]) -> dict[str, float]:
    """All numbers of one measurement, each with its count beside it where shares are of answers."""
    by: dict[str, list[Measured]] = {}
    for record in records:
        by.setdefault(record.probe, []).append(record)
    numbers: dict[str, float] = {"answers": sum(map(len, by.values()))}
    numbers["format"] = float(np.mean([r.format for some in by.values() for r in some]))
    for probe, some in sorted(by.items()):
        name = probe.replace(" ", "_").replace("-", "_")
        numbers[f"{name}_exact"] = float(np.mean([r.exact for r in some]))
        for kind, shortcut in (("observational", True), ("inferential", False)):
            part = [r.exact for r in some if r.shortcut is shortcut]
            if part:
                numbers[f"{name}_{kind}"] = float(np.mean(part))
    for probe in ("what-if free", "what-if sampled"):
        some = by.get(probe, [])
        if some:
            simulated = [f"<think>{OPENINGS['sim']}" in r.text for r in some]
            numbers[f"simulated_share_{probe.split()[1]}"] = float(np.mean(simulated))
    numbers |= _both(by.get("pair sim", []))
    if "collisions" in by:
        numbers |= _pairs(by["collisions"])
    if "objects" in by:
        numbers |= _tracks(by["objects"])
    return {key: round(value, 4) for key, value in numbers.items()}


def _both(records: Sequence[Measured]) -> dict[str, float]:
    """Minimal pairs with both questions right; a scene has one."""
    right: dict[int, bool] = {}
    for record in records:
        right[record.scene] = right.get(record.scene, True) and record.exact == 1
    return {"pair_sim_both": float(np.mean(list(right.values())))} if right else {}


def _hits(line: str) -> set[str]:
    """The pairs of a list, each written in one order only."""
    return set(PAIR.findall(line))


def _pairs(records: Sequence[Measured]) -> dict[str, float]:
    """Colliding pairs named in the model's own thinking, against those of the video."""
    right = said = true = 0
    for record in records:
        said_list = SEEN.search(record.text)
        named = _hits(said_list[1]) if said_list else set()
        real = _hits(record.truth)
        right, said, true = right + len(named & real), said + len(named), true + len(real)
    return {
        "pairs_precision": right / said if said else 0.0,
        "pairs_recall": right / true if true else 0.0,
        "pairs_named": said,
        "pairs_true": true,
    }


def _tracks(records: Sequence[Measured]) -> dict[str, float]:
    """Objects and their places in the model's own tracking; places of a lost object are wrong."""
    sets, exact, near, cells = [], 0, 0, 0
    for record in records:
        said, real = dict(LINE.findall(record.text)), dict(LINE.findall(record.truth))
        sets.append(said.keys() == real.keys())
        for name, line in real.items():
            told_cells, real_cells = said.get(name, "").split(), line.split()
            cells += len(real_cells)
            for told_cell, real_cell in zip(told_cells, real_cells, strict=False):
                exact += told_cell == real_cell
                near += _apart(told_cell, real_cell) <= 1
    return {
        "object_sets_exact": float(np.mean(sets)),
        "cells_exact": exact / cells,
        "cells_within_one": near / cells,
    }


def _apart(a: str, b: str) -> int:
    """Cells between two places along the longer axis; far apart where only one is gone."""
    if "gone" in (a, b):
        return 0 if a == b else 99
    return max(abs(ord(a[0]) - ord(b[0])), abs(ord(a[1]) - ord(b[1])))
