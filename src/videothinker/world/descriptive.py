"""Descriptive questions: count, exist and query, with CLEVRER's wording and programs."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from videothinker.clevrer.programs import COLORS, MATERIALS, SHAPES, Undefined, execute
from videothinker.clevrer.questions import LARGEST_COUNT, RawQuestion
from videothinker.clevrer.scenes import Scene
from videothinker.world.options import PARTS, Names, Noun, flip

VALUES = dict(zip(PARTS, (COLORS, MATERIALS, SHAPES), strict=True))
SUBTYPES = ("count", "exist", "query_color", "query_material", "query_shape")
SUBTYPE_SHARES = (0.28, 0.24, 0.16, 0.16, 0.16)
"""Chosen so that each closed set of answers is asked often enough (ours)."""
DRAWS = 6
"""Candidates drawn for one question; the one whose answer is rarest in the scene is kept."""
DOUBT = 2.0
"""A question about what moves is kept only if its answer stays when the threshold speed is this
many times lower or higher: nobody should be asked whether a crawl is a move."""


@dataclass(frozen=True)
class CandidateQuestion:
    """A question that may have an answer on the scene."""

    text: str
    program: list[str]
    about_motion: bool = False


@dataclass(frozen=True)
class Views:
    """The scene, and the same scene with lower and higher thresholds of moving."""

    scene: Scene
    others: tuple[Scene, ...]

    @staticmethod
    def of(scene: Scene, speeds_TN: np.ndarray, threshold: float) -> "Views":
        """`speeds_TN`: metres a second, at the frames of the video."""
        return Views(
            scene,
            tuple(
                replace(scene, moving_TN=speeds_TN > threshold * factor)
                for factor in (1 / DOUBT, DOUBT)
            ),
        )

    def answer(self, draft: CandidateQuestion) -> str | None:
        """The draft's answer; None if it has none."""
        try:
            return execute(draft.program, self.scene)
        except Undefined:
            return None

    def doubtful(self, draft: CandidateQuestion, answer: str) -> bool:
        """Does the answer depend on where the threshold of moving lies?"""
        try:
            return draft.about_motion and any(
                execute(draft.program, other) != answer for other in self.others
            )
        except Undefined:
            return True


