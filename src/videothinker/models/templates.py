"""A model's chat template, rendered once in a process of its own: the text around the words.

A template is a program of whoever made the folder: it can loop without end or ask for all memory,
and neither can be told from reading it. So it never meets a question. It runs once for each form of
prompt, on marks in the place of words, in a child with bounded time and memory; what stands before,
between and behind the marks is kept, and prompts are put together from it.
"""

import json
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from videothinker.errors import UserError

CPU_SECONDS = 5
"""Of computing, all forms together; published templates need milliseconds."""
WALL_SECONDS = 120
"""For a template that only waits, on a busy machine."""
MEMORY = 1 << 30
"""Bytes the child may hold."""
LONGEST = 100_000
"""Characters around the words."""
SYSTEM, USER = "QzSystemWordsQz", "QzUserWordsQz"
MARGIN = ("\t\n \t", "\t \n\t")
"""Stand around the marks, so that a template that trims words is seen to do so."""
ADVICE = "take the template from where the model was published"


@dataclass(frozen=True)
class Form:
    """The text around the words of one form of prompt."""

    pieces: tuple[str, ...]
    slots: tuple[str, ...]
    """The mark between two pieces."""
    trimmed: frozenset[str]
    """Marks whose words the template strips of surrounding white space."""

    def fill(self, words: Mapping[str, str]) -> str:
        """The prompt's text."""
        parts = [self.pieces[0]]
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            said = words[slot].strip() if slot in self.trimmed else words[slot]
            parts += [said, piece]
        return "".join(parts)


def chat_text(
    tokenizer: Any, user: str, *, video: bool, system: str | None = None, listed: bool = False
) -> str:
    """The chat-formatted prompt, up to where the answer begins.

    Args:
        tokenizer: its `chat_template` and special tokens are used.
        user: the user's words, which follow the video.
        video: is there one?
        system: the system's words.
        listed: are those handed over as a list of parts, as the user's always are?

    Raises:
        UserError: no template, or one that fails, takes too long, or does not show the words.
    """
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not isinstance(template, str):
        raise UserError(f"the tokenizer has no chat template; {ADVICE}")
    variables = json.dumps(tokenizer.special_tokens_map, default=str, sort_keys=True)
    found = _forms(template, variables, listed)[(video, system is not None)]
    if isinstance(found, str):
        raise UserError(f"the chat template {found}; {ADVICE}")
    return found.fill({USER: user} if system is None else {USER: user, SYSTEM: system})


@lru_cache(maxsize=16)
def _forms(template: str, variables: str, listed: bool) -> dict[tuple[bool, bool], Form | str]:  # noqa: FBT001
    """(video?, system?) -> the form, or what is wrong with it."""
    keys = [(video, system) for video in (False, True) for system in (False, True)]
    request = {
        "template": template,
        "variables": json.loads(variables),
        "conversations": [_marked(*key, listed) for key in keys],
        "seconds": CPU_SECONDS,
    }
    rendered = _render_apart(json.dumps(request))
    if isinstance(rendered, str):
        return dict.fromkeys(keys, rendered)
    return {
        key: one["error"] if "error" in one else _cut(one["text"], system=key[1])
        for key, one in zip(keys, rendered, strict=True)
    }


def _marked(video: bool, system: bool, listed: bool) -> list[dict[str, Any]]:  # noqa: FBT001
    """A conversation with marks in the place of its words."""
    before, behind = MARGIN
    user: list[dict[str, str]] = [{"type": "video"}] if video else []
    user.append({"type": "text", "text": f"{before}{USER}{behind}"})
    said = f"{before}{SYSTEM}{behind}"
    head = {"role": "system", "content": [{"type": "text", "text": said}] if listed else said}
    return [head, {"role": "user", "content": user}][not system :]


def _cut(text: str, *, system: bool) -> Form | str:
    """A rendered text at its marks, or what is wrong with it."""
    if len(text) > LONGEST:
        return f"puts {len(text):,} characters around the words; at most {LONGEST:,} are allowed"
    slots = (SYSTEM, USER) if system else (USER,)
    if any(text.count(slot) != 1 for slot in slots):
        return "does not show the words it is given exactly once"
    slots = tuple(sorted(slots, key=text.index))
    before, behind = MARGIN
    trimmed = {slot for slot in slots if f"{before}{slot}{behind}" not in text}
    pieces, rest = [], text
    for slot in slots:
        mark = slot if slot in trimmed else f"{before}{slot}{behind}"
        piece, _, rest = rest.partition(mark)
        pieces.append(piece)
    return Form((*pieces, rest), slots, frozenset(trimmed))


def _render_apart(request: str) -> list[dict[str, str]] | str:
    """What the child makes of each conversation, or what is wrong with the template."""
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # stacks of threads are memory
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "videothinker.models.templates"],
            input=request.encode(),
            capture_output=True,
            timeout=WALL_SECONDS,
            env=os.environ | alone,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {WALL_SECONDS} s"
    if done.returncode == -signal.SIGXCPU:
        return f"did not end within {CPU_SECONDS} s of computing"
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return f"ended its process with {done.returncode} ({said[-1] if said else 'no word'})"
    return json.loads(done.stdout)


def serve() -> None:
    """The child: one request on stdin, the texts or their errors on stdout."""
    from transformers.utils.chat_template_utils import render_jinja_template  # noqa: PLC0415

    request = json.load(sys.stdin)
    _hold(resource.RLIMIT_DATA, MEMORY, MEMORY)
    spent = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(spent.ru_utime + spent.ru_stime) + request["seconds"]
    _hold(resource.RLIMIT_CPU, limit, limit + 1)
    answers: list[dict[str, str]] = []
    for conversation in request["conversations"]:
        try:
            texts, _ = render_jinja_template(
                conversations=[conversation],
                chat_template=request["template"],
                add_generation_prompt=True,
                **request["variables"],
            )
            answers.append({"text": texts[0][: LONGEST + 1]})
        except Exception as error:  # noqa: BLE001  (a stranger's program may raise anything)
            reason = (str(error).splitlines() or [""])[0][:200]
            answers.append({"error": f"fails ({type(error).__name__}: {reason})"})
    json.dump(answers, sys.stdout)


def _hold(what: int, soft: int, hard: int) -> None:
    """Ask the system for a limit; a lower one that whoever started us has set stays."""
    _, most = resource.getrlimit(what)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(what, (soft, hard))


if __name__ == "__main__":
    serve()
