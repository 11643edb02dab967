"""Which videos of a list are missing or damaged, each by name."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from videothinker.checking.headers import damage
from videothinker.console import progress
from videothinker.video import BadVideo, check_there, read_clip
from videothinker.video.paths import locate, reason

ROUNDED = 1.0
"""Seconds that a clip may be longer than its video: lists round their times."""


def bad_videos(
    root: Path, parts: Iterable[tuple[str, Any]], *, follow_links: bool, decode: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Look at every video once.

    Args:
        root: the data folder.
        parts: paths from there on, each with the clip that is asked about; null for all of it.
        follow_links: links may lead out of it.
        decode: decode a frame at both ends of each part, too; one that leaves its video is told.

    Returns:
        The missing ones and the damaged ones -> one sentence each.
    """
    clips: dict[str, list[Any]] = {}
    for name, clip in dict.fromkeys(parts):
        clips.setdefault(name, []).append(clip)
    names = sorted(clips)
    missing: dict[str, str] = {}
    damaged: dict[str, str] = {}
    with progress("looking at videos", len(names)) as bar:
        for name in names:
            try:
                if os.path.lexists(f"{root}/{name}"):  # before `locate`, which costs ten times this
                    _look(root, name, follow_links=follow_links)
                    for clip in clips[name] if decode else ():
                        _decode(root, name, clip, follow_links=follow_links)
                else:
                    missing[name] = f"video {name!r} is missing from {root}"
            except BadVideo as error:
                damaged[name] = str(error)
            except ValueError:  # a NUL in it
                missing[name] = f"video {name!r} has a name that no file can have"
            bar.advance()
    return missing, damaged


def _decode(root: Path, name: str, clip: Any, *, follow_links: bool) -> None:
    """Both ends of a part.

    Raises:
        BadVideo: they cannot be decoded, or lie outside the video.
    """
    found = read_clip(root, name, 2, clip=clip, follow_links=follow_links)
    first, last = clip or (0.0, 0.0)
    if last - first - found.seconds > ROUNDED:
        raise BadVideo(
            f"video {name!r} has only {found.seconds:.2f} s of its clip from {first:g} s to "
            f"{last:g} s; mend start and end, or drop its questions"
        )


def _look(root: Path, name: str, *, follow_links: bool) -> None:
    """One video.

    Raises:
        BadVideo: it is missing or damaged.
    """
    path = locate(root, name, follow_links=follow_links)
    if path.is_dir():
        check_there(root, name, follow_links=follow_links)
    else:
        try:
            wrong = damage(path)
        except OSError as error:
            wrong = f"cannot be read ({reason(error)}); check its permissions"
        if wrong is not None:
            raise BadVideo(f"video {name!r} {wrong}")
