"""CLEVRER's English: object phrases, counterfactual premises and what is left without them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from videothinker.clevrer.annotations import ObjectProperty
from videothinker.clevrer.programs import COLORS, MATERIALS, SHAPES
from videothinker.errors import UserError

_PHRASE = (
    rf"(?:(?:{'|'.join(COLORS)}) )?(?:(?:{'|'.join(MATERIALS)}) )?(?:{'|'.join(SHAPES)}|object)"
)
STEMS = ("which of the following", "which event", "what")
_STEM = rf"(?P<stem>{'|'.join(STEMS)}) will (?P<negation>not )?happen"
_PREMISE = (
    rf"(?P<premise>if (?:the )?(?P<gone>{_PHRASE}) is removed|without (?:the )?(?P<lost>{_PHRASE}))"
)
_COUNTERFACTUAL = re.compile(
    rf"(?:{_PREMISE}, {_STEM}|{_STEM.replace('<', '<back_')} {_PREMISE.replace('<', '<back_')})\?",
    re.IGNORECASE,
)
_OPTION = re.compile(
    rf"the (?P<a>{_PHRASE}) "
    rf"(?:collides with the (?P<b>{_PHRASE})|and the (?P<c>{_PHRASE}) collide)\.?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Premise:
    """A counterfactual question, taken apart."""

    removed: str
    """The phrase of the removed object, without its article."""
    negated: bool
    """Asks what will not happen."""
    stem: str
    """One of `STEMS`."""
    clause: str
    """The premise as it stands: "if the red cube is removed"."""
    in_front: bool
    """The clause stands before the stem."""


@dataclass(frozen=True)
class Phrase:
    """What an object phrase says; None where it is silent."""

    color: str | None
    material: str | None
    shape: str | None

    def fits(self, thing: ObjectProperty) -> bool:
        """Is the object such a one?"""
        return (
            self.color in (None, thing.color)
            and self.material in (None, thing.material)
            and self.shape in (None, thing.shape)
        )


def match_counterfactual(question: str) -> Premise | None:
    """Take a counterfactual question apart; None where it is not one."""
    found = _COUNTERFACTUAL.fullmatch(question.strip())
    if found is None:
        return None
    parts = found.groupdict()
    front = parts["premise"] is not None
    part = {key: parts[key if front else f"back_{key}"] for key in parts if "back" not in key}
    return Premise(
        removed=(part["gone"] or part["lost"]).lower(),
        negated=part["negation"] is not None,
        stem=part["stem"].lower(),
        clause=part["premise"][0].lower() + part["premise"][1:],
        in_front=front,
    )


def parse_counterfactual(question: str) -> Premise:
    """Take a counterfactual question apart.

    Raises:
        UserError: it follows none of CLEVRER's templates.
    """
    found = match_counterfactual(question)
    if found is None:
        raise UserError(
            f"question {question!r} follows none of CLEVRER's counterfactual templates; expected "
            "'Which of the following | Which event | What will [not] happen' with "
            "'if the X is removed' or 'without the X'"
        )
    return found


def render_counterfactual(premise: Premise) -> str:
    """The question's text; `parse_counterfactual` reads it back."""
    stem = f"{premise.stem} will {'not ' if premise.negated else ''}happen"
    text = f"{premise.clause}, {stem}" if premise.in_front else f"{stem} {premise.clause}"
    return f"{text[0].upper()}{text[1:]}?"


def remove_premise(question: str) -> str | None:
    """The question without its counterfactual premise; None where it has none.

    "If the cube is removed, which event will not happen?" -> "Which event will not happen?"
    """
    found = match_counterfactual(question)
    if found is None:
        return None
    stem = f"{found.stem} will {'not ' if found.negated else ''}happen"
    return f"{stem[0].upper()}{stem[1:]}?"


def parse_option(choice: str) -> tuple[str, str]:
    """The two object phrases of "The A collides with the B" or "The A and the B collide".

    Raises:
        UserError: it is neither.
    """
    found = _OPTION.fullmatch(choice.strip())
    if found is None:
        raise UserError(
            f"choice {choice!r} names no collision; expected 'The A collides with the B' or "
            "'The A and the B collide'"
        )
    return found["a"].lower(), (found["b"] or found["c"]).lower()


def parse_phrase(phrase: str) -> Phrase:
    """The parts of a phrase like "red metal cube"; "object" stands for any shape.

    Raises:
        UserError: not an object phrase.
    """
    text = phrase.strip().lower().removeprefix("the ")
    if re.fullmatch(_PHRASE, text) is None:
        raise UserError(
            f"{phrase!r} is no object phrase; "
            "expected [color] [material] cube|sphere|cylinder|object"
        )
    words = set(text.split())
    return Phrase(
        *(next((w for w in kind if w in words), None) for kind in (COLORS, MATERIALS, SHAPES))
    )


def resolve(phrase: str, objects: Sequence[ObjectProperty]) -> int:
    """The position in `objects` of the one object that a phrase names.

    Raises:
        UserError: none or several fit.
    """
    wanted = parse_phrase(phrase)
    found = [i for i, thing in enumerate(objects) if wanted.fits(thing)]
    if len(found) != 1:
        names = ", ".join(thing.name for thing in objects)
        raise UserError(f"{phrase!r} fits {len(found)} objects; it must fit one of: {names}")
    return found[0]
