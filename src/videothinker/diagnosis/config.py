"""What `videothinker diagnose` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videothinker.errors import UserError

Rule = Literal["untouched", "no_path", "same_truth", "correct_seen", "any_correct_seen"]
RULES: tuple[Rule, ...] = ("untouched", "no_path", "same_truth", "correct_seen", "any_correct_seen")
Probe = Literal["full", "struck", "blind", "one_frame", "shuffled", "options_only"]
PROBES: tuple[Probe, ...] = ("full", "struck", "blind", "one_frame", "shuffled", "options_only")
Split = Literal["all", "train", "validation"]


@dataclass(frozen=True)
class DiagnoseConfig:
    """Label questions as observational (a shortcut answers them) or inferential."""

    out: Path = Path("runs/diagnose")
    """The run folder."""
    rule: Rule = "same_truth"
    """The rule that gives the label from the event logs. `same_truth` is the one that makes the
    struck-out bias set of the paper's figure right; the paper's own rule is not published."""
    split: Split = "all"
    """Which splits of a CLEVRER folder to read; all that are there by default."""
    keep_going: bool = False
    """Collect every bad input, name them all, leave them out and exit 1, instead of stopping at
    the first."""
    miss_rate: float | None = None
    """Put a transcript (object states and an event log that misses this share of events) in the
    place of each video: the transcript tier. None: the video tier."""
    probe: Path | None = None
    """A model folder. With it, questions are labelled by what the model answers when the premise is
    struck out, when it is blind, and so on, without event logs."""
    probes: tuple[Probe, ...] = PROBES
    """Which probes to run; `struck` gives the label."""
    samples: int = 8
    """Answers a probe; the majority of each letter counts (8: measured on the miniature)."""
    protocol: str = "videothinker"
    """How the probed model is asked."""
    data_root: Path | None = None
    """Where the videos of a question file lie; by default the folder of the file."""
    benchmark: str = "jsonl"
    """Format of a question file: `jsonl` (ours) or a benchmark's own list."""
    limit: int | None = None
    """Probe only the first this many questions."""
    seed: int = 0
    """Seeds the probes' sampling and the transcripts."""
    json: bool = False
    """Print the summary as JSON on stdout."""

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UserError(f"rule {self.rule!r} is unknown; allowed are {', '.join(RULES)}")
        unknown = [name for name in self.probes if name not in PROBES]
        if unknown or not self.probes:
            raise UserError(
                f"probes {list(self.probes)} are not allowed; choose among {', '.join(PROBES)}"
            )
        if self.probe is not None and "struck" not in self.probes:
            raise UserError("probes lack 'struck', which gives the label; add it")
        if self.samples < 1:
            raise UserError(f"samples is {self.samples}; give at least 1")
        if self.miss_rate is not None and not 0 <= self.miss_rate < 1:
            raise UserError(f"miss_rate is {self.miss_rate}; give a share from 0 up to, not 1")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit is {self.limit}; give at least 1, or leave it out")
