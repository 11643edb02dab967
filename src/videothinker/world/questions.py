"""The questions about one scene: text and program are drawn, the answer is the program's.

Nothing here writes an answer: an option is "correct" because the executor said yes.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from videothinker.clevrer.grammar import STEMS, Premise, render_counterfactual
from videothinker.clevrer.programs import ancestors, judge
from videothinker.clevrer.questions import RawChoice, RawQuestion
from videothinker.clevrer.scenes import MOVING_SPEED, Event, Scene
from videothinker.world.descriptive import Views, descriptive
from videothinker.world.options import (
    Names,
    Noun,
    Pair,
    collide,
    collision_noun,
    crossing_noun,
    flip,
)

CHOICES = {2: 0.115, 3: 0.547, 4: 0.338}
"""Options of a counterfactual question -> share, as counted in CLEVRER."""
EXPLANATORY = 2
"""Explanatory questions a scene at most (CLEVRER: 1.7)."""
NEXT = ("What will happen next?", "Which event will happen next?")
"""Wordings of predictive questions."""


@dataclass(frozen=True)
class Wanted:
    """What one counterfactual question has to be."""

    observational: bool
    """Rule same_truth: every option is as true in the video as without the object."""
    negated: bool
    choices: int | None = None
    """How many options it has; None: a draw."""
    beyond_rules: bool = False
    """Where it changes something: no rule that reads the premise finds the answer (`answerers`)."""


@dataclass(frozen=True)
class WantedFamily:
    """What a family of counterfactual questions has to be."""

    negated: bool
    choices: int
    beyond_rules: bool = False
    """See `Wanted`."""


Request = Wanted | WantedFamily


def pairs_of(scene: Scene, *, apart_from: Iterable[int] = ()) -> list[Pair]:
    """All pairs of objects, in order."""
    left = [i for i in range(len(scene.objects)) if i not in set(apart_from)]
    return [(i, j) for k, i in enumerate(left) for j in left[k + 1 :]]


def colliding(events: Iterable[Event]) -> set[frozenset[int]]:
    """The pairs that collide."""
    return {event.pair for event in events if event.type == "collision"}


def some(rng: np.random.Generator, items: Sequence[Pair], count: int) -> list[Pair]:
    """`count` of them, without repetition."""
    return [items[i] for i in rng.permutation(len(items))[:count]]


class Truth:
    """Which pairs collide, in the video and in the worlds without an object.

    A pair that collides only after the video's end, in the world or without the object, is in
    doubt ("will happen" within what time?) and never offered.

    Args:
        scene: the video, and what happens without each object.
        late: for each object, the pairs that collide only after the video once it is gone.
        fragile: the pairs whose truth is not robust (`robust.fragile_pairs`); None: not asked.
    """

    def __init__(
        self,
        scene: Scene,
        late: Sequence[set[frozenset[int]]],
        fragile: Sequence[Collection[Pair]] | None = None,
    ) -> None:
        assert scene.counterfactual is not None
        assert scene.unseen is not None
        self.scene = scene
        self.video = colliding(scene.events)
        self.without = {i: colliding(events) for i, events in scene.counterfactual.items()}
        self.after = colliding(scene.unseen)
        self.late = late
        self.fragile = fragile

    def clear(self, removed: int, apart_from: Iterable[int] = ()) -> list[Pair]:
        """Pairs whose truth without `removed` is beyond doubt."""
        doubt = self.after | self.late[removed]
        every = pairs_of(self.scene, apart_from=(removed, *apart_from))
        return [pair for pair in every if frozenset(pair) not in doubt]

    def changes(self, removed: int, pair: Pair) -> bool:
        """Does the removal change whether the pair collides?"""
        both = frozenset(pair)
        return (both in self.video) != (both in self.without[removed])

    def happens(self, removed: int, pair: Pair) -> bool:
        """Does the pair collide without the object?"""
        return frozenset(pair) in self.without[removed]


def mixed(
    rng: np.random.Generator, yes: list[Pair], no: list[Pair], must: Pair | None
) -> list[Pair]:
    """2 to 4 options, some that happen, some that do not, `must` among them; [] if impossible."""
    if not yes or not no:
        return []
    wanted = int(rng.choice(list(CHOICES), p=list(CHOICES.values())))
    count = min(wanted, len(yes) + len(no))
    happen = int(rng.integers(max(1, count - len(no)), min(count - 1, len(yes)) + 1))
    chosen = [*some(rng, yes, happen), *some(rng, no, count - happen)]
    if must is not None and must not in chosen:
        same = [i for i, pair in enumerate(chosen) if (pair in yes) == (must in yes)]
        chosen[same[0]] = must
    return [chosen[i] for i in rng.permutation(count)]


def judged(
    choices: Iterable[RawChoice], program: Sequence[str], scene: Scene
) -> tuple[RawChoice, ...]:
    """Each choice with the executor's verdict."""
    return tuple(
        RawChoice(
            number,
            choice.choice,
            choice.program,
            "correct" if judge(choice.program, program, scene) else "wrong",
        )
        for number, choice in enumerate(choices)
    )


