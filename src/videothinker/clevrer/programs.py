"""The executor of CLEVRER's functional programs: the one source of truth for every answer.

A program is a flat postfix list over 47 tokens; a choice's program followed by its question's runs
on one stack. The public executor (NS-DR) spells some modules in another way; both are understood.
Semantics: the paper's tables 4 to 6 (Yi et al., ICLR 2020, arXiv 1910.01442).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast, get_args

from videothinker.clevrer.annotations import Color, Material, ObjectShape
from videothinker.clevrer.scenes import Event, Scene
from videothinker.errors import UserError

COLORS: tuple[str, ...] = get_args(Color)
MATERIALS: tuple[str, ...] = get_args(Material)
SHAPES: tuple[str, ...] = get_args(ObjectShape)
ORDERS = {"first": 0, "second": 1, "last": -1}

ALIASES = {
    "query_frame": "get_frame",
    "query_object": "get_object",
    "query_collision_partner": "get_col_partner",
    "filter_counterfact": "get_counterfact",
    "filter_resting": "filter_stationary",
}
"""The public executor's name -> the question files' name."""
MARKS = ("<START>", "<END>", "<NULL>")
"""Padding of tokenised programs: the first is skipped, the others end the program."""


class Undefined(UserError):
    """A program has no answer on a scene: "the cube" where there are two, say."""


def _things(scene: Scene, ids: Sequence[int], part: str, value: str) -> list[int]:
    return [i for i in ids if getattr(scene.objects[i], part) == value]


def _filter_motion(
    scene: Scene, ids: Sequence[int], frame: int | None, *, moves: bool
) -> list[int]:
    if scene.moving_TN is None or scene.visible_TN is None:
        raise Undefined("the program asks what moves; read the annotation with its trajectories")
    seen_TN, moving_TN = scene.visible_TN, scene.moving_TN & scene.visible_TN
    if frame is not None and not 0 <= frame < len(seen_TN):
        raise Undefined(f"frame {frame} is none of the video's {len(seen_TN)}")
    if frame is None:
        return [i for i in ids if seen_TN[:, i].any() and bool(moving_TN[:, i].any()) == moves]
    return [i for i in ids if seen_TN[frame, i] and bool(moving_TN[frame, i]) == moves]


def _of_type(kind: str) -> Callable[..., list[Event]]:
    def keep(_: Scene, events: list[Event], of: int | list[int]) -> list[Event]:
        wanted = {of} if isinstance(of, int) else set(of)
        return [e for e in events if e.type == kind and not wanted.isdisjoint(e.objects)]

    return keep


def _unique(_: Scene, found: list[Any]) -> Any:
    if len(found) != 1:
        raise Undefined(f"'unique' got {len(found)} of them; it needs exactly one")
    return found[0]


def _order(_: Scene, events: list[Event], order: str) -> Event:
    place = ORDERS[order]
    if not -1 <= place < len(events) or not events:
        raise Undefined(f"'filter_order' wants the {order} of {len(events)} events")
    return events[place]


def _get_object(_: Scene, event: Event) -> int:
    if event.type not in ("in", "out"):
        raise Undefined(f"'get_object' needs an entering or leaving event, not {event.type}")
    return event.objects[0]


def _partner(_: Scene, event: Event, thing: int) -> int:
    if event.type != "collision" or thing not in event.objects:
        raise Undefined("'get_col_partner' needs a collision of that object")
    first, second = event.objects
    return second if thing == first else first


def ancestors(scene: Scene, event: Event) -> list[Event]:
    """All causes of an event, in order.

    The cause of an event is the previous event of each of its objects, and so on back. (An event
    of the scene; one that does not happen in it has none.)
    """
    causes: set[Event] = set()
    waiting = [event] if event in scene.events else []
    while waiting:
        now = waiting.pop()
        before = scene.events[: scene.events.index(now)]
        for thing in now.objects:
            last = next((e for e in reversed(before) if thing in e.objects), None)
            if last is not None and last not in causes:
                causes.add(last)
                waiting.append(last)
    return [e for e in scene.events if e in causes]


def _unseen(scene: Scene) -> list[Event]:
    if scene.unseen is None:
        raise Undefined("the program asks what follows the video; annotations do not hold it")
    return list(scene.unseen)


def _possible(scene: Scene) -> list[Event]:
    count = len(scene.objects)
    return [Event("collision", -1, (i, j)) for i in range(count) for j in range(i + 1, count)]


def _without(scene: Scene, removed: int) -> list[Event]:
    if scene.counterfactual is None or removed not in scene.counterfactual:
        raise Undefined(
            "the program asks for a world without an object; annotations do not hold it"
        )
    return list(scene.counterfactual[removed])


def _counterfact(scene: Scene, events: list[Event], removed: int) -> list[Event]:
    pairs = {e.pair for e in _without(scene, removed) if e.type == "collision"}
    return [e for e in events if e.pair in pairs]


def _belong(_: Scene, entry: Event | int, events: list[Event]) -> str:
    if isinstance(entry, int):
        return "yes" if any(entry in e.objects for e in events) else "no"
    return "yes" if any(e.type == entry.type and e.pair == entry.pair for e in events) else "no"


class Module(NamedTuple):
    """A token: what it takes from the stack, what it puts there, how."""

    takes: tuple[tuple[str, ...], ...]
    gives: str
    """The kind, or "same" for the single one of what came."""
    run: Callable[..., Any]


def _m(takes: str, gives: str, run: Callable[..., Any]) -> Module:
    return Module(tuple(tuple(part.split("|")) for part in takes.split()), gives, run)


MODULES: dict[str, Module] = {
    "objects": _m("", "objects", lambda s: list(range(len(s.objects)))),
    "events": _m("", "events", lambda s: list(s.events)),
    "all_events": _m("", "events", _possible),
    "unseen_events": _m("", "events", _unseen),
    "start": _m("", "event", lambda _: Event("start", 0)),
    "end": _m("", "event", lambda s: Event("end", s.frames - 1)),
    "unique": _m("objects|events", "same", _unique),
    "count": _m("objects|events", "number", lambda _, found: str(len(found))),
    "exist": _m("objects|events", "bool", lambda _, found: "yes" if found else "no"),
    "negate": _m("bool", "bool", lambda _, said: "no" if said == "yes" else "yes"),
    "belong_to": _m("event|object events", "bool", _belong),
    "filter_color": _m("objects color", "objects", lambda s, o, v: _things(s, o, "color", v)),
    "filter_material": _m(
        "objects material", "objects", lambda s, o, v: _things(s, o, "material", v)
    ),
    "filter_shape": _m("objects shape", "objects", lambda s, o, v: _things(s, o, "shape", v)),
    "filter_moving": _m(
        "objects frame", "objects", lambda s, o, f: _filter_motion(s, o, f, moves=True)
    ),
    "filter_stationary": _m(
        "objects frame", "objects", lambda s, o, f: _filter_motion(s, o, f, moves=False)
    ),
    "filter_in": _m("events object|objects", "events", _of_type("in")),
    "filter_out": _m("events object|objects", "events", _of_type("out")),
    "filter_collision": _m("events object|objects", "events", _of_type("collision")),
    "filter_order": _m("events order", "event", _order),
    "filter_before": _m(
        "events event", "events", lambda _, es, e: [x for x in es if x.frame < e.frame]
    ),
    "filter_after": _m(
        "events event", "events", lambda _, es, e: [x for x in es if x.frame > e.frame]
    ),
    "filter_ancestor": _m(
        "events event", "events", lambda s, es, e: [x for x in ancestors(s, e) if x in es]
    ),
    "query_color": _m("object", "color", lambda s, i: s.objects[i].color),
    "query_material": _m("object", "material", lambda s, i: s.objects[i].material),
    "query_shape": _m("object", "shape", lambda s, i: s.objects[i].shape),
    "get_frame": _m("event", "frame", lambda _, e: e.frame),
    "get_object": _m("event", "object", _get_object),
    "get_col_partner": _m("event object", "object", _partner),
    "get_counterfact": _m("events object", "events", _counterfact),
}
"""The question files' modules."""
EXTRA: dict[str, Module] = {
    "filter_start": _m("events", "event", lambda *_: Event("start", 0)),
    "filter_end": _m("events", "event", lambda s, _: Event("end", s.frames - 1)),
    "counterfact_events": _m("object", "events", _without),
}
"""Modules that only the public executor has."""
LITERALS: dict[str, str] = {
    **dict.fromkeys(COLORS, "color"),
    **dict.fromkeys(MATERIALS, "material"),
    **dict.fromkeys(SHAPES, "shape"),
    **dict.fromkeys(ORDERS, "order"),
    "null": "frame",
}
TOKENS = (*MODULES, *LITERALS)
"""The 47 tokens of the question files."""
_ALL = {**MODULES, **EXTRA, **{old: MODULES[new] for old, new in ALIASES.items()}}


