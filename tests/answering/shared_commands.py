"""Run by torchrun on two processes: commands, one after the other."""

import json
import sys

import torch

from videothinker import cli

torch.set_num_threads(1)


def main(words: list[str]) -> int:
    """An exit code for all of them."""
    codes = [cli.main(command) for command in json.loads(words[0])]
    return cli.FAULT if set(codes) - {cli.DONE, cli.WITH_FAILURES} else cli.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
