"""Where a model lies: a folder, a run folder's `model/`, a LoRA adapter, a hub name or address.

An adapter's folder holds no base: `base.json` beside it names the base and its digest.
"""

from dataclasses import dataclass
from pathlib import Path

from videothinker import hub
from videothinker.errors import UserError
from videothinker.files import refuse_name
from videothinker.models.border import parse, read_object
from videothinker.shipped import shipped

ADAPTER_CONFIG, BASE = "adapter_config.json", "base.json"
TRAINING = ("train", "pretrain", "export")
"""What the stages begin with whose folders come to hold a model."""


@dataclass(frozen=True)
class Base:
    """The complete model that an adapter was trained on."""

    model: str
    """A hub name, or the folder's whole path."""
    digest: str
    """Of its weights and of what reads them; see `adapters.base_digest`."""


@dataclass(frozen=True)
class ModelPlace:
    """Where a model lies, as `find_model` found it."""

    source: str
    """As it was written."""
    files: str
    """The folder of its files, or the hub name that they are fetched by."""

    @property
    def folder(self) -> Path | None:
        """Where its files lie; null under a hub name."""
        return Path(self.files) if Path(self.files).is_dir() else None

    @property
    def adapter(self) -> Path | None:
        """The folder, where it is a LoRA adapter; null for a complete model."""
        folder = Path(self.files)
        return folder if (folder / ADAPTER_CONFIG).is_file() else None

    @property
    def complete(self) -> str:
        """The files of the complete weights: an adapter's are its base's.

        Raises:
            UserError: an adapter whose base is unknown or gone.
        """
        adapter = self.adapter
        return self.files if adapter is None else find_model(read_base(adapter).model).files

    @property
    def name(self) -> str:
        """What it is called wherever one works: a hub's name, or the folder's whole path."""
        if hub.is_address(self.source):
            return hub.name_of(self.source)
        return self.files if self.folder is None else str(self.folder.resolve())


def find_model(source: str | Path | ModelPlace) -> ModelPlace:
    """Where a model lies; the one reading of a name, done when a stage begins.

    A run folder stands for its `model/`, an address is fetched, and `models/NAME` is the model that
    ships under that name, unless a folder of one's own lies there.

    Raises:
        UserError: an address that cannot be fetched (see `hub`).
    """
    if isinstance(source, ModelPlace):
        return source
    at = hub.at_hand(str(shipped(source)))
    if (at / "model").is_dir() and not (at / "config.json").is_file():
        at = at / "model"
    return ModelPlace(str(source), str(at if at.exists() else source))


def no_model(folder: Path) -> UserError:
    """What to say of a folder that was given as a model and holds none.

    A run's `run.json` says which stage made it, and whether a model is still to come.

    Raises:
        UserError: that file cannot be read.
    """
    file = folder / "run.json"
    run = read_object(file) if file.is_file() else {}
    stage, status = str(run.get("stage", "")).replace("_", " "), run.get("status")
    if stage.startswith(TRAINING) and status != "done":
        return UserError(
            f"{folder} is an unfinished run of `{stage}` ({status}), which has written no model "
            "yet; the same command resumes it"
        )
    if stage or (folder / "questions.jsonl").is_file():
        what = f"what `{stage}` wrote" if stage else "a set of questions"
        return UserError(
            f"{folder} is {what}, and holds no model; give a model folder, or a run of `train`"
        )
    return UserError(f"{folder} has no config.json; give a complete model folder")


def read_base(adapter: Path) -> Base:
    """What `adapter` was trained on.

    Raises:
        UserError: no such record, or a folder that is no longer there.
    """
    file = adapter / BASE
    content = read_object(file) if file.is_file() else {}
    if not {"model", "digest"} <= content.keys():
        raise UserError(
            f"{adapter} holds a LoRA adapter but no {BASE} that names the model it was trained on; "
            "give a run of `train`, or a complete model folder"
        )
    base = parse(Base, content, file)
    refuse_name(base.model)
    if find_model(base.model).adapter is not None:
        raise UserError(
            f"{file} names {base.model}, which is a LoRA adapter too; write the complete model "
            'that it was trained on as "model"'
        )
    if Path(base.model).is_absolute() and not (Path(base.model) / "config.json").is_file():
        raise UserError(
            f"{adapter} was trained on {base.model}, which is not there; put that model back, or "
            f'write where it lies now as "model" into {file} (its digest is checked)'
        )
    return base


def merging(adapter: str | Path) -> str:
    """The command that makes a complete model of an adapter."""
    return f"videothinker export --merge {hub.as_given(adapter)} --out FOLDER"