def counterfactual_program(removed: Noun, *, negated: bool) -> tuple[str, ...]:
    """`all_events X unique get_counterfact belong_to`, negated where asked."""
    end = ("belong_to", "negate") if negated else ("belong_to",)
    return ("all_events", *removed.one, "get_counterfact", *end)


def counterfactual_text(rng: np.random.Generator, removed: Noun, *, negated: bool) -> str:
    """One of CLEVRER's 24 wordings."""
    clause = f"if the {removed.text} is removed" if flip(rng) else f"without the {removed.text}"
    stem = STEMS[int(rng.integers(len(STEMS)))]
    return render_counterfactual(Premise(removed.text, negated, stem, clause, flip(rng)))


def ask_each(
    truth: Truth, names: Names, chosen: Sequence[Pair], removed: Sequence[int], *, negated: bool
) -> list[RawQuestion]:
    """The same words and options once for each removed object."""
    rng = names.rng
    options = [collide(names, pair, i) for i, pair in enumerate(chosen)]
    stem = STEMS[int(rng.integers(len(STEMS)))]
    front, conditional = flip(rng), flip(rng)
    made: list[RawQuestion] = []
    for thing in removed:
        noun = names(thing)
        clause = f"if the {noun.text} is removed" if conditional else f"without the {noun.text}"
        program = counterfactual_program(noun, negated=negated)
        made.append(
            RawQuestion(
                question_id=0,
                question=render_counterfactual(Premise(noun.text, negated, stem, clause, front)),
                question_type="counterfactual",
                program=program,
                choices=judged(options, program, truth.scene),
            )
        )
    return made


def counterfactual(
    truth: Truth, names: Names, wanted: Wanted, taken: set[int]
) -> RawQuestion | None:
    """A question of the wanted kind about an object not yet `taken`; None if the scene has none."""
    rng = names.rng
    for removed in rng.permutation(len(truth.scene.objects)).tolist():
        if removed in taken:
            continue
        pool = truth.clear(removed)
        changed = [pair for pair in pool if truth.changes(removed, pair)]
        if wanted.observational:
            pool = [pair for pair in pool if pair not in changed]
        elif not changed:
            continue
        must = None if wanted.observational else some(rng, changed, 1)[0]
        yes = [pair for pair in pool if truth.happens(removed, pair)]
        chosen = mixed(rng, yes, [pair for pair in pool if pair not in yes], must)
        if not chosen:
            continue
        taken.add(removed)
        noun = names(removed)
        program = counterfactual_program(noun, negated=wanted.negated)
        options = [collide(names, pair, i) for i, pair in enumerate(chosen)]
        return RawQuestion(
            question_id=0,
            question=counterfactual_text(rng, noun, negated=wanted.negated),
            question_type="counterfactual",
            program=program,
            choices=judged(options, program, truth.scene),
        )
    return None


def predictive(truth: Truth, names: Names) -> RawQuestion | None:
    """What happens next: one of two; None if nothing collides after the video."""
    coming = [pair for pair in pairs_of(truth.scene) if frozenset(pair) in truth.after]
    if not coming:
        return None
    right = some(names.rng, coming, 1)[0]
    others = [p for p in pairs_of(truth.scene) if frozenset(p) not in truth.after | truth.video]
    near = [pair for pair in others if set(pair) & set(right)] or others
    if not near:
        return None
    chosen = [right, some(names.rng, near, 1)[0]]
    chosen = [chosen[i] for i in names.rng.permutation(2)]
    program = ("unseen_events", "belong_to")
    return RawQuestion(
        question_id=0,
        question=NEXT[int(names.rng.integers(2))],
        question_type="predictive",
        program=program,
        choices=judged([collide(names, p, i) for i, p in enumerate(chosen)], program, truth.scene),
    )


