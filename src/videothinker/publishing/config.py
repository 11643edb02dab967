"""The settings of `videothinker push` and `videothinker pull`. Light: read for `--help`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """Send a model or a diagnosed question set to a Hugging Face hub, with a card of its records.

    The hub's client finds its token and address as ever: `hf auth login`, HF_TOKEN, HF_ENDPOINT.
    """

    to: str
    """hf://USER/NAME for a model, hf://datasets/USER/NAME for a question set; or a folder, into
    which the same is written and nothing is sent."""
    evaluations: tuple[Path, ...] = ()
    """Of a model: evaluate runs whose numbers the card shows. They must be of this model."""
    license: str | None = None
    """What the card says of it, as apache-2.0 or cc-by-4.0; by default nothing."""
    public: bool = False
    """A repository that is made is for everyone to see; else for its owner alone. One that is
    there already stays as it is."""
    with_videos: bool = False
    """Of a question set: send its videos too. Without them whoever pulls it gives --data-root."""
    data_root: Path | None = None
    """Where these videos lie; by default what the diagnose run recorded, else its folder."""
    follow_links: bool = False
    """Send videos behind symbolic links that lead out of the data folder."""


@dataclass(frozen=True, kw_only=True)
class PullConfig:
    """Fetch a model or a question set from a hub into a folder of its own."""

    out: Path
    """A new folder."""
