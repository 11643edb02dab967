"""Questions written by hand, for what is counted by hand."""

from videothinker.clevrer.grammar import remove_premise
from videothinker.records import Question

OPTIONS = ("The red cube collides with the blue sphere", "The cube and the cylinder collide")


def asks(name: str, text: str, answer: str, *, video: str = "v", **changes: object) -> Question:
    """One question; CLEVRER's premise is removed where it has one."""
    values = {
        "id": name,
        "dataset": "made",
        "split": "test",
        "video": f"{video}.mp4",
        "question": text,
        "question_struck": remove_premise(text),
        "choices": OPTIONS,
        "answer": tuple(answer),
        "type": "counterfactual",
    }
    return Question(**{**values, **changes})


def without(thing: str, *, negated: bool = False) -> str:
    """A premise in CLEVRER's words."""
    return f"Without the {thing}, what will {'not ' if negated else ''}happen?"
