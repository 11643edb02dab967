"""One row of a list -> drafts of questions: what each says, before the whole file is known."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from videothinker.lists import layout, lettered, options, said
from videothinker.lists.layout import Layout
from videothinker.lists.lettered import Lettered, without_end
from videothinker.lists.notes import Notes, Problem, kind
from videothinker.lists.options import Choices
from videothinker.lists.places import Places
from videothinker.lists.said import AnswerSaid
from videothinker.prompts import LETTERS
from videothinker.records import Letters, Question

PLACE = re.compile(r"<(?:video|image|audio)>", re.IGNORECASE)
AT_ENDS = re.compile(r"^(?:\s*<(?:video|image)>)+\s*|\s*(?:<(?:video|image)>\s*)+$", re.IGNORECASE)
OPEN = re.compile(
    r"(?:open|free)[-_ ]?(?:ended|form|text)?|ocr|numerical|regression|math|caption(?:ing)?",
    re.IGNORECASE,
)
"""Kinds of questions that have no choices, as lists call them."""
FORMS = re.compile(r"multi(?:ple)?[-_ ]?choices?|mcq?|mcqa", re.IGNORECASE)
"""What a list calls the form of its questions, which is not their type."""
YES_NO = ("yes", "no")
SPAN = re.compile(r"\s*([0-9.:]+)\s*-\s*([0-9.:]+)\s*")
TEXTS = ("question_struck", "context")


@dataclass
class Draft:
    """A question as its row has it."""

    number: int
    own: bool
    id: str | None
    dataset: str | None
    split: str | None
    type: str | None
    video: str | None
    video_name: str | None
    """As it stands in the row."""
    clip: Any
    context: str | None
    question: str
    premise_removed: str | None
    choices: list[str]
    said: list[AnswerSaid]
    """What each key with an answer says."""
    groups: Any = field(default_factory=dict[str, str])
    answer: Letters = ()


class Reader:
    """Reads rows one after the other; what it finds goes into `notes` and `problems`."""

    def __init__(self, notes: Notes, problems: list[Problem], places: Places) -> None:
        self._notes, self._problems, self._places = notes, problems, places
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._number = 0
        self.faulty: list[str] = []
        """Videos of rows with problems, as they stand there."""

    def read(self, number: int, row: Any) -> Iterator[Draft]:
        """The questions of a row; several of a conversation, none of a faulty one."""
        self._number = number
        if not isinstance(row, dict):
            self._wrong(f"is {kind(row)}, not an object", "write keys and values")
            return
        how = self._layout(row)
        if not self._is_asked(row, how):
            return
        before = len(self._problems)
        if how.own:
            self._check_own(row)
        video, name = self._video(row, how)
        clip = self._clip(row, how)
        for question, choices, answers in self._turns(row, how):
            found = self._question(question, choices, answers, how)
            if found is None or len(self._problems) > before:
                continue
            asked, texts, told = found
            yield Draft(
                number=number,
                own=how.own,
                id=_text(row, how.id),
                dataset=_text(row, how.dataset),
                split=_text(row, how.split),
                type=self._type(row, how),
                video=video,
                video_name=name,
                clip=clip,
                context=_text(row, "context"),
                question=asked,
                premise_removed=_text(row, "question_struck"),
                choices=texts,
                said=told,
                groups=row.get("groups") or {},
            )
        if name is not None and len(self._problems) > before:
            self.faulty.append(name)

    def _wrong(self, what: str, mend: str) -> None:
        self._problems.append(Problem(self._number, what, mend))

    def _note(self, what: str) -> None:
        self._notes.add("read", what, self._number)

    def _guess(self, what: str) -> None:
        self._notes.add("guessed", what, self._number)

    def _layout(self, row: Mapping[str, Any]) -> Layout:
        keys = tuple(key for key, value in row.items() if value is not None)
        found = self._layouts.get(keys)
        if found is None:
            found = self._layouts[keys] = layout.find(keys, row)
        if found.renamed:
            self._note(", ".join(found.renamed))
        if found.passed_over and not found.own:
            self._notes.add("not read", f"keys {', '.join(found.passed_over)}", self._number)
        return found

    def _is_asked(self, row: Mapping[str, Any], how: Layout) -> bool:
        """Is it a multiple-choice question about a video? Else it is counted."""
        kinds = [str(row[key]).strip() for key in how.kinds]
        image = any(one.lower() == "image" for one in kinds)
        if image or (how.video is None and not how.own and how.image is not None):
            self._notes.add("left out", "about images", self._number)
            return False
        if not self._has_choices(row, how) and any(OPEN.fullmatch(one) for one in kinds):
            self._notes.add("left out", "open questions, without choices", self._number)
            return False
        return True

    def _has_choices(self, row: Mapping[str, Any], how: Layout) -> bool:
        value = [row[key] for key in how.columns] if how.choices is None else row[how.choices]
        items: list[Any] = list(value.values()) if isinstance(value, dict) else value
        return bool(without_end(items) if isinstance(items, list) else items)

    def _check_own(self, row: Mapping[str, Any]) -> None:
        """A row in our own words: a key that is none of them is a slip, as `question_stuck`."""
        known = Question.__struct_fields__
        added = (layout.KEY, layout.LIST_KEY)
        if unknown := [name for name in row if name not in (*known, *added)]:
            self._wrong(f"unknown field {', '.join(unknown)}", f"allowed are {', '.join(known)}")
        for name in layout.NEEDED:
            if row[name] is None:
                self._wrong(f"{name} is null", "give text")
        for name in TEXTS:
            if not isinstance(row.get(name), str | None):
                self._wrong(f"{name} is {kind(row[name])}", "give text")

    def _type(self, row: Mapping[str, Any], how: Layout) -> str | None:
        for key in how.types:
            found = _text(row, key)
            if found and (how.own or not FORMS.fullmatch(found)):
                if key != "type":
                    self._note(f"{key} as type")
                return found
        return None

    def _video(self, row: Mapping[str, Any], how: Layout) -> tuple[str | None, str | None]:
        value = None if how.video is None else row[how.video]
        if isinstance(value, list) and len(value) == 1 and not how.own:
            value = value[0]
        if isinstance(value, dict):
            inside = isinstance(value.get("bytes"), bytes)
            value = value.get("path") or (value["bytes"] if inside else None)
        if isinstance(value, bytes):
            self._wrong("video lies inside its row", "write it to a file, and give its path")
            return None, None
        if isinstance(value, int) and not isinstance(value, bool) and not how.own:
            value = str(value)
        if value is None or value == "":
            if not how.own and _text(row, "context") is None:
                self._wrong("has no video", 'name it, as "video": "a.mp4"')
            return None, None
        if not isinstance(value, str):
            self._wrong(f"video is {kind(value)}", "give text: one path a question")
            return None, None
        path, read, guessed = self._places.find(value)
        if read:
            self._note(read)
        if guessed:
            self._guess(guessed)
        return path, value

    def _clip(self, row: Mapping[str, Any], how: Layout) -> Any:
        values = [row[key] for key in how.clip]
        if not values:
            return None
        if len(values) == 1:
            span = SPAN.fullmatch(values[0]) if isinstance(values[0], str) else None
            ends = list(span.groups()) if span else values[0]
        else:
            ends = values
        try:
            start, end = map(_seconds, ends)
        except (TypeError, ValueError):
            self._wrong(f"clip {ends!r} is no part of a video", "give start and end, in seconds")
            return None
        if not 0 <= start < end < float("inf"):
            what = f"clip {[f'{start:g}', f'{end:g}']} is no part of a video"
            self._wrong(what.replace("'", ""), "give start and end, in seconds")
        return start, end

    def _turns(
        self, row: Mapping[str, Any], how: Layout
    ) -> Iterator[tuple[Any, Any, list[tuple[Any, bool]]]]:
        """Question, choices and answers, each with whether a number in it is a place."""
        if how.talk is not None:
            yield from self._talk(row[how.talk])
            return
        if how.question is None:
            self._wrong("has no question", f"give it under one of {', '.join(layout.QUESTION)}")
            return
        choices: Any = None if how.choices is None else row[how.choices]
        if how.columns:
            choices = self._cells([row[key] for key in how.columns])
        question: Any = row[how.question]
        other = None if how.other_question is None else row[how.other_question]
        if isinstance(other, str) and isinstance(question, str):
            one, two = question.strip(), other.strip()
            if not two.startswith(one) and not one.startswith(two):
                self._guess(f"the question is under {how.question}, not {how.other_question}")
        yield question, choices, layout.answers_in(row, how)

    def _cells(self, cells: list[Any]) -> list[Any]:
        """Choices in columns of their own, without the empty ones at their end."""
        written = [cell for cell in cells if cell in options.MISSING]
        if written:
            self._guess(f"cells of choices that say {written[0]} are empty")
        return without_end([None if cell in options.MISSING else cell for cell in cells])

    def _talk(self, turns: Any) -> Iterator[tuple[Any, Any, list[tuple[Any, bool]]]]:
        """A conversation's pairs; `from` and `value`, or `role` and `content`."""
        spoken: list[tuple[str, Any]] = []
        for turn in turns if isinstance(turns, list) else []:
            if isinstance(turn, dict):
                who = str(turn.get("from", turn.get("role", ""))).lower()
                spoken.append((who, turn.get("value", turn.get("content"))))
        spoken = [(who, what) for who, what in spoken if who != "system"]
        people = [who in ("human", "user") for who, _ in spoken]
        if not spoken or people != [i % 2 == 0 for i in range(len(spoken))] or len(spoken) % 2:
            self._wrong("is no conversation", "give turns of human and gpt, one after the other")
            return
        for (_, question), (_, answer) in zip(spoken[::2], spoken[1::2], strict=True):
            if isinstance(question, str) and lettered.in_question(question) is None:
                self._notes.add("left out", "open questions, without choices", self._number)
            else:
                yield question, None, [(answer, False)]

    def _question(
        self, question: Any, choices: Any, answers: list[tuple[Any, bool]], how: Layout
    ) -> tuple[str, list[str], list[AnswerSaid]] | None:
        if not isinstance(question, str) or not question.strip():
            what = "is empty" if isinstance(question, str) else f"is {kind(question)}"
            if question is not None:
                self._wrong(f"question {what}", "give text")
            return None
        asked = self._without_places(question)
        held = lettered.in_question(asked)
        found = self._choices(choices, held, answers, how)
        if found is None:
            return None
        written, named = found
        texts = named.texts
        if held is not None and held.texts == texts:
            if choices is not None:
                self._note("choices that stand in the question too: taken out of it")
            asked = held.question
        elif held is not None and sorted(held.texts) == sorted(texts):
            self._wrong("its question has the choices in another order", "write them alike")
        only = texts if len(texts) == 1 else []
        single = [(f"has a single choice, {text!r}", "give two or more") for text in only]
        half_named = options.half_named(texts) if texts == written else ()
        for what, mend in (*options.faults(texts), *single, *half_named):
            self._wrong(what, mend)
        whole = 0 < len(texts) <= len(LETTERS)
        return asked, texts, self._said(answers, named, own=how.own) if whole else []

    def _without_places(self, question: str) -> str:
        if "<" not in question:
            return question
        asked = AT_ENDS.sub("", question)
        if asked != question:
            self._note("<video> or <image> at an end of the question: left out")
        if mark := PLACE.search(asked):
            self._wrong(
                f"question holds {mark[0]}, which would be shown as it stands", "leave it out"
            )
        return asked

    def _choices(
        self, value: Any, asked: Lettered | None, answers: list[tuple[Any, bool]], how: Layout
    ) -> tuple[list[str], Choices] | None:
        """The choices as they are written, and without their names."""
        if value is None or value in ([], {}, ""):
            if asked is not None:
                self._note("choices from the question")
                if asked.guess:
                    self._guess(asked.guess)
                if asked.below:
                    self._note(f"not asked: {asked.below[:80]!r}")
                return asked.written, options.named(asked.written, ())
            if any(isinstance(a, str) and a.strip(" .").lower() in YES_NO for a, _ in answers):
                self._guess("no choices, and answers yes or no: those are the choices")
                return list(YES_NO), options.named(YES_NO, ())
            self._wrong("has no choices", 'give at least two, as "choices": ["left", "right"]')
            return None
        held = options.decoded(value)
        written = options.texts_of(held)
        if written is None:
            self._wrong(*options.fault(value if held is None else held))
            return None
        texts, divided = written
        if not isinstance(value, list):
            self._note(f"choices from {kind(value)}")
        found = options.named(texts, how.columns or options.keys_of(held))
        if found.texts != texts:
            self._note("choices without their letters")
        for guess in filter(None, (divided, found.guess)):
            self._guess(guess)
        return texts, found

    def _said(
        self, answers: list[tuple[Any, bool]], choices: Choices, *, own: bool
    ) -> list[AnswerSaid]:
        """What each answer says."""
        count = len(choices.texts)
        if own and answers and (ours := _letters(answers[0][0], choices.letters)) is not None:
            return [AnswerSaid(ours)]
        found: list[tuple[Any, AnswerSaid | None]] = []
        for value, place in answers:
            one = said.read(value, choices, place=place)
            if one is not None and one.places and choices.numbers and not place:
                self._note("a number as the choice of that name")
                one = one.named(choices.numbers)
            elif one is not None and one.places and choices.letters != LETTERS[:count]:
                self._guess("numbers in answers count the choices as they stand, not by letters")
            found.append((value, one))
        known = [one for _, one in found if one is not None]
        if not known:
            if not answers or answers[0][0] in ("", []):
                self._wrong("has no answer", 'give the letters of the right choices, as ["A"]')
            else:
                self._wrong(
                    f"answer {_short(answers[0][0])} is none of its {count} choices",
                    "give a letter, a choice's text, both where they agree, or its place",
                )
        elif len(known) < len(found):
            self._guess("of several keys with an answer, those that say a choice")
        plain = {one.letters for one in known if not one.guess}
        for one in known:
            if one.guess and one.letters not in plain:  # else another key says the same
                self._guess(one.guess)
        return known


def _letters(value: Any, letters: str) -> Letters | None:
    """An answer in our own words: a list of letters, empty where no choice is right."""
    ours = isinstance(value, list) and all(isinstance(x, str) and x in set(letters) for x in value)
    return tuple(sorted(LETTERS[letters.index(x)] for x in set(value))) if ours else None


def _seconds(time: Any) -> float:
    """A time as `1.5`, `"1.5"` or `"00:00:01.5"`, in seconds.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not isinstance(time, str):
        return float(time)
    return sum(60**i * float(part) for i, part in enumerate(reversed(time.split(":"))))


def _short(value: Any) -> str:
    told = repr(value)
    return told if len(told) <= 80 else f"{told[:77]}..."


def _text(row: Mapping[str, Any], key: str | None) -> str | None:
    """A value as text; None where there is none."""
    value = None if key is None else row.get(key)
    if value is None or value == "" or isinstance(value, list | dict):
        return None
    return value if isinstance(value, str) else str(value)
