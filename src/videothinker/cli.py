"""The command `videothinker`: one verb a stage, flags built from each stage's frozen config.

A verb's flags are the fields of its config dataclass; `--config recipe.yaml` sets any of them, and
a flag beats the recipe. Nothing heavy is imported before the verb is known and its flags are good.
"""

import contextlib
import dataclasses
import json
import os
import select
import signal
import sys
import traceback
import typing
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from videothinker import __version__, helping
from videothinker.errors import Slower, UserError
from videothinker.files import plain, refuse_name
from videothinker.parsing import read_words
from videothinker.ranks import Job, one_job, rank, size
from videothinker.recipes import as_words, check_keys, read_recipe, spell_switches
from videothinker.verbs import VERBS, Verb, load, setting_names

DONE, WITH_FAILURES, USER_ERROR, FAULT, INTERRUPTED, UNREAD = 0, 1, 2, 70, 130, 141
"""What a command ends with; the last is what a shell says of one that SIGPIPE ended."""
NAMED = ("model", "bias", "probe", "merge", "verify", "to")
"""Settings that may name a folder and are no paths: an address may stand there too."""


def find_verb(words: Sequence[str]) -> tuple[str, Verb, list[str]]:
    """Split a command line into its verb and the rest.

    Raises:
        UserError: no such verb.
    """
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in VERBS:
            return name, VERBS[name], list(words[count:])
    raise helping.unknown_command(words)


def take_flag(words: list[str], flag: str, *, value: bool) -> str | None:
    """Remove `flag` (and its value) from `words`; return the value, "" without one, or None."""
    for i, word in enumerate(words):
        if value and word.startswith(f"{flag}="):
            del words[i]
            return word.split("=", 1)[1]
        if word == flag:
            if value and i + 1 >= len(words):
                raise UserError(f"{flag} came without a value; give a file after it")
            found = words[i + 1] if value else ""
            del words[i : i + (2 if value else 1)]
            return found
    return None


def parse(words: Sequence[str]) -> tuple[str, list[Any], bool]:
    """A command line -> the verb's name, its stage's arguments, and whether `--json` was given.

    Raises:
        UserError: anything in it that is not allowed.
    """
    import tyro  # noqa: PLC0415

    name, verb, rest = find_verb(words)
    as_json = take_flag(rest, "--json", value=False) is not None
    path = take_flag(rest, "--config", value=True)
    helping.check_flags(name, rest)
    kind = load(verb.config)
    fields: list[Any] = []
    for key, (annotation, flag, about) in verb.inputs.items():
        named = None if flag else key.upper()  # as in the help, where one is missing
        marked = typing.Annotated[annotation, tyro.conf.arg(help=about, metavar=named)]
        optional = type(None) in typing.get_args(annotation)
        kept = dataclasses.field(kw_only=True, default=None if optional else dataclasses.MISSING)
        fields.append((key, marked if flag else tyro.conf.Positional[marked], kept))
    fields.append(("config", tyro.conf.OmitArgPrefixes[kind], dataclasses.field(kw_only=True)))
    if path is not None:
        flags = [key for key, (_, flag, _) in verb.inputs.items() if flag]
        names = [*flags, *setting_names(kind)]
        given = {word.split("=")[0].replace("_", "-") for word in rest if word.startswith("--")}
        recipe = {
            key: value
            for key, value in read_recipe(Path(path)).items()
            if not given & {f"--{key}".replace("_", "-"), f"--no-{key}".replace("_", "-")}
        }
        check_keys(recipe, names, path)
        rest += as_words(recipe, path)
    given = dataclasses.make_dataclass("Args", fields)
    parsed = read_words(name, given, spell_switches(kind, rest))
    _refuse_names(parsed)
    inputs = [getattr(parsed, key) for key in verb.inputs]
    return name, [*inputs, parsed.config], as_json