def _causes(scene: Scene, target: Event, names: Names) -> list[RawChoice]:
    """Everything that may be offered as responsible for the target."""
    found: list[RawChoice] = []
    apart = [i for i in range(len(scene.objects)) if i not in target.objects]
    for thing in apart:
        noun = names(thing)
        found.append(RawChoice(0, f"the presence of the {noun.text}", tuple(noun.one)))
    for event in scene.events:
        if event == target or event.pair == target.pair:
            continue
        if event.type == "collision":
            text, program = collision_noun(names, (event.objects[0], event.objects[1]))
        elif event.type == "in" and event.objects[0] in apart:
            text, program = crossing_noun(names, event.objects[0], "in")
        else:
            continue
        found.append(RawChoice(0, text, tuple(program)))
    return found


def explanatory(scene: Scene, target: Event, names: Names, *, negated: bool) -> RawQuestion | None:
    """What is (not) responsible for the target; None if its causes do not give right and wrong."""
    if target.type == "collision":
        text, program = collision_noun(names, (target.objects[0], target.objects[1]))
    else:
        text, program = crossing_noun(names, target.objects[0], "out")
    end = ("filter_ancestor", "belong_to", *(("negate",) if negated else ()))
    whole = ("events", *program, *end)
    options = judged(_causes(scene, target, names), whole, scene)
    right = [c for c in options if c.answer == "correct"]
    wrong = [c for c in options if c.answer == "wrong"]
    if not right or not wrong or len(options) < 4:
        return None
    rng = names.rng
    correct = int(rng.integers(max(1, 4 - len(wrong)), min(3, len(right)) + 1))
    chosen = [right[i] for i in rng.permutation(len(right))[:correct]]
    chosen += [wrong[i] for i in rng.permutation(len(wrong))[: 4 - correct]]
    is_ = "is not" if negated else "is"
    return RawQuestion(
        question_id=0,
        question=f"Which of the following {is_} responsible for {text}?",
        question_type="explanatory",
        program=whole,
        choices=judged([chosen[i] for i in rng.permutation(4)], whole, scene),
    )


def explanatories(scene: Scene, names: Names) -> list[RawQuestion]:
    """Up to two explanatory questions about different events, one of them negated."""
    targets = [e for e in scene.events if e.type != "in" and ancestors(scene, e)]
    negated, found = flip(names.rng), []
    for i in names.rng.permutation(len(targets)):
        question = explanatory(scene, targets[i], names, negated=negated)
        if question is not None:
            found.append(question)
            negated = not negated
        if len(found) == EXPLANATORY:
            break
    return found


Writer = Callable[[Truth, Names, Sequence[Request]], list[RawQuestion] | None]
"""Writes the wanted counterfactual questions; None if the scene cannot give them."""


def as_they_come(truth: Truth, names: Names, wanted: Sequence[Request]) -> list[RawQuestion] | None:
    """Counterfactual questions that are mixed without the object, whatever they are in the video.

    Most of the inferential ones give themselves away: all or none of their options happen there.
    """
    taken: set[int] = set()
    found: list[RawQuestion] = []
    single = [one for one in wanted if isinstance(one, Wanted)]
    for one in sorted(single, key=lambda one: one.observational):  # the rarer kind chooses first
        question = counterfactual(truth, names, one, taken)
        if question is None:
            return None
        found.append(question)
    return found


def all_questions(
    truth: Truth,
    speeds_TN: np.ndarray,
    wanted: Sequence[Request],
    count: int,
    rng: np.random.Generator,
    *,
    write: Writer,
) -> tuple[RawQuestion, ...] | None:
    """Every question of one scene, numbered in CLEVRER's order of types.

    Args:
        truth: the scene with its other worlds.
        speeds_TN: metres a second at the video's frames.
        wanted: the counterfactual questions to ask.
        count: descriptive questions, at most.
        rng: of every draw.
        write: of the counterfactual questions.

    Returns:
        The questions, or None if the scene cannot give the wanted counterfactual ones.
    """
    scene, names = truth.scene, Names(truth.scene.objects, rng)
    what_if = write(truth, names, wanted)
    if what_if is None:
        return None
    views = Views.of(scene, speeds_TN, MOVING_SPEED)
    coming = predictive(truth, names)
    found = [
        *descriptive(views, names, count),
        *explanatories(scene, names),
        *([coming] if coming is not None else []),
        *(what_if[i] for i in rng.permutation(len(what_if))),
    ]
    return tuple(numbered(found))


def numbered(questions: Iterable[RawQuestion]) -> Iterator[RawQuestion]:
    """With ids 0, 1, 2 ..."""
    for number, question in enumerate(questions):
        yield msgspec.structs.replace(question, question_id=number)
