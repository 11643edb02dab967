"""Which way of training an evaluated model comes from, and what to call it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from videothinker.algorithms.base import READING, SAME_RESULT
from videothinker.algorithms.bias import BiasConfig
from videothinker.errors import UserError
from videothinker.report.sources import BASE, ROLES, RunFolder, read_metadata, stage_of
from videothinker.run_file import RunFile

NOT_A_SETTING = frozenset(
    {
        *(*SAME_RESULT, *READING),
        *("seed", "out", "json", "model", "bias", "success", "eval_steps", "eval_questions"),
    }
)
"""Settings that do not make another method: where things lie, what is looked at, and the seed."""
MethodKey = tuple[str, tuple[tuple[str, str], ...]]
"""What makes a method: its role, and the settings it was trained with (sorted pairs)."""


@dataclass(frozen=True)
class Origin:
    """Where a model comes from."""

    kind: MethodKey
    seed: int | None
    """Of its training; None where it was not trained here."""

    @property
    def role(self) -> str:
        """One of `ROLES`, or the model's own name."""
        return self.kind[0]


def find_metadata(model: str, runs: Sequence[RunFolder]) -> RunFile | None:
    """The run.json of the stage that made a model; None where none did.

    A model lies in `RUN/model` or in `RUN/checkpoints/step-N`. Where its folder has moved, or is
    not to be seen from here, the run whose path ends in most of the same names is taken.

    Raises:
        UserError: several of those given end so.
    """
    found = _makers(model, runs)
    if len(found) > 1:
        one, other, *_ = found
        raise UserError(
            f"{model}: an evaluated model that {one} or {other} may have made; call report from "
            "where that path leads to it, or leave one of them out"
        )
    return next(iter(found.values()), None)


def _makers(model: str, runs: Sequence[RunFolder]) -> dict[Path, RunFile]:
    """The runs that may have made a model, by their folders."""
    path = Path(model)
    places = (path, path.parent, path.parent.parent)
    for folder in places:
        if folder.name and (folder / "run.json").is_file():
            return {folder: read_metadata(folder)}
    trained = {run.path.resolve(): run.metadata for run in runs if run.stage in ROLES}
    alike = {at: max(_names_in_common(at, place) for place in places) for at in trained}
    most = max(alike.values(), default=0)
    return {at: trained[at] for at in alike if alike[at] == most > 0}


def _names_in_common(one: Path, other: Path) -> int:
    """How many names at the end of the paths are the same."""
    pairs = zip(reversed(one.parts), reversed(other.parts), strict=False)
    return sum(1 for _ in takewhile(lambda names: names[0] == names[1], pairs))


def _plain(model: str) -> str:
    """`RUN/model` and `RUN` are one model."""
    return str(Path(model).parent if Path(model).name == "model" else Path(model))


def _bases(models: Iterable[str], runs: Sequence[RunFolder]) -> set[str]:
    """What the training runs started from: those given, and those that made the models."""
    made = [run.metadata for run in runs] + [find_metadata(model, runs) for model in models]
    trained = [one for one in made if one and stage_of(one) in ROLES]
    return {_plain(str(one.config.get("model"))) for one in trained}


def _data(metadata: RunFile, runs: Sequence[RunFolder]) -> str | None:
    """What a model was trained on: the run that holds the file, or the file's digest."""
    digest = metadata.inputs.get("data")
    if digest is None:
        return None
    return next((run.name for run in runs if digest in run.records.values()), digest[:8])


def _settings(metadata: RunFile, runs: Sequence[RunFolder]) -> dict[str, str]:
    config = metadata.config
    found = {k: str(v) for k, v in config.items() if k not in NOT_A_SETTING}
    if found.get("sampling") == "uniform":
        del found["sampling"]  # the plain way has no name
    if config.get("bias") is not None:
        made = _makers(str(config["bias"]), runs).values()
        role = next(iter({ROLES.get(stage_of(one)) for one in made}), None)
        does = "repels" if "repulsion" in config else "questions by"
        if does == "repels" or role != BiasConfig.role:  # whose failures are meant to choose
            found[does] = (role or Path(str(config["bias"])).name).lower()
    data = _data(metadata, runs)
    return found if data is None else {**found, "data": data}


def origins(models: Sequence[str], runs: Sequence[RunFolder]) -> list[Origin]:
    """Where each of `models` comes from; all of them, since a base is known by what it became."""
    bases = _bases(models, runs)
    found = []
    for model in models:
        metadata = find_metadata(model, runs)
        role = ROLES.get(stage_of(metadata)) if metadata else None
        if metadata is None or role is None:
            role = BASE if _plain(model) in bases else Path(_plain(model)).name
            found.append(Origin((role, ()), None))
        else:
            settings = tuple(sorted(_settings(metadata, runs).items()))
            found.append(Origin((role, settings), metadata.seed or 0))
    return found


def names(kinds: Iterable[MethodKey]) -> dict[MethodKey, str]:
    """A name for each kind: the role, and what sets it apart from its like."""
    kinds = list(dict.fromkeys(kinds))
    found = {}
    for role, settings in kinds:
        like = [dict(other) for r, other in kinds if r == role]
        apart = [k for k, v in settings if any(other.get(k) != v for other in like)]
        words = ", ".join(f"{k} {dict(settings)[k]}" for k in apart)
        found[role, settings] = f"{role} ({words})" if words else role
    return found


def place(kind: MethodKey) -> tuple[int, bool]:
    """In the order of `ROLES`, then others; of one role, uniform sampling before its variants."""
    role, settings = kind
    order = [*ROLES.values(), role]
    return order.index(role), dict(settings).get("sampling", "uniform") != "uniform"
