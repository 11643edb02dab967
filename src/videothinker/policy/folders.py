"""Where a model lies: a model folder, a run folder's `model/`, or a hub name."""

from pathlib import Path


def model_folder(source: str) -> str:
    """The folder or hub name behind `source`: a run folder stands for its `model/`."""
    inside = Path(source) / "model"
    own = (Path(source) / "config.json").is_file()
    return str(inside) if inside.is_dir() and not own else source
