"""The words around a question.

Text from a dataset is text: it can neither steer the chat template nor buy reward.
"""

import re
import string

LETTERS = string.ascii_uppercase

THINK_TEMPLATE = (
    "{question}\n{choices}\n"
    "Think first, then answer with the letter of every correct choice. "
    "Write <think>your reasoning</think><answer>letters, separated by commas</answer>."
)
"""Ours (protocol `videothinker`): several letters are allowed where several can be right."""

CONTROL_TOKEN = re.compile(r"<\|([^|<>]{0,40})\|>")
TAG = re.compile(r"<(\s*+(?:/\s*+)?(?:think|answer)\s*+)>", re.IGNORECASE)


def without_controls(text: str) -> str:
    """Make control tokens (`<|im_end|>`, `<|video_pad|>`) plain words: `< |im_end| >`."""
    return CONTROL_TOKEN.sub(r"< |\1| >", text)


def neutralise(text: str) -> str:
    """Make control tokens and answer tags plain words: `<answer>` becomes `< answer >`.

    So the tokenizer sees ordinary characters and the parser no tag.
    """
    return TAG.sub(r"< \1 >", without_controls(text))


def render_choices(choices: tuple[str, ...] | list[str]) -> str:
    """`A. first` and so on, one a line."""
    return "\n".join(f"{LETTERS[i]}. {neutralise(choice)}" for i, choice in enumerate(choices))


def render(
    question: str,
    choices: tuple[str, ...] | list[str],
    *,
    context: str | None = None,
    template: str = THINK_TEMPLATE,
) -> str:
    """The user's message: context in place of a video, question, choices, answer format."""
    return fill(template, question, render_choices(choices), context)


def fill(template: str, question: str, shown: str, context: str | None) -> str:
    """A template with a question, its choices as they are `shown`, and what stands before it."""
    words = neutralise(question)
    body = shown.join(part.replace("{question}", words) for part in template.split("{choices}"))
    return body if context is None else f"{neutralise(context)}\n{body}"
