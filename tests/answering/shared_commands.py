"""Run by torchrun on several processes: commands, one after the other."""

import json
import sys

import torch

from videothinker import cli

torch.set_num_threads(1)

if __name__ == "__main__":
    codes = [cli.main(command) for command in json.loads(sys.argv[1])]
    sys.exit(cli.FAULT if set(codes) - {cli.DONE, cli.WITH_FAILURES} else cli.DONE)
