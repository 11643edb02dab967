"""From CLEVRER's logs to labels: what each counterfactual question's evidence is, and its flags."""

from collections.abc import Iterator, Sequence

from videothinker.clevrer.annotations import complain
from videothinker.clevrer.answerers import Asked
from videothinker.clevrer.grammar import parse_counterfactual, parse_option, resolve
from videothinker.clevrer.programs import ALIASES, TOKENS, parse, removed_object, run
from videothinker.clevrer.questions import RawQuestion, Split, question_id
from videothinker.clevrer.scenes import Event, Scene, from_annotation
from videothinker.diagnosis.config import RULES
from videothinker.diagnosis.rules import Collision, LogFacts, Pair, flags, pair
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


def seen_collisions(scene: Scene) -> tuple[Collision, ...]:
    """The collisions of the video, in order of time."""
    return tuple(
        Collision(event.frame, pair(*event.objects))
        for event in scene.events
        if event.type == "collision"
    )


def describe(scene: Scene, seen: Sequence[Collision]) -> tuple[str, ...]:
    """Each collision in words: "frame 41: red metal cube collides with blue rubber sphere"."""
    names = [thing.name for thing in scene.objects]
    return tuple(
        f"frame {hit.frame}: {names[hit.objects[0]]} collides with {names[hit.objects[1]]}"
        for hit in seen
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


def _option(choice: str, program: Sequence[str], scene: Scene, where: str) -> Pair:
    if not program:
        one, other = (resolve(phrase, scene.objects) for phrase in parse_option(choice))
        return pair(one, other)
    event = run(program, scene, where=where)
    if not isinstance(event, Event) or event.type != "collision":
        raise UserError(f"choice {choice!r} names {event!r}; it must name a collision")
    return pair(*event.objects)


def facts_of(
    raw: RawQuestion, scene: Scene, seen: tuple[Collision, ...], where: str
) -> tuple[LogFacts, str]:
    """What the logs say about one counterfactual question.

    Args:
        raw: the question with its programs; where a program is missing, its text is read.
        scene: its scene, from the annotation.
        seen: the scene's collisions.
        where: the question's id, for errors.

    Returns:
        The facts, and the removed object as the question names it.

    Raises:
        UserError: a text or program that cannot be understood on this scene, or that contradict
            each other.
    """
    removed, phrase, negated = _removed(raw, scene, where)
    correct = [choice.answer == "correct" for choice in raw.choices]
    options = tuple(_option(c.choice, c.program, scene, where) for c in raw.choices)
    told = LogFacts(
        removed=removed,
        seen=seen,
        options=options,
        happens_after_removal=tuple(good != negated for good in correct),
        negated=negated,
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
            truth_video=told.happens_in_video,
            truth_counterfactual=told.happens_after_removal,
        ),
    )


def as_asked(told: LogFacts, raw: RawQuestion, objects: int) -> Asked:
    """The question as answerers that simulate nothing see it; `objects` is how many there are."""
    return Asked(
        options=tuple(frozenset(option) for option in told.options),
        words=tuple(choice.choice for choice in raw.choices),
        seen=tuple(frozenset(hit.objects) for hit in told.seen),
        removed=told.removed,
        negated=told.negated,
        objects=objects,
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
        seen = seen_collisions(scene)
        observed = describe(scene, seen)
        for raw in entry.questions:
            name = question_id(split.name, entry.scene_index, raw.question_id)
            try:
                check_tokens(raw, name)
                if raw.question_type != "counterfactual":
                    yield name, None
                    continue
                told, phrase = facts_of(raw, scene, seen, name)
            except UserError as error:
                text = str(error)
                complain(problems, text if text.startswith(name) else f"{name}: {text}")
                continue
            if asked is not None:
                asked[name] = as_asked(told, raw, len(scene.objects))
            yield name, judge(told, phrase, observed, name, rule)
