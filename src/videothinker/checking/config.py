"""The settings of `videothinker check` and `videothinker convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """Read a list of questions in any common shape and say all that is wrong with it."""

    data_root: Path | None = None
    """Where the videos lie; None is the list's own folder."""
    accept_guesses: bool = False
    """Accept what had to be guessed in reading the list, which is named."""
    answers_from: Literal[0, 1] | None = None
    """Number of the first choice where answers are numbers; None is as the whole list tells."""
    decode: bool = False
    """Decode a frame at the start and the end of every video too: slower and surer. Without it
    the beginning of each file and its announced length are looked at."""
    follow_links: bool = False
    """Read videos behind symbolic links that lead out of the data folder, as a hub cache has."""
    out: Path | None = None
    """A .jsonl file to write all that was found to, one JSON object a line."""


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """Write a list of questions in any common shape as our records, one JSON object a line."""

    out: Path
    """The .jsonl file to write."""
    data_root: Path | None = None
    """Where the videos lie; None is the list's own folder."""
    accept_guesses: bool = False
    """Accept what had to be guessed in reading the list, which is named."""
    answers_from: Literal[0, 1] | None = None
    """Number of the first choice where answers are numbers; None is as the whole list tells."""
    keep_going: bool = False
    """Leave out the rows that have a problem, name them and exit 1, instead of writing nothing."""
    follow_links: bool = False
    """Read videos behind symbolic links that lead out of the data folder, as a hub cache has."""
