"""A folder of numbered images, read with Pillow like a video of constant rate."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from videothinker.video.clips import BadVideo, Timeline, check_size, choose, fit
from videothinker.video.paths import reason, resolve
from videothinker.video.serving import Message

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
FPS = 3.0
"""Frame folders carry no times; TVQA's are 3 frames a second (MVBench)."""
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes of 8 bits a channel; others lose what they show when made RGB."""
ORIENTATION = 0x0112
"""EXIF's tag; 5 to 8 are quarter turns."""
NUMBER = re.compile("[0-9]+")


def read_folder(
    path: Path,
    name: str,
    frames: int,
    clip: tuple[float, float] | None,
    *,
    base: Path,
    follow_links: bool,
) -> Iterator[Message]:
    """The messages of `serving.answer` for one folder.

    Raises:
        BadVideo: no images, of several sizes or namings, damaged, too large, or behind a link.
    """
    Image.MAX_IMAGE_PIXELS = None  # ours is `clips.FRAME_PIXELS`, and one sentence
    found = images(path, name, base=base, follow_links=follow_links)
    times = np.array([number / FPS for number, _ in found])
    width, height = _common_size([image for _, image in found], name)
    chosen, seconds = choose(Timeline(times, 1 / FPS, 1 / FPS), frames, clip, name)
    yield {"times": times[chosen].tolist(), "seconds": seconds}, None
    size = fit(width, height, len(chosen))
    for slot, index in enumerate(chosen):
        yield {"slots": [slot], "size": list(size[::-1])}, _pixels(found[index][1], name, size)


def images(folder: Path, name: str, *, base: Path, follow_links: bool) -> list[tuple[float, Path]]:
    """The folder's images in order, each with its number counted from the first one's.

    Hidden files are none, such as the `._frame_1.jpg` that macOS leaves beside a `frame_1.jpg`.

    Args:
        folder: resolved.
        name: the folder's, for the error.
        base: the resolved data folder.
        follow_links: images may be links that lead out of `base`.

    Raises:
        BadVideo: no images, an image that is no file or lies outside, or numbers that are unclear.
    """
    try:
        found = {
            path.name: resolve(
                path, base, f"image {path.name!r} of {name!r}", follow_links=follow_links
            )
            for path in folder.iterdir()
            if not path.name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES
        }
    except (OSError, RuntimeError) as error:
        raise BadVideo(f"frame folder {name!r} cannot be read ({reason(error)})") from error
    if not found:
        raise BadVideo(
            f"frame folder {name!r} holds no images; allowed are {', '.join(IMAGE_SUFFIXES)}"
        )
    numbers = _numbers(list(found), name)
    return sorted((numbers[image], path) for image, path in found.items())


def _numbers(names: Sequence[str], folder: str) -> dict[str, float]:
    """Each image's place in time, in frames after the first.

    The number that differs from name to name is the place. Where several differ (`shot1_frame2`)
    they give the order, and the frames follow each other without gaps.

    Raises:
        BadVideo: the names are not alike but for numbers, or two have the same ones.
    """
    stems = {name: Path(name).stem.casefold() for name in names}
    keys = {name: tuple(map(int, NUMBER.findall(stem))) for name, stem in stems.items()}
    patterns = {NUMBER.sub("#", stem) for stem in stems.values()}
    differing = [column for column in zip(*keys.values(), strict=False) if len(set(column)) > 1]
    unclear = len(differing) > 1 and any("#.#" in pattern for pattern in patterns)
    if len(patterns) > 1 or len(set(keys.values())) < len(names) or unclear:
        few = _told(", ".join(sorted(names)[:3]))
        raise BadVideo(
            f"frame folder {folder!r} holds {len(names)} images that are not one numbered sequence "
            f"({few} ...); name them alike but for a number each, as frame_1.jpg, frame_2.jpg"
        )
    if len(differing) == 1:
        first = min(differing[0])
        return dict(zip(keys, (float(number - first) for number in differing[0]), strict=True))
    return {name: float(place) for place, name in enumerate(sorted(keys, key=lambda n: keys[n]))}


def _told(names: str) -> str:
    """Names that can be stored and printed: those of a disk need not be UTF-8."""
    return names.encode("utf-8", "backslashreplace").decode()


def _common_size(paths: Sequence[Path], name: str) -> tuple[int, int]:
    """Width and height, upright, of all images; their headers alone are read."""
    sizes: dict[tuple[int, int], Path] = {}
    for path in paths:
        with _open(path, name) as image:
            turned = image.format == "JPEG" and image.getexif().get(ORIENTATION, 1) >= 5
            size = (image.height, image.width) if turned else (image.width, image.height)
            check_size(*size, f"{name}/{path.name}")
            if image.mode not in MODES:
                raise BadVideo(
                    f"image {path.name!r} of {name!r} has pixels of mode {image.mode}; "
                    "give images of 8 bits a channel"
                )
            sizes.setdefault(size, path)
    if len(sizes) > 1:
        few = _told(", ".join(f"{p.name} {w}x{h}" for (w, h), p in list(sizes.items())[:3]))
        raise BadVideo(
            f"frame folder {name!r} holds images of {len(sizes)} sizes ({few}); "
            "give one video's frames, all of one size"
        )
    return next(iter(sizes))


def _pixels(path: Path, name: str, size: tuple[int, int]) -> np.ndarray:
    """An image as it is shown, `H W 3`."""
    with _open(path, name) as image:
        upright = ImageOps.exif_transpose(image) if image.format == "JPEG" else image
        shown = upright.convert("RGB")
        return np.asarray(shown if shown.size == size else shown.resize(size))


@contextmanager
def _open(path: Path, name: str) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            yield image
    except (OSError, ValueError, SyntaxError) as error:  # of Pillow's readers
        raise BadVideo(
            f"image {path.name!r} of {name!r} cannot be read ({reason(error)}); extract it again"
        ) from error
