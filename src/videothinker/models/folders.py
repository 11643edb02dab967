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


@dataclass(frozen=True)
class Base:
    """The complete model that an adapter was trained on."""

    model: str
    """A hub name, or the folder's whole path."""
    digest: str
    """Of its weights and of what reads them; see `adapters.base_digest`."""


def model_folder(source: str) -> str:
    """The folder or hub name behind `source`: a run folder stands for its `model/`.

    `models/NAME` is the model that ships under that name, unless a folder of one's own lies there.

    Raises:
        UserError: an address that cannot be fetched (see `hub`).
    """
    source = str(shipped(source))
    at = hub.at_hand(source)
    if (at / "model").is_dir() and not (at / "config.json").is_file():
        return str(at / "model")
    return str(at) if hub.is_address(source) else source


def adapter_folder(source: str) -> Path | None:
    """The folder of the adapter that `source` is or holds; null for a complete model."""
    folder = Path(model_folder(source))
    return folder if (folder / ADAPTER_CONFIG).is_file() else None


def complete_folder(source: str) -> str:
    """The folder or hub name of the complete weights behind `source`: an adapter's are its base's.

    Raises:
        UserError: an adapter whose base is unknown or gone.
    """
    adapter = adapter_folder(source)
    return model_folder(source) if adapter is None else read_base(adapter).model


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
    if adapter_folder(base.model) is not None:
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
