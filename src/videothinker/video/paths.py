"""Where a video lies: inside its data folder, an ordinary file or a folder, links only if meant."""

import os
import stat
from pathlib import Path

from videothinker.video.clips import BadVideo

FOLLOW = "--follow-links"
"""The flag that lets symbolic links lead out of the data folder."""


def locate(root: Path, relative: str, *, follow_links: bool = False) -> Path:
    """The file or folder that `relative` names inside `root`; nothing is opened.

    Args:
        root: the data folder; it may itself be a symbolic link.
        relative: the video's name in the data.
        follow_links: symbolic links below `root` may lead out of it.

    Raises:
        BadVideo: outside the root, missing, empty, a pipe or a device, or a name that no file has.
    """
    shown = relative if len(relative) <= 120 else f"{relative[:117]}..."
    try:
        base = root.resolve()
        inside = os.path.normpath(relative)
        if Path(inside).is_absolute() or os.pardir in Path(inside).parts:
            raise BadVideo(f"video {shown!r} lies outside its data folder {root}; keep it inside")
        return resolve(base / inside, base, f"video {shown!r}", follow_links=follow_links)
    except (OSError, ValueError, RuntimeError) as error:  # too long, NUL, a loop of links
        raise BadVideo(
            f"video {shown!r} cannot be found ({reason(error)}); name a file inside {root}"
        ) from error


def resolve(path: Path, base: Path, name: str, *, follow_links: bool) -> Path:
    """Where `path` leads. The cache of a hub's client counts as one folder with its own blobs.

    Args:
        path: below `base`.
        base: the resolved data folder.
        name: how the error calls it.
        follow_links: it may lead out of `base`.

    Raises:
        BadVideo: it leads out, nothing is there, or it is neither a file nor a folder.
        OSError, ValueError, RuntimeError: the name is impossible, or links lead in a circle.
    """
    found, blobs = path.resolve(), _blobs(base)
    inside = found.is_relative_to(base) or (blobs is not None and found.is_relative_to(blobs))
    if not (follow_links or inside):
        raise BadVideo(
            f"{name} is behind a symbolic link that leads out of its data folder {base}; "
            f"give {FOLLOW} if that is meant, else put the file itself there"
        )
    if not found.exists():
        where = f": a symbolic link leads to {found}" if path.is_symlink() else ""
        raise BadVideo(
            f"{name} is missing from {base}{where}; add it, drop its questions, or give the folder "
            "of the videos as --data-root"
        )
    about = found.stat()
    if stat.S_ISREG(about.st_mode):
        if about.st_size == 0:
            raise BadVideo(f"{name} is empty (0 bytes); download it again")
    elif not stat.S_ISDIR(about.st_mode):
        raise BadVideo(f"{name} is a pipe, a socket or a device and is not opened; give a file")
    return found


def _blobs(base: Path) -> Path | None:
    """Where a hub's client keeps the files of the snapshot that `base` is or lies in: its names are
    links to there, and to nowhere else.
    """
    above = next((path for path in (base, *base.parents) if path.parent.name == "snapshots"), None)
    return None if above is None else above.parent.parent / "blobs"


def reason(error: Exception) -> str:
    """What the system said, without the path that it may repeat at length."""
    return getattr(error, "strerror", None) or str(error).partition(":")[0]
