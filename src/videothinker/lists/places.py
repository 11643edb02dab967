"""Where the videos of a list lie: each name as a path from the data folder on."""

import os
import re
from pathlib import Path

ENDINGS = (".mp4", ".webm", ".mkv", ".avi", ".mov")
FOLDERS = ("", "videos/", "data/", "video/")
"""Looked into for names without an ending, as lists of ids have them."""
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Places:
    """Turns names of videos into paths; looks at the disk once a name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._base = os.path.abspath(root)  # noqa: PTH100 (resolve would follow the root's link)
        self._known: dict[str, tuple[str, str, str]] = {}
        self._starts: list[tuple[str, str]] = []
        self.outside: set[str] = set()
        """Names that lead out of the data folder: with .., or absolute, of a file that is there."""
        self.lost: set[str] = set()
        """Names of videos that are nowhere."""
        self.urls: set[str] = set()
        """Those of them that are URLs."""

    def find(self, name: str) -> tuple[str, str, str]:
        """A video's path from the root on.

        Returns:
            The path, what was read of the name and what was guessed; the last two mostly empty. A
            video that is nowhere keeps its name, without a leading slash.
        """
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> tuple[str, str, str]:
        plain = SCHEME.sub("/", name.strip())
        inside = self._base.rstrip("/") + "/"
        if plain.startswith(inside):
            return (
                os.path.normpath(plain[len(inside) :]),
                "absolute paths inside the data folder",
                "",
            )
        relative = os.path.normpath(plain.lstrip("/")) if plain.strip("/") else plain
        if relative.split("/")[0] == os.pardir:
            self.outside.add(name)
            return relative, "", ""
        slash = (
            ""
            if plain == plain.lstrip("/") or plain != name.strip()
            else "paths without their leading /"
        )
        if self._there(relative):
            return relative, slash, ""
        moved = self._moved(relative) or self._with_ending(relative)
        if moved is None and slash and plain == name and os.path.exists(plain):  # noqa: PTH110
            self.outside.add(name)
        if moved is not None:
            return moved[0], "", moved[1]
        self.lost.add(name)
        if SCHEME.match(name.strip()):
            self.urls.add(name)
        return relative, slash, ""

    def beside(self, name: str) -> tuple[str, str] | None:
        """Where a lost video would be if it lay as the others do, and the guess; else None."""
        relative = os.path.normpath(SCHEME.sub("/", name.strip()).lstrip("/"))
        for start, folder in self._starts:
            if start and relative.startswith(start):
                return folder + relative[len(start) :], _told(start, folder)
        return None

    def _moved(self, relative: str) -> tuple[str, str] | None:
        """The path without its first folders, and in a folder `videos`; as earlier ones first."""
        parts = relative.split("/")
        starts = ("".join(f"{part}/" for part in parts[:i]) for i in range(len(parts)))
        tails = [(start, folder) for start in starts for folder in ("", "videos/")]
        for start, folder in (*self._starts, *tails[1:]):
            path = folder + relative.removeprefix(start)
            if relative.startswith(start) and self._there(path):
                if (start, folder) not in self._starts:
                    self._starts.append((start, folder))
                return path, _told(start, folder)
        return None

    def _with_ending(self, relative: str) -> tuple[str, str] | None:
        """A name without an ending is that of a file with one, as lists of ids have it."""
        if relative.lower().endswith(ENDINGS):
            return None
        for folder in FOLDERS:
            for ending in ENDINGS:
                if self._there(path := f"{folder}{relative}{ending}"):
                    where = f" in {folder}" if folder else ""
                    return path, f"videos named without an ending are the {ending}{where}"
        return None

    def _there(self, path: str) -> bool:
        try:
            return os.path.exists(f"{self._base}/{path}")  # noqa: PTH110 (takes any name)
        except ValueError:  # a NUL in it
            return False


def _told(start: str, folder: str) -> str:
    begin = f"paths of videos that begin with {start!r}" if start else "paths of videos"
    return f"{begin} begin with {folder!r} in the data folder"