def _unknown(token: str, where: str) -> UserError:
    return UserError(
        f"{where}: unknown program token {token!r}; allowed are the 47 tokens of "
        "CLEVRER's question files and the public executor's names for them"
    )


def _plain(program: Sequence[str]) -> Sequence[str]:
    """The program without its padding."""
    if MARKS[0] not in program and MARKS[1] not in program and MARKS[2] not in program:
        return program
    ends = [i for i, token in enumerate(program) if token in MARKS[1:]]
    return [token for token in program[: min(ends, default=len(program))] if token != MARKS[0]]


def parse(program: Sequence[str], *, where: str = "program") -> str:
    """Check a program without a scene.

    Args:
        program: the tokens (a choice's followed by its question's).
        where: the question's id, for the error.

    Returns:
        The kind of its answer: bool | number | color | material | shape | event | object | ...

    Raises:
        UserError: an unknown token (named), or one whose arguments are not on the stack.
    """
    stack: list[str] = []
    for token in _plain(program):
        module = _ALL.get(token)
        if module is None:
            if token not in LITERALS:
                raise _unknown(token, where)
            stack.append(LITERALS[token])
            continue
        count = len(module.takes)
        given = stack[len(stack) - count :] if count <= len(stack) else []
        fits = len(given) == count and all(g in t for g, t in zip(given, module.takes, strict=True))
        if not fits:
            wants = ", ".join("/".join(kinds) for kinds in module.takes)
            raise UserError(
                f"{where}: {token!r} takes {wants}; the program gives {stack or 'nothing'}"
            )
        del stack[len(stack) - count :]
        stack.append(given[0][:-1] if module.gives == "same" else module.gives)
    if len(stack) != 1:
        raise UserError(f"{where}: the program leaves {len(stack)} values; it must leave one")
    return stack[0]


