"""`python -m videothinker`, and so `torchrun -m videothinker`."""

from videothinker.cli import entry

if __name__ == "__main__":
    entry()
