"""The verb `models`: which families there are, or whether one model is what its library says."""

from typing import Literal

import msgspec

from videothinker.answering.config import ModelsConfig
from videothinker.console import columns, say
from videothinker.models.catalog import FAMILIES, published
from videothinker.records import encode, write_alone

Outcome = Literal["right", "wrong", "not checked"]


class FamilyLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A family."""

    model_type: str
    name: str
    verbs: tuple[str, ...]
    """What it can be given to."""
    way: str
    """How it generates and trains."""
    published: tuple[str, ...]
    """Checkpoints whose sizes are known, so that a run on them is planned without their files."""
    tested: str


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One comparison of the engine with the library."""

    what: str
    ours: str
    library: str
    verdict: Outcome
    note: str = ""


class Families(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `models` tells, for `--json`."""

    families: tuple[FamilyLine, ...] = ()
    model: str | None = None
    """What was verified."""
    checks: tuple[Check, ...] = ()

    @property
    def failures(self) -> int:
        """Checks that came out wrong."""
        return sum(check.verdict == "wrong" for check in self.checks)


def models(config: ModelsConfig) -> Families:
    """List the families, or hold one model against its library.

    Raises:
        UserError: the model to verify cannot be loaded.
    """
    found = _list() if config.verify is None else _verify(config.verify, config)
    if config.out is not None:
        write_alone(config.out, encode(found))
    return found


def _list() -> Families:
    lines = family_lines()
    head = ("family", "can be given to", "way", "tested with")
    rows = [(one.name, ", ".join(one.verbs), one.way, one.tested) for one in lines]
    say("\n".join(columns([head, *rows], left=len(head))))
    say("\npublished checkpoints whose runs are planned without their files:")
    say("\n".join(f"  {name}" for one in lines for name in one.published))
    say("\nweights of your own: videothinker models --verify MODEL")
    return Families(families=lines)


def _verify(model: str, config: ModelsConfig) -> Families:
    from videothinker.answering.verify import verify  # noqa: PLC0415 (a list needs no model)

    checks = tuple(verify(model, config))
    head = ("check", "engine", "library", "verdict")
    rows = [(c.what, c.ours, c.library, c.verdict) for c in checks]
    say("\n".join(columns([head, *rows], left=len(head))))
    say("\n".join(f"  {c.what}: {c.note}" for c in checks if c.note))
    found = Families(model=model, checks=checks)
    left = sum(check.verdict == "not checked" for check in checks)
    told = f", {left} more could not be made" if left else ""
    say(f"{model}: {found.failures} of {len(checks) - left} checks are wrong{told}")
    return found


def family_lines() -> tuple[FamilyLine, ...]:
    """One line a family, in the catalog's order."""
    known = published()
    asked = ("ask", "diagnose --probe", "evaluate")
    return tuple(
        FamilyLine(
            model_type=kind,
            name=family.name,
            verbs=(*asked, "train") if family.trains else asked,
            way="engine: a prompt is computed once" if family.shapes else "plain path: slower",
            published=tuple(name for name, (of, _) in known.items() if of == kind),
            tested=family.tested,
        )
        for kind, family in FAMILIES.items()
    )
