"""Run by each of two processes: a job of which one is killed, at rest or in a training step."""

import os
import signal
import sys
import time
from unittest import mock

from videothinker import cli
from videothinker.ranks import rank


def dies(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    """As a reward function: the second process is killed in it."""
    if rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return [0.0 for _ in completions]


def rest(words: list[str]) -> int:
    """As a stage: one process is killed once both are at work."""
    if rank() == int(words[0]):
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(100)
    return cli.DONE


def main(words: list[str]) -> int:
    """A command, or the number of who is killed at rest; the exit code."""
    if not words[0].isdigit():
        return cli.main(words)
    with mock.patch.object(cli, "_stage", rest):
        return cli.run(words)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, cli._terminated)
    sys.exit(main(sys.argv[1:]))