def run(program: Sequence[str], scene: Scene, *, where: str = "program") -> Any:
    """Run a program; the last value on the stack, whatever its kind (an event, objects, ...).

    Raises:
        UserError: not a program; see `parse`.
        Undefined: it has no answer on this scene.
    """
    if not _is_program(tuple(program)):
        parse(program, where=where)
    stack: list[Any] = []
    for token in _plain(program):
        module = _ALL.get(token)
        if module is None:
            stack.append(None if token == "null" else token)  # noqa: S105
            continue
        start = len(stack) - len(module.takes)
        given = stack[start:]
        del stack[start:]
        try:
            stack.append(module.run(scene, *given))
        except Undefined as error:
            raise Undefined(f"{where}: {error}") from None
    return stack[0]


@lru_cache(maxsize=4096)
def _is_program(program: tuple[str, ...]) -> bool:
    """Does it pass `parse`? The same few programs are run on every scene."""
    try:
        parse(program)
    except UserError:
        return False
    return True


def execute(program: Sequence[str], scene: Scene, *, where: str = "program") -> str:
    """Run a program to its answer: "yes", "3", "red", "cube"; see `run` for errors."""
    answer = run(program, scene, where=where)
    if not isinstance(answer, str):
        raise UserError(f"{where}: the program ends in {answer!r}, which is no answer")
    return answer


def judge(
    choice: Sequence[str], question: Sequence[str], scene: Scene, *, where: str = "program"
) -> bool:
    """Is a choice correct? Runs the choice's program and then the question's on one stack."""
    return execute((*choice, *question), scene, where=where) == "yes"


def removed_object(question: Sequence[str], scene: Scene, *, where: str = "program") -> int:
    """The object that a counterfactual question takes away.

    Raises:
        UserError: the program removes none.
    """
    names = ("get_counterfact", "filter_counterfact", "counterfact_events")
    place = next((i for i, token in enumerate(question) if token in names), None)
    if place is None:
        raise UserError(f"{where}: the program removes no object; give a counterfactual question's")
    begins = [i for i, token in enumerate(question[:place]) if token == "objects"]  # noqa: S105
    thing = question[max(begins, default=place) : place]
    if not thing or parse(thing, where=where) != "object":
        raise UserError(f"{where}: {question[place]!r} follows no object; give a whole program")
    return cast("int", run(thing, scene, where=where))


def negated(question: Sequence[str]) -> bool:
    """Does the question ask what is *not* so?"""
    return "negate" in question
