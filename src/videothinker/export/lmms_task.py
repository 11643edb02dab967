"""What the exported lmms-eval task does with a question and an answer: our prompt, our parser.

Imported by lmms-eval in its own environment, where videothinker is installed without its
dependencies. A row is one of `questions.jsonl` as `export --to lmms-eval` writes it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from videothinker import prompts
from videothinker.answers import exact, parse

ALL = "exact"


def doc_to_visual(doc: Mapping[str, Any]) -> list[str]:
    """The video's path; none where a transcript stands in its place."""
    return [doc["video"]] if doc["video"] else []


def doc_to_text(doc: Mapping[str, Any], *_: Any, **__: Any) -> str:
    """The prompt of our protocol `videothinker`."""
    return prompts.render(doc["question"], doc["choices"], context=doc["context"] or None)


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """1 where exactly the right letters were given, under `exact` and under each of its groups."""
    said = parse(results[0], doc["choices"], truncated=False)
    right = exact(said.answer, tuple(doc["answer"]))
    return {ALL: right, **dict.fromkeys(doc["groups"], right)}
