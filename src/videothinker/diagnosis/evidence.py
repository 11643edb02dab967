"""From CLEVRER's logs to labels: what each counterfactual question's evidence is, and its flags."""

from collections.abc import Iterator, Sequence

from videothinker.clevrer.annotations import complain
from videothinker.clevrer.answerers import Asked, Collision
from videothinker.clevrer.grammar import parse_counterfactual, parse_option, resolve
from videothinker.clevrer.programs import ALIASES, TOKENS, parse, removed_object, run
from videothinker.clevrer.questions import RawQuestion, Split, question_id
from videothinker.clevrer.scenes import Event, Scene, from_annotation
from videothinker.diagnosis.config import RULES
from videothinker.diagnosis.rules import LogFacts, flags
from videothinker.errors import UserError
from videothinker.records import Diagnosis, Evidence

KNOWN = frozenset((*TOKENS, *ALIASES))
"""Tokens that need no second look; anything else is left to `programs.parse` to judge."""


def check_tokens(raw: RawQuestion, where: str) -> None:
    """Every program of a question is made of known tokens.

    Raises:
        UserError: an unknown token (named, with the question's id).
    """
    for program in (raw.program, *(choice.program for choice in raw.choices)):
        if not KNOWN.issuperset(program):
            parse(program, where=where)


def describe(scene: Scene) -> tuple[str, ...]:
    """Each collision in words: "frame 41: red metal cube collides with blue rubber sphere"."""
    names = [thing.name for thing in scene.objects]
    return tuple(
        f"frame {event.frame}: {' collides with '.join(names[i] for i in sorted(event.objects))}"
        for event in scene.events
        if event.type == "collision"
    )


def _removed(raw: RawQuestion, scene: Scene, where: str) -> tuple[int, str, bool]:
    premise = parse_counterfactual(raw.question)
    named = resolve(premise.removed, scene.objects)
    if raw.program:
        if (told := removed_object(raw.program, scene, where=where)) != named:
            raise UserError(
                f"the question removes the {scene.objects[named].name}, "
                f"its program the {scene.objects[told].name}; they must agree"
            )
        if ("negate" in raw.program) != premise.negated:
            raise UserError("only one of question and program is negated; they must agree")
    return named, premise.removed, premise.negated


def _option(choice: str, program: Sequence[str], scene: Scene, where: str) -> Collision:
    if not program:
        return frozenset(resolve(phrase, scene.objects) for phrase in parse_option(choice))
    event = run(program, scene, where=where)
    if not isinstance(event, Event) or event.type != "collision":
        raise UserError(f"choice {choice!r} names {event!r}; it must name a collision")
    return event.pair


def facts_of(raw: RawQuestion, scene: Scene, where: str) -> tuple[LogFacts, str]:
    """What the logs say about one counterfactual question.

    Args:
        raw: the question with its programs; where a program is missing, its text is read.
        scene: its scene, from the annotation.
        where: the question's id, for errors.

    Returns:
        The facts, and the removed object as the question names it.

    Raises:
        UserError: a text or program that cannot be understood on this scene, or that contradict
            each other.
    """
    removed, phrase, negated = _removed(raw, scene, where)
    correct = [choice.answer == "correct" for choice in raw.choices]
    told = LogFacts(
        options=tuple(_option(c.choice, c.program, scene, where) for c in raw.choices),
        words=tuple(choice.choice for choice in raw.choices),
        seen=scene.collisions,
        removed=removed,
        negated=negated,
        happens_after_removal=tuple(good != negated for good in correct),
    )
    return told, phrase


def judge(
    told: LogFacts, phrase: str, observed: tuple[str, ...], name: str, rule: str
) -> Diagnosis:
    """The record of one question: the chosen rule's label, every rule's flag, the evidence.

    A question without a correct choice is excluded, and no rule applies to it.
    """
    sound = any(told.correct)
    found: dict[str, bool | None] = dict.fromkeys(map(str, RULES))
    if sound:
        found = flags(told)
    label = "observational" if found[rule] else "inferential"
    return Diagnosis(
        question_id=name,
        rule=rule,
        label=label if sound else "excluded",
        flags=found,
        evidence=Evidence(
            removed=phrase,
            observed=observed,
            truth_video=told.in_video,
            truth_counterfactual=told.happens_after_removal,
        ),
    )


def diagnose_split(
    split: Split,
    rule: str,
    *,
    problems: list[UserError] | None = None,
    asked: dict[str, Asked] | None = None,
) -> Iterator[tuple[str, Diagnosis | None]]:
    """Go through all questions of a split.

    Args:
        split: annotations and questions, from `clevrer.questions.load_split`.
        rule: the rule that gives the label.
        problems: collect what is wrong (such questions are left out); else the first is raised.
        asked: collect each counterfactual question, taken apart for the audit.

    Yields:
        Each sound question's id, with its diagnosis where it is counterfactual.
    """
    for entry in split.scenes:
        try:
            scene = from_annotation(split.annotations[entry.scene_index])
        except UserError as error:
            complain(problems, str(error))
            continue
        observed = describe(scene)
        for raw in entry.questions:
            name = question_id(split.name, entry.scene_index, raw.question_id)
            try:
                check_tokens(raw, name)
                if raw.question_type != "counterfactual":
                    yield name, None
                    continue
                told, phrase = facts_of(raw, scene, name)
            except UserError as error:
                text = str(error)
                complain(problems, text if text.startswith(name) else f"{name}: {text}")
                continue
            if asked is not None:
                asked[name] = told
            yield name, judge(told, phrase, observed, name, rule)
