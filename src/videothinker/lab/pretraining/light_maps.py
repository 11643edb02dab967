"""A scene's frames taken apart into light maps, so that its objects can be given other colors.

Rubber's color is light times albedo, so a frame is the table with black objects on it plus, for
each object, its light times its color. One simulated scene becomes thousands of videos that differ
in every color, at the cost of a small matrix product.
"""

from pathlib import Path

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from videothinker.clevrer.programs import COLORS
from videothinker.lab.pretraining.config import PoolConfig
from videothinker.lab.pretraining.pool import SceneFacts, frames_of, kept, read_chunk
from videothinker.world.shading import RGB

ALBEDO = 216
"""Of 255: the brightest that no light over-exposes."""
GRAY = 0.985
"""Blue over red on the table (`world.render`)."""
LUMA = (0.299, 0.587, 0.114)


def light_maps(one: SceneFacts, config: PoolConfig) -> np.ndarray:
    """Light maps of a plain scene, uint8 (1 + objects_max, F, H, W).

    The first is the table with black objects; the others what each object adds at `ALBEDO`.
    """
    names = [color for color, _, _ in one.looks]
    black: dict[str, tuple[int, int, int]] = dict.fromkeys(RGB, (0, 0, 0))
    found = np.zeros((1 + config.objects_max, config.frames, config.height, config.width), np.uint8)
    for first in range(0, len(names) + 1, 3):  # one channel at least is left to the table
        shown = dict(black)
        for channel, name in enumerate(names[first : first + 3]):
            shown[name] = (
                ALBEDO * (channel == 0),
                ALBEDO * (channel == 1),
                ALBEDO * (channel == 2),
            )
        frames = frames_of(one, config, shown).astype(np.float32)
        if first + 3 > len(names):
            found[0] = np.clip(frames[..., 2] / GRAY + 0.5, 0, 255)
        for channel in range(len(names[first : first + 3])):
            found[1 + first + channel] = frames[..., channel]
    for channel in range(len(names)):
        table = found[0].astype(np.float32) * (GRAY if channel % 3 == 2 else 1)
        found[1 + channel] = np.clip(found[1 + channel] - table + 0.5, 0, 255)
    return found


def read_light_maps(folder: Path, number: int, seed: int, config: PoolConfig) -> np.ndarray:
    """The light maps of a chunk's scenes, made first if not there."""
    path = folder / f"lights-{number:05d}-{config.width}x{config.height}.npy"

    def made() -> list[np.ndarray]:
        return [light_maps(one, config) for one in read_chunk(folder, number, seed, config)]

    return kept(path, made)


def recolored(one: SceneFacts, order: np.ndarray) -> SceneFacts:
    """The same scene with color `COLORS[k]` exchanged for `COLORS[order[k]]`, in words too."""
    other = {color: COLORS[order[place]] for place, color in enumerate(COLORS)}

    def said(text: str) -> str:
        return " ".join(_exchanged(word, other) for word in text.split(" "))

    return replace(
        one,
        looks=tuple((other[color], material, shape) for color, material, shape in one.looks),
        descriptive=tuple(
            replace(
                raw,
                question=said(raw.question),
                answer=said(raw.answer or ""),
                program=tuple(other.get(token, token) for token in raw.program),
            )
            for raw in one.descriptive
        ),
    )


def _exchanged(word: str, other: dict) -> str:
    bare = word.rstrip("?.,;")
    return other[bare] + word[len(bare) :] if bare in other else word


def paint(lights_BLFHW: np.ndarray, colors_BN: list[list[str]]) -> Tensor:
    """Frames `B F H W 3`, 0 to 255 as float32, with color at half resolution (`pool.half_color`).

    Args:
        lights_BLFHW: the `light_maps` of each scene.
        colors_BN: the color names of its objects.
    """
    batch, parts, frames, height, width = lights_BLFHW.shape
    light = torch.from_numpy(np.ascontiguousarray(lights_BLFHW)).float()
    paints = torch.zeros(batch, parts, 3)
    paints[:, 0] = torch.tensor((1.0, 1.0, GRAY))
    for row, colors in enumerate(colors_BN):
        paints[row, 1 : 1 + len(colors)] = torch.tensor([RGB[c] for c in colors]) / ALBEDO
    luma_BL = paints @ torch.tensor(LUMA)
    bright = (luma_BL[:, None] @ light.flatten(2)).view(batch * frames, 1, height, width)
    coarse = F.avg_pool2d(light.flatten(0, 2)[:, None], 2).view(batch, parts, -1)
    tint = (paints - luma_BL[..., None]).transpose(1, 2) @ coarse  # B 3 F*h*w
    tint = tint.view(batch, 3, frames, height // 2, width // 2).transpose(1, 2).flatten(0, 1)
    wide = F.interpolate(tint, scale_factor=2, mode="nearest")
    video = (bright + wide).clamp(0, 255)
    return video.view(batch, frames, 3, height, width).permute(0, 1, 3, 4, 2)
