"""What `videothinker diagnose` can be told."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from videothinker.answering.config import RunningConfig
from videothinker.answering.endpoint import cannot_begin
from videothinker.benchmarks import catalog, protocols
from videothinker.errors import UserError
from videothinker.records import Variant

Rule = Literal["untouched", "no_path", "same_truth", "correct_seen", "any_correct_seen"]
RULES: tuple[Rule, ...] = get_args(Rule)
PROBE_NAMES: tuple[Variant, ...] = get_args(Variant)
SplitName = Literal["all", "train", "validation"]

Transcript = Literal["compact", "full"]


@dataclass(frozen=True, kw_only=True)
class DiagnoseConfig(RunningConfig):
    """Label questions as observational (a shortcut answers them) or inferential."""

    out: Path = Path("runs/diagnose")
    """The run folder to write."""
    rule: Rule = "same_truth"
    """The rule that gives the label from the event logs. Ours: `same_truth` is the one under which
    the question without its premise keeps its right answers. The paper publishes none."""
    split: SplitName = "all"
    """Which splits of a CLEVRER folder to read; `all` reads those that are there."""
    keep_going: bool = False
    """Name every bad input, leave it out and exit 1, instead of stopping at the first."""
    miss_rate: float | None = None
    """Transcript tier: in the place of each video, object states and an event log in which each
    event is missing at this rate. None is the video tier."""
    transcript: Transcript = "compact"
    """Its form: `compact` is what the small base models are trained on, `full` is in whole
    sentences."""
    probe: str | None = None
    """A model: questions are then labelled by what it answers when the premise is removed, when
    it is blind, and so on, without event logs. With --endpoint the name its server has for it."""
    probes: tuple[Variant, ...] = PROBE_NAMES
    """The interventions to run; `struck` gives the label of a question with a premise, `full` is
    the question as it is."""
    ways: tuple[str, ...] = ()
    """Two beginnings of an answer, as "<think>Seen:" "<think>Without": the probed model is made to
    answer in both ways too, and from which share of inferential questions on RL keeps which is
    forecast."""
    samples: int = 8
    """Answers to each question under each probe; each letter is put to the vote. Ours: 8, measured
    on the miniature."""
    temperature: float = 1.0
    """Of the probes' sampling. Paper: 1.0 in the rollouts."""
    protocol: protocols.ProtocolName = "videothinker"
    """How the model is asked; see docs/evaluation.md."""
    frames: int | None = None
    """Frames shown; None is the protocol's."""
    max_pixels: int | None = None
    """Most pixels of a frame; None is the protocol's."""
    max_new_tokens: int | None = None
    """Most tokens of an answer; None is the protocol's."""
    limit: int | None = None
    """Probe this many of the questions, drawn by the seed; None probes all."""
    benchmark: catalog.BenchmarkName | None = None
    """What the data is; `jsonl` is a list of one's own, or our records. None: clevrer for a folder,
    jsonl for a file."""
    data_root: Path | None = None
    """Where the videos of a list of questions lie; None is the list's own folder."""
    accept_guesses: bool = False
    """Accept what had to be guessed, and is named, in reading a list that is not in our format."""
    seed: int = 0
    """Seeds the probes' sampling and the transcripts' missing events."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule not in RULES:
            raise UserError(f"rule {self.rule!r} is unknown; allowed are {', '.join(RULES)}")
        unknown = [name for name in self.probes if name not in PROBE_NAMES]
        if unknown or not self.probes:
            raise UserError(
                f"probes {list(self.probes)} are not allowed; choose among {', '.join(PROBE_NAMES)}"
            )
        self._check_ways()
        for name in ("samples", "frames", "max_pixels", "max_new_tokens", "limit"):
            value: int | None = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}; give 1 or more")
        alike = self.temperature == 0 and self.samples > 1
        if alike or not 0 <= self.temperature < math.inf:
            raise UserError(
                f"temperature is {self.temperature} with {self.samples} samples; give more than 0, "
                "or 0 with one sample"
            )
        if self.served.endpoint is not None and self.probe is None:
            raise UserError(
                f"endpoint {self.served.endpoint} came without --probe; give the name that the "
                "server has for the model to probe"
            )
        if self.miss_rate is not None and not 0 <= self.miss_rate <= 1:
            raise UserError(f"miss_rate is {self.miss_rate}; give a share from 0 to 1")

    def _check_ways(self) -> None:
        if not self.ways:
            return
        if len(set(self.ways)) != 2 or len(self.ways) != 2 or not all(self.ways):
            raise UserError(
                f"ways are {list(self.ways)}; give two different beginnings of an answer, or none"
            )
        if self.probe is None:
            raise UserError("ways came without --probe; give the model that is to answer in them")
        if self.served.endpoint is not None:
            raise cannot_begin(self.ways[0], "--ways")
