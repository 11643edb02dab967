"""Small files in the published form, and answers whose verdict was read off the authors' code."""

import json
from pathlib import Path

from videothinker.records import Question


def put(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def ask(answer: str, *choices: str, kind: str = "t", labels: str | None = None) -> Question:
    return Question(
        id="q",
        dataset="d",
        split="s",
        video="v.mp4",
        question="q",
        choices=choices,
        answer=(answer,),
        type=kind,
        groups={} if labels is None else {"labels": labels},
    )


def verdicts(rule, question: Question, texts: dict[str, str]) -> dict[str, str]:
    return {text: rule(question, text) for text in texts}
