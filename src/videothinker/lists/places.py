"""Where the videos of a list lie: each name as a path from the data folder on."""

import os
import re
from pathlib import Path

ENDINGS = (".mp4", ".webm", ".mkv", ".avi", ".mov")
FOLDERS = ("", "videos", "data", "video")
"""Looked into for names without an ending, as lists of ids have them."""
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Places:
    """Turns names of videos into paths; looks at the disk once a name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._base = os.path.abspath(root)  # noqa: PTH100 (resolve would follow the root's link)
        self._known: dict[str, tuple[str, str, str]] = {}
        self._starts: list[tuple[str, str]] = []

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
            return os.path.normpath(plain[len(inside) :]), "absolute paths inside the data folder", ""
        relative = os.path.normpath(plain.lstrip("/")) if plain.strip("/") else plain
        slash = "" if plain == plain.lstrip("/") else "paths without their leading /"
        if self._there(relative):
            return relative, slash, ""
        for start, folder in self._starts:
            if relative.startswith(start) and self._there(path := folder + relative[len(start) :]):
                return path, "", _moved(start, folder)
        for path, start, folder in self._tails(relative):
            if self._there(path):
                self._starts.append((start, folder))
                return path, "", _moved(start, folder)
        if os.path.splitext(relative)[1].lower() not in ENDINGS:  # noqa: PTH122 (names, no files)
            for folder in FOLDERS:
                for ending in ENDINGS:
                    if self._there(path := os.path.join(folder, relative + ending)):  # noqa: PTH118
                        where = f" in {folder}/" if folder else ""
                        return path, "", f"videos named without an ending are the {ending}{where}"
        return relative, slash, ""

    def _tails(self, relative: str) -> list[tuple[str, str, str]]:
        """The path without its first folders, one after the other; and in a folder of videos."""
        parts = relative.split("/")
        found: list[tuple[str, str, str]] = []
        for i in range(len(parts)):
            start = "".join(f"{part}/" for part in parts[:i])
            for folder in ("", "videos/"):
                if i or folder:
                    found.append((folder + "/".join(parts[i:]), start, folder))
        return found

    def _there(self, path: str) -> bool:
        try:
            return os.path.exists(f"{self._base}/{path}")  # noqa: PTH110 (takes any name)
        except ValueError:  # a NUL in it
            return False


def _moved(start: str, folder: str) -> str:
    """In words: what a path began with, and what it begins with here."""
    if not start:
        return f"videos lie in {folder}, which their paths leave out"
    return f"video paths that begin with {start!r} begin with {folder!r} in the data folder"
