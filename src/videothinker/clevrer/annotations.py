"""CLEVRER's annotation files: what is in a scene, where it moves and what collides.

Reading skips the trajectories (about 97 % of a file's bytes) unless they are asked for: msgspec
validates and steps over an untyped field without building a Python object for it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from videothinker import files
from videothinker.errors import UserError

FRAMES = 128
"""Frames of CLEVRER's videos (the world goes on: that is what predictive questions ask about)."""
FPS = 25
SPLITS: dict[str, range] = {
    "train": range(10_000),
    "validation": range(10_000, 15_000),
    "test": range(15_000, 20_000),
}
"""Split -> its scene indices, as published."""

Color = Literal["gray", "red", "blue", "green", "brown", "yellow", "cyan", "purple"]
Material = Literal["metal", "rubber"]
ObjectShape = Literal["sphere", "cylinder", "cube"]
Vector = tuple[float, float, float]
Length = Annotated[int, msgspec.Meta(ge=1)]


class ObjectProperty(msgspec.Struct, frozen=True):
    """One object's looks; no two objects of a scene share all three."""

    object_id: int
    color: Color
    material: Material
    shape: ObjectShape

    @property
    def name(self) -> str:
        """The full phrase: "red metal cube"."""
        return f"{self.color} {self.material} {self.shape}"


class MotionObject(msgspec.Struct, frozen=True):
    """One object at one frame: metres, degrees, metres a second."""

    object_id: int
    location: Vector
    orientation: Vector
    velocity: Vector
    angular_velocity: Vector
    inside_camera_view: bool


class MotionFrame(msgspec.Struct, frozen=True):
    """All objects at one frame."""

    frame_id: int
    objects: tuple[MotionObject, ...]


class AnnotatedCollision(msgspec.Struct, frozen=True):
    """Two objects touch."""

    object_ids: tuple[int, int]
    frame_id: int
    location: Vector


class Annotation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One scene's file; `motion_trajectory` is null where it was not asked for.

    `length` is the simulated world's: frames of the video, absent where they are CLEVRER's.
    """

    scene_index: int
    video_filename: str
    object_property: tuple[ObjectProperty, ...]
    collision: tuple[AnnotatedCollision, ...]
    motion_trajectory: tuple[MotionFrame, ...] | None = None
    length: Length = FRAMES


class _WithoutTrajectory(msgspec.Struct, frozen=True):
    scene_index: int
    video_filename: str
    object_property: tuple[ObjectProperty, ...]
    collision: tuple[AnnotatedCollision, ...]
    motion_trajectory: msgspec.Raw = msgspec.Raw()
    length: Length = FRAMES


_FAST = msgspec.json.Decoder(_WithoutTrajectory)
_FULL = msgspec.json.Decoder(Annotation)
T = TypeVar("T")


def decode_file(path: Path, decode: Callable[[bytes], T], what: str) -> T:
    """Decode a JSON file.

    Raises:
        UserError: unreadable, empty, truncated or malformed (file and byte named), or of another
            layout (the place inside the file named).
    """
    data = files.read_bytes(path, what)
    try:
        found = decode(data)
        # what was stepped over is not looked into either
        unread = getattr(found, "motion_trajectory", None)
        skipped = bytes(unread) if isinstance(unread, msgspec.Raw) else b""
        files.refuse_repeats(data.replace(skipped, b"0", 1) if skipped else data)
    except UnicodeDecodeError as error:
        raise files.not_utf8(str(path), error) from error
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: is not {what}: {error}") from error
    except msgspec.DecodeError as error:
        cut = "truncated" in str(error)
        where = "" if "byte" in str(error) else f" (byte {len(data)})"
        do = "copy or download the file again" if cut else f"give {what}"
        raise UserError(f"{path}: is not whole JSON: {error}{where}; {do}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not {what}: {error}; give one that is") from error
    return found


def read_annotation(path: Path, *, trajectories: bool = False) -> Annotation:
    """Read one scene's annotation.

    Args:
        path: `annotation_XXXXX.json`.
        trajectories: also decode `motion_trajectory` (about 20 times slower).

    Raises:
        UserError: see `decode_file`.
    """
    what = "a CLEVRER annotation"
    if trajectories:
        return decode_file(path, _FULL.decode, what)
    found = decode_file(path, _FAST.decode, what)
    return Annotation(
        scene_index=found.scene_index,
        video_filename=found.video_filename,
        object_property=found.object_property,
        collision=found.collision,
        length=found.length,
    )


def split_range(split: str) -> range:
    """The split's scene indices.

    Raises:
        UserError: no such split.
    """
    if split not in SPLITS:
        raise UserError(f"split {split!r} is unknown; allowed are {', '.join(SPLITS)}")
    return SPLITS[split]


def thousand(scene: int) -> str:
    """The folder's number part: scene 12176 -> "12000-13000"."""
    low = scene // 1000 * 1000
    return f"{low:05d}-{low + 1000:05d}"