class Drafter:
    """Draws questions about one scene."""

    def __init__(self, scene: Scene, names: Names) -> None:
        self.scene, self.names, self.rng = scene, names, names.rng

    def pick(self, options: tuple[str, ...]) -> str:
        """One of them."""
        return options[int(self.rng.integers(len(options)))]

    def nouns(self, *, without: str | None = None) -> Noun:
        """A set of objects: up to two parts, mostly of an object that is there."""
        allowed = [part for part in PARTS if part != without]
        count = int(self.rng.choice(3, p=(0.3, 0.5, 0.2)))
        chosen = {allowed[i] for i in self.rng.permutation(len(allowed))[:count]}
        thing = self.scene.objects[int(self.rng.integers(len(self.scene.objects)))]
        real = self.rng.random() < 0.75
        return Noun(
            tuple(
                (part, getattr(thing, part) if real else self.pick(VALUES[part]))
                for part in PARTS
                if part in chosen
            )
        )

    def event(self) -> tuple[str, list[str]]:
        """A clause ("the cube enters the scene") and the program of its event."""
        crossings = [e for e in self.scene.events if e.type in ("in", "out")]
        if not crossings:
            return "the video begins", ["start"]
        event = crossings[int(self.rng.integers(len(crossings)))]
        noun = self.names(event.objects[0])
        verb = "enters" if event.type == "in" else "exits"
        text = f"the {noun.text} {verb} the scene"
        return text, ["events", *noun.one, f"filter_{event.type}", "unique"]

    def moment(self) -> tuple[str, list[str]]:
        """A "when ..." and the program of its frame; nothing and `null` for the whole video."""
        kind = self.pick(("", "begins", "ends", "event"))
        if kind == "":
            return "", ["null"]
        if kind == "event":
            text, program = self.event()
            return f" when {text}", [*program, "get_frame"]
        token = "start" if kind == "begins" else "end"
        return f" when the video {kind}", [token, "get_frame"]

    def span(self, noun: Noun | None = None) -> tuple[str, list[str]]:
        """A "before ..." or "after ..." and its filter; mostly nothing.

        Nothing too where the event is `noun`'s own: a cube cannot enter before it enters.
        """
        if self.rng.random() < 0.55:
            return "", []
        text, program = self.event()
        if program == ["start"] or (noun is not None and program[1:-3] == noun.program):
            return "", []
        side = self.pick(("before", "after"))
        return f" {side} {text}", [*program, f"filter_{side}"]

    def moving_set(self, noun: Noun) -> tuple[str, str, list[str]]:
        """Moving or stationary, when, and the program of the set."""
        state = self.pick(("moving", "stationary"))
        when, frame = self.moment()
        return state, when, [*noun.program, *frame, f"filter_{state}"]

    def count(self) -> CandidateQuestion:
        """How many ...?"""
        noun, kind = self.nouns(), self.pick(("moving", "crossing", "collisions"))
        if kind == "moving":
            state, when, program = self.moving_set(noun)
            text = (
                f"How many {noun.text}s are {state}{when}?"
                if flip(self.rng)
                else f"How many {state} {noun.text}s are there{when}?"
            )
            return CandidateQuestion(text, [*program, "count"], about_motion=True)
        span, cut = self.span(None if kind == "collisions" else noun)
        if kind == "collisions":
            program = ["events", "objects", "filter_collision", *cut, "count"]
            return CandidateQuestion(f"How many collisions happen{span}?", program)
        verb, token = ("enter", "filter_in") if flip(self.rng) else ("exit", "filter_out")
        program = ["events", *noun.program, token, *cut, "count"]
        return CandidateQuestion(f"How many {noun.text}s {verb} the scene{span}?", program)

    def exist(self) -> CandidateQuestion:
        """Are there any ...?"""
        noun, kind = self.nouns(), self.pick(("moving", "moving", "crossing", "collisions"))
        if kind == "moving":
            state, when, program = self.moving_set(noun)
            text = f"Are there any {state} {noun.text}s{when}?"
            return CandidateQuestion(text, [*program, "exist"], about_motion=True)
        span, cut = self.span(None if kind == "collisions" else noun)
        if kind == "collisions":
            program = ["events", "objects", "filter_collision", *cut, "exist"]
            return CandidateQuestion(
                f"Are there any collisions{span}?" if span else "Are there collisions?", program
            )
        verb, token = ("enter", "filter_in") if flip(self.rng) else ("exit", "filter_out")
        program = ["events", *noun.program, token, *cut, "exist"]
        return CandidateQuestion(
            f"Are there any {noun.text}s that {verb} the scene{span}?", program
        )

    def query(self, part: str) -> CandidateQuestion:
        """What color, material or shape ...?"""
        ask = f"What {part} is" if flip(self.rng) else f"What is the {part} of"
        kind = self.pick(("moving", "crossing", "partner"))
        if kind == "moving":
            noun = self.nouns(without=part)
            state, when, program = self.moving_set(noun)
            text = (
                f"{ask} the {state} {noun.text}{when}?"
                if flip(self.rng)
                else f"{ask} the {noun.text} that is {state}{when}?"
            )
            return CandidateQuestion(text, [*program, "unique", f"query_{part}"], about_motion=True)
        order = self.pick(("", "first", "second", "last"))
        one = [order, "filter_order"] if order else ["unique"]
        rank = f"{order} " if order else ""
        if kind == "crossing":
            noun = self.nouns(without=part)
            verb, token = ("enters", "filter_in") if flip(self.rng) else ("exits", "filter_out")
            program = ["events", *noun.program, token, *one, "get_object", f"query_{part}"]
            return CandidateQuestion(f"{ask} the {rank}{noun.text} that {verb} the scene?", program)
        noun = self.names(int(self.rng.integers(len(self.scene.objects))))
        program = ["events", *noun.one, "filter_collision", *one, *noun.one, "get_col_partner"]
        text = f"{ask} the {rank}object to collide with the {noun.text}?"
        return CandidateQuestion(text, [*program, f"query_{part}"])

    def draft(self, subtype: str) -> CandidateQuestion:
        """A draft of one subtype."""
        if subtype == "count":
            return self.count()
        if subtype == "exist":
            return self.exist()
        return self.query(subtype.removeprefix("query_"))


def descriptive(views: Views, names: Names, count: int) -> list[RawQuestion]:
    """Up to `count` questions with an answer, no text twice, answers spread out."""
    drafter, rng = Drafter(views.scene, names), names.rng
    found: list[RawQuestion] = []
    texts: set[str] = set()
    used: Counter[tuple[str, str]] = Counter()
    for _ in range(count):
        subtype = SUBTYPES[int(rng.choice(len(SUBTYPES), p=SUBTYPE_SHARES))]
        drafts = [drafter.draft(subtype) for _ in range(DRAWS)]
        answered = [
            (used[subtype, answer], place, draft, answer)
            for place, draft in enumerate(drafts)
            if draft.text not in texts
            and (answer := views.answer(draft)) is not None
            and not (subtype == "count" and int(answer) > LARGEST_COUNT)
        ]
        kept = next(
            (a for a in sorted(answered, key=lambda a: a[:2]) if not views.doubtful(a[2], a[3])),
            None,
        )
        if kept is None:
            continue
        _, _, draft, answer = kept
        texts.add(draft.text)
        used[subtype, answer] += 1
        found.append(
            RawQuestion(
                question_id=len(found),
                question=draft.text,
                question_type="descriptive",
                program=tuple(draft.program),
                question_subtype=subtype,
                answer=answer,
            )
        )
    return found
