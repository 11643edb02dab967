"""A process that has imported what renders chat templates, and forks for each: see `soak_models`.

A line of input is a request as `videothinker.models.templates.serve` reads it; a line of output is
the exit code of the fork, what it printed and what it complained of.
"""

import io
import json
import os
import sys
import tempfile
from typing import NoReturn

from transformers.utils import chat_template_utils

from videothinker.models import templates


def answer(request: str) -> tuple[int, str, str]:
    """What a fork makes of one request."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        pid = os.fork()
        if pid == 0:
            _serve(request, out.fileno(), err.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read()


def _serve(request: str, out: int, err: int) -> NoReturn:
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdin = io.StringIO(request)
        templates.serve()
        sys.stdout.flush()
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    chat_template_utils._compile_jinja_template("{{ 1 }}")  # noqa: SLF001  (imports jinja2)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()
