"""The console script, `python -m videothinker`, and so `torchrun -m videothinker`."""

import sys


def entry() -> None:
    """Run the command line; Ctrl-C while it is still being imported ends it in silence, too."""
    try:
        from videothinker.cli import entry as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    entry()
