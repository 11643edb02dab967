"""The settings of `videothinker evaluate`. Light: it is read for `--help`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videothinker.answering.config import RunningConfig
from videothinker.answering.endpoint import cannot_begin
from videothinker.benchmarks import catalog, protocols
from videothinker.errors import UserError
from videothinker.records import Variant

AT_LEAST_ONE = ("limit", "samples", "frames", "min_pixels", "max_pixels", "max_new_tokens", "rows")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(RunningConfig):
    """Answer a benchmark's questions under one protocol."""

    model: str | None = None
    """A transformers folder, a run folder with `model/`, or a hub name; with --endpoint the name
    its server has for it. Needed but for --check."""
    out: Path = Path("runs/evaluate")
    """The run folder to write."""
    benchmark: catalog.BenchmarkName = "jsonl"
    """Whose files `--data` holds; `jsonl` is a list of one's own or a diagnose folder."""
    data_root: Path | None = None
    """Where the videos lie; None is what the diagnose run recorded, else the data folder."""
    accept_guesses: bool = False
    """Accept what had to be guessed, and is named, in reading a list that is not in our format."""
    protocol: protocols.ProtocolName = "videothinker"
    """How questions are put and answers read; see docs/evaluation.md."""
    split: str | None = None
    """Of CLEVRER and of our own records: by default validation where they have it, else test, else
    the only one; `all` takes every split of our own records. `minimal_pairs` of a simulated world
    is one."""
    types: tuple[str, ...] | None = None
    """Question types to keep; all by default, of CLEVRER's questions the counterfactual."""
    label: Literal["observational", "inferential"] | None = None
    """Keep the questions with this label of the diagnosis."""
    diagnosis: Path | None = None
    """A diagnose folder whose labels split the tables; default: the one beside the questions."""
    limit: int | None = None
    """Ask at most this many questions: whole videos in a seeded order, the last of which may be
    cut."""
    variants: tuple[Variant, ...] = ("full", "blind")
    """What is shown; `blind` gives a floor of every table."""
    samples: int = 1
    """Answers a question; more than one needs a temperature."""
    frames: int | None = None
    """In place of the protocol's number of frames."""
    min_pixels: int | None = None
    """In place of the protocol's fewest pixels a frame."""
    max_pixels: int | None = None
    """In place of the protocol's most pixels a frame."""
    max_new_tokens: int | None = None
    """In place of the protocol's most completion tokens."""
    temperature: float | None = None
    """In place of the protocol's temperature."""
    prefill: str | None = None
    """Words that the answer is made to begin with, as `<think>Seen:`; they steer how it thinks."""
    compare: Path | None = None
    """Another evaluate run on the same questions: print the paired difference."""
    check: bool = False
    """Compare the download with the published counts, name what is missing, and stop."""
    rows: int = 32
    """Completions decoded at once."""
    seed: int = 0
    """Seeds sampling, shuffled frames and the draw of `limit`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in AT_LEAST_ONE:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}; give 1 or more")
        if self.model is None and not self.check:
            raise UserError("no --model came; give a model folder, a run folder or a hub name")
        if not self.variants or len(set(self.variants)) != len(self.variants):
            raise UserError(f"variants are {list(self.variants)}; name each once, at least one")
        if self.temperature is not None and not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature is {self.temperature}; give 0 (greedy) or more")
        if self.prefill and self.served.endpoint is not None:
            raise cannot_begin(self.prefill, "--prefill")