@cache
def _base(root: Path, kind: str, split: str) -> str:
    """`{kind}_{split}/` where it is there; the zip files unpacked in place have no such level."""
    return f"{kind}_{split}/" if (root / f"{kind}_{split}").is_dir() else ""


def annotation_path(root: Path, split: str, scene: int) -> Path:
    """Where the scene's annotation lies."""
    folder = f"{_base(root, 'annotation', split)}annotation_{thousand(scene)}"
    return root / folder / f"annotation_{scene:05d}.json"


def video_path(root: Path, split: str, scene: int) -> str:
    """Where the scene's video lies, relative to `root`."""
    return f"{_base(root, 'video', split)}video_{thousand(scene)}/video_{scene:05d}.mp4"


def list_annotations(root: Path, split: str) -> list[Path]:
    """The split's annotation files, in order of their scene."""
    numbers = split_range(split)
    base = root / _base(root, "annotation", split)
    folders = sorted({f"annotation_{thousand(scene)}" for scene in numbers[::1000]})
    found = [path for name in folders for path in (base / name).glob("annotation_*.json")]
    inside = root / f"annotation_{split}"
    if inside.is_dir():  # a scene in a foreign folder is an error, not a silent skip
        found = list(inside.glob("annotation_*/annotation_*.json"))
    return sorted(found, key=lambda path: path.name)


def iter_annotations(
    root: Path,
    split: str,
    *,
    problems: list[UserError] | None = None,
) -> Iterator[Annotation]:
    """The split's annotations in order of their scene.

    Args:
        root: the data folder.
        split: train | validation | test.
        problems: collect what is wrong here and go on; without it the first one is raised.

    Raises:
        UserError: a file that cannot be read, whose scene lies outside the split, does not fit its
            file name, or comes twice; or no annotation at all.
    """
    allowed = split_range(split)
    seen: set[int] = set()
    paths = list_annotations(root, split)
    if not paths:
        complain(
            problems, f"{root}: holds no annotations of split {split!r}; give CLEVRER's layout"
        )
    for path in paths:
        try:
            found = read_annotation(path)
        except UserError as error:
            complain(problems, str(error))
            continue
        scene = found.scene_index
        if scene not in allowed:
            complain(problems, outside(f"{path}: scene_index", scene, split))
        elif scene in seen:
            complain(problems, f"{path}: scene_index {scene} comes twice; keep one file a scene")
        elif path.stem != f"annotation_{scene:05d}":
            complain(problems, f"{path}: holds scene_index {scene}; name and content must agree")
        else:
            seen.add(scene)
            yield found


def outside(what: str, scene: int, split: str) -> str:
    """The sentence for a scene index that is not the split's."""
    allowed = split_range(split)
    return f"{what} {scene} is outside split {split!r}; allowed are {allowed[0]} to {allowed[-1]}"


def complain(problems: list[UserError] | None, sentence: str) -> None:
    """Collect a problem, or raise it where none are collected."""
    if problems is None:
        raise UserError(sentence)
    problems.append(UserError(sentence))