def _refuse_names(settings: Any) -> None:
    """Refuse paths and models' names with characters that are not seen.

    Raises:
        UserError: the first of them.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        for one in value if isinstance(value, tuple | list) else (value,):
            if dataclasses.is_dataclass(one):
                _refuse_names(one)
            elif isinstance(one, Path) or (field.name in NAMED and isinstance(one, str)):
                refuse_name(one)


MOST_GPUS = 1024


def take_dry_run(words: list[str]) -> dict[str, Any] | None:
    """Take `--dry-run`, `--gpus` and `--gpu-memory` of a training verb out of `words`."""
    if words[:1] != ["train"]:
        return None
    asked = take_flag(words, "--dry-run", value=False) is not None
    memory = take_flag(words, "--gpu-memory", value=True)
    gpus = take_flag(words, "--gpus", value=True)
    if not asked:
        if memory is not None:
            raise UserError("--gpu-memory is the size a plan is held against; add --dry-run")
        if gpus is not None:
            raise UserError(
                "--gpus is how many a plan is for; add --dry-run, or start the run by "
                f"torchrun --nproc-per-node {gpus} -m videothinker train ..."
            )
        return None
    if gpus is not None and not (gpus.isdecimal() and 1 <= int(gpus) <= MOST_GPUS):
        raise UserError(f"--gpus is {gpus!r}; allowed is a number from 1 to {MOST_GPUS}")
    return {"gpu_memory": memory, "gpus": int(gpus or 1)}


def _finish(name: str, result: Any, *, as_json: bool) -> int:
    """Print the result for a machine if asked; the exit code tells of recorded failures.

    `result` is what the stage returned: its output path (a grid's counts its failures), or one
    record (`ask`, `models`).
    """
    told = None
    if isinstance(result, Path) and (result / "run.json").is_file():
        from videothinker.run_file import read_run_file  # noqa: PLC0415

        told = read_run_file(result / "run.json")
    failures = int(getattr(result, "failures", 0) or (told.failures if told else 0))
    if as_json and isinstance(result, Path):
        summary = result / "summary.json"
        line = {
            "command": name,
            "out": str(result),
            "failures": failures,
            "facts": told.facts if told else {},
            "summary": json.loads(summary.read_text()) if summary.is_file() else None,
        }
        sys.stdout.write(json.dumps(line) + "\n")
    elif as_json:
        from videothinker.records import encode  # noqa: PLC0415

        sys.stdout.write(encode(typing.cast("Any", result)).decode())
    if failures and size() > 1:
        _tell(
            None,
            "the work is done; it ends with exit code 1 because failures are recorded, which "
            "torchrun calls failed",
        )
    return WITH_FAILURES if failures else DONE


def answer_at_once(words: list[str]) -> str | None:
    """What a command that runs no stage prints; None for every other one.

    Raises:
        UserError: help or completion for something that is not there.
    """
    asked = {"-h", "--help"} & set(words)
    rest = [word for word in words if word not in ("-h", "--help")]
    if asked or words[0] == "help":
        rest = rest[1:] if words[0] == "help" else rest
        begun = helping.help_beside(rest)
        return begun or (helping.help_of(find_verb(rest)[0]) if rest else helping.usage())
    if words[0] in ("--version", "version"):
        return f"videothinker {__version__}"
    if words[0] == "completion":
        return helping.completion(" ".join(words[1:]))
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        sys.stdout.write(helping.usage() + "\n")
        return USER_ERROR
    try:
        told = answer_at_once(words)
    except UserError as error:
        _tell(None, str(error))
        return USER_ERROR
    if told is not None:
        sys.stdout.write(f"{told}\n")
        return DONE
    return run(words)


def run(words: list[str]) -> int:
    """Run one stage; returns the exit code."""
    # Grids and stages fork after tokenizing; the tokenizer's own threads would only warn.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with one_job() as job:
        return _run(words, job)


def _run(words: list[str], job: Job | None) -> int:
    """The command; its exit code, whatever happens."""
    code, came = FAULT, tuple(words)  # a stage takes words out
    try:
        code = _stage(words)
    except UserError as error:
        _tell(job, str(error))
        code = USER_ERROR
    except KeyboardInterrupt:
        code = _interrupted(came, job)
    except SystemExit as stop:  # of a user's reward function, say; no stage of ours ends so
        traceback.print_exc()
        _tell(
            job,
            f"something called sys.exit({stop.code!r}) before the work was done, see above; take "
            "that call out of your own code, and the same command resumes",
        )
    except Exception as error:  # Python's own exit code, 1, would say "done, with failures"
        if isinstance(error, BrokenPipeError) and _unread():
            raise
        if job is None or _is_cause(job, error):
            traceback.print_exc()
    return code


def _stage(words: list[str]) -> int:
    dry = take_dry_run(words)
    name, arguments, as_json = parse(words)
    if size() > 1 and not VERBS[name].shared:
        raise UserError(
            f"{name}: runs in one process, and {size()} were started; give the command without "
            "torchrun"
        )
    if dry is not None:
        plan = load("videothinker.training.stages:dry_run")
        plan(*arguments, **dry, as_json=as_json)
        return DONE
    with _warnings_in_a_line():
        result = load(VERBS[name].stage)(*arguments)
    return DONE if rank() else _finish(name, result, as_json=as_json)


@contextlib.contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Inside, what was given up is said without Python's line of code and its place."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if issubclass(category, Slower):
                from videothinker import console  # noqa: PLC0415

                console.say(f"warning: {message}")
            else:
                usual(message, category, *where)

        warnings.showwarning = show
        yield


def _interrupted(words: Sequence[str], job: Job | None) -> int:
    if job is None or not job.wait_for_cause():
        verb = VERBS.get(words[0]) if words else None
        anew = "--dry-run" in words or (verb is not None and not verb.resumes)
        _tell(job, f"interrupted; the same command {'begins anew' if anew else 'resumes'}")
    return INTERRUPTED


def _is_cause(job: Job, error: Exception) -> bool:
    """Does the job end because of this fault of ours? It is said; is there more to print?"""
    return not job.wait_for_cause() and job.claim(plain(_in_words(error))) and not _is_memory(error)


def _tell(job: Job | None, sentence: str) -> None:
    """The one sentence a command ends with; of several processes one says it."""
    if job is None:
        sys.stderr.write(f"videothinker: {plain(sentence)}\n")
    else:
        job.claim(plain(sentence))


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _in_words(error: Exception) -> str:
    """A fault of one of several processes, in a sentence."""
    lines = str(error).splitlines()
    what = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if not _is_memory(error):
        return what
    return (
        f"out of memory ({what}); add --dry-run --gpus {size()} to the command, without torchrun, "
        "to see what would fit"
    )


def _unread() -> bool:
    """Whether stdout or stderr is a pipe that nobody reads any more."""
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        try:
            poll.register(stream.fileno(), 0)
        except (OSError, ValueError):  # no file behind it, or closed
            continue
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _terminated(*_: object) -> None:
    """Stop as after Ctrl-C, once: schedulers end a run with SIGTERM, and a grid its cells."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def entry() -> None:
    """The console script."""
    signal.signal(signal.SIGTERM, _terminated)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us, as by `>&-`
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  (until the end)
    if "VIDEOTHINKER_GRID" in os.environ:
        load("videothinker.cell:follow")()
    try:
        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # whoever read us, as `| head` does, has seen enough
        code = UNREAD
        _let_go(sys.stdout, sys.stderr)
    except OSError as error:  # main() handles all but its own printing
        code = USER_ERROR
        _let_go(sys.stdout)
        with contextlib.suppress(OSError):
            sys.stderr.write(f"videothinker: the output cannot be written ({error.strerror})\n")
    sys.exit(code)


def _let_go(*streams: typing.TextIO) -> None:
    """Send what is left in the buffers nowhere: Python's flush at its end would change the code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())


if __name__ == "__main__":
    entry()
