"""The command line: fast, one parser for flags and recipes, one sentence for a mistake."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from videothinker import cli
from videothinker.errors import Slower, UserError
from videothinker.recipes import check_keys
from videothinker.verbs import VERBS

TRAININGS = [name for name in VERBS if name.startswith("train ")]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "videothinker.cli", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_and_import_stay_light() -> None:
    code = (
        "import sys, videothinker, videothinker.cli as c; c.main(['--help']);"
        "heavy = {'torch','transformers','av','yaml','tyro','numpy'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy - {'yaml'} else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_every_verb_explains_itself_without_torch(verb: str) -> None:
    code = (
        "import sys, videothinker.cli as c; code = c.main(sys.argv[1:]);"
        "sys.exit(code or ('torch' in sys.modules and 'torch was imported') or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *verb.split(), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert "--out" in done.stdout or "--to" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nonsense"], "unknown command 'nonsense'"),
        (
            ["train"],
            f"unknown command 'train'; did you mean {' or '.join(TRAININGS)}?",
        ),
        (["trian", "cdpo"], "did you mean train cdpo"),
        (["models", "some/folder"], "did you mean `models --verify some/folder`?"),
        (["train", "grpo", "data"], "did you mean `train grpo --data data`?"),
        (["--versio"], "did you mean --version?"),
        (["evalute"], "did you mean evaluate?"),
        (["help", "evalute"], "did you mean evaluate?"),
        (["completion", "tcsh"], "allowed are bash, zsh, fish"),
        (["reproduce", "g.yaml", "--config"], "--config came without a value"),
        (["reproduce", "none.yaml"], "cannot be read"),
        (["reproduce", "g.yaml", "--jobs", "-1"], "give 0 or more"),
        (["reproduce", "g.yaml", "--jbos", "1"], "unknown flag '--jbos'; did you mean --jobs or"),
        (["pretrain", "--watching", "2"], "unknown flag '--watching'; did you mean --probe-layer?"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_two(words: list[str], says: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_recipe_sets_flags_and_a_flag_beats_it(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("jobs: 3\nbudget-minutes: 5\n")
    words = ["reproduce", "g.yaml", "--config", str(recipe)]
    _, (_, config), _ = cli.parse(words)
    assert (config.jobs, config.budget_minutes) == (3, 5.0)
    _, (_, config), as_json = cli.parse([*words, "--jobs", "1", "--json"])
    assert (config.jobs, config.budget_minutes, as_json) == (1, 5.0, True)


def test_an_unknown_recipe_key_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("jbos: 3\n")
    with pytest.raises(UserError, match="unknown key 'jbos'; allowed are .*jobs"):
        cli.parse(["reproduce", "g.yaml", "--config", str(recipe)])


def test_trls_beta_is_refused_with_the_hint() -> None:
    with pytest.raises(UserError, match="repulsion.*stands for -beta"):
        check_keys({"beta": -0.01}, ["repulsion"], "r.yaml")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ZeroDivisionError("a fault"), "ZeroDivisionError: a fault"),
        (BrokenPipeError("a worker's pipe"), "BrokenPipeError: a worker's pipe"),  # it is not ours
        *((SystemExit(code), f"something called sys.exit({code!r})") for code in (0, 1, None)),
    ],
    ids=repr,
)
def test_a_fault_of_ours_passes_neither_for_a_done_run_nor_for_one_with_failures(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: BaseException,
    said: str,
) -> None:
    """As a reward function did that left: exit code 0 and no model, or 1, "done with failures"."""

    def broken(*_: object) -> None:
        raise fault

    monkeypatch.setattr("videothinker.world.stage.world", broken)
    assert cli.main(["world", "--out", str(tmp_path / "w")]) == cli.FAULT
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", None),
        ("--gradient-checkpointing", True),
        ("--no-gradient-checkpointing", False),
        ("--gradient-checkpointing None", None),
    ],
)
def test_a_switch_may_be_left_to_the_run(words: str, found: bool | None) -> None:
    line = f"train grpo --data d --model m --out o {words} --freeze-vision"
    config = cli.parse(line.split())[1][-1]
    assert config.gradient_checkpointing is found
    assert config.freeze_vision is True


@pytest.mark.filterwarnings("always")
def test_what_was_given_up_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the place in our code; other warnings stay as Python prints them."""

    def stage(*_: object) -> None:
        warnings.warn(Slower("no graphs (RuntimeError: none)"), stacklevel=1)
        with pytest.warns(UserWarning, match="of somebody else"):
            warnings.warn("of somebody else", stacklevel=1)

    monkeypatch.setattr("videothinker.world.stage.world", stage)
    assert cli.main(["world", "--out", str(tmp_path / "w")]) == cli.DONE
    assert capsys.readouterr().err == "warning: no graphs (RuntimeError: none)\n"


@pytest.mark.parametrize("unread", ["stdout", "stderr"])
@pytest.mark.parametrize("word", ["--version", "nonsense", "benchmarks"])
def test_a_pipe_that_nobody_reads_ends_as_a_shell_says(word: str, unread: str) -> None:
    """141; where nothing is written to that pipe, the command's own code."""
    silent = {"stdout": ("nonsense", "benchmarks"), "stderr": ("--version",)}
    own = {"nonsense": 2, "benchmarks": 0, "--version": 0}
    reading, writing = os.pipe()
    os.close(reading)
    other = {"stdout": "stderr", "stderr": "stdout"}[unread]
    done = subprocess.run(
        [sys.executable, "-m", "videothinker.cli", word],
        check=False,
        **{unread: writing, other: subprocess.DEVNULL},
    )
    os.close(writing)
    assert done.returncode == (own[word] if word in silent[unread] else 141)


def test_output_that_cannot_be_written_is_a_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "videothinker.cli", "--help"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch("videothinker: .*No space left on device.*\n", done.stderr)


def test_closed_output_is_no_failure() -> None:
    code = 'exec "$0" -m videothinker.cli --version >&- 2>&-'
    assert subprocess.run(["/bin/sh", "-c", code, sys.executable], check=False).returncode == 0


@pytest.mark.parametrize(("count", "told"), [("1", False), ("2", True)])
def test_failures_recorded_by_several_processes_are_told_from_a_job_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    count: str, told: bool,
) -> None:  # fmt: skip
    """Exit code 1 is all that torchrun looks at, and it prints a table of what failed."""
    (tmp_path / "run.json").write_text('{"failures": 2}')
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", count)
    assert cli._finish("train grpo", tmp_path, as_json=False) == cli.WITH_FAILURES
    assert ("the work is done" in capsys.readouterr().err) == told


def source_of(name: str) -> str:
    """The text of the module with a verb's stage."""
    module = Path(*VERBS[name].stage.partition(":")[0].split("."))
    return (Path(cli.__file__).parents[1] / module.with_suffix(".py")).read_text()


def test_a_verb_of_one_process_says_so_to_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would do the same in the same folder."""
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="world: runs in one process, and 2 were started"):
        cli._stage(["world"])
    for name, verb in VERBS.items():
        share = ("find_processes(" in source_of(name)) or ("own_folder(" in source_of(name))
        assert verb.shared == share, name


def test_an_interruption_of_the_imports_is_quiet() -> None:
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # none in the background
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'videothinker.helping': os.kill(os.getpid(), signal.SIGINT)\n"
        "from videothinker.__main__ import entry\n"
        "sys.meta_path.insert(0, Slow())\n"
        "entry()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (cli.INTERRUPTED, "", "")


@pytest.mark.parametrize(
    ("words", "does"),
    [("ask v.mp4 Which?", "begins anew"), ("check q.csv", "begins anew"), ("world", "resumes"),
     ("train cdpo", "resumes"), ("evaluate", "resumes"),
     ("train cdpo --dry-run --gpus 2", "begins anew")],
)  # fmt: skip
def test_an_interruption_says_what_the_same_command_does(
    words: str, does: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stage(words: list[str]) -> int:
        words.clear()  # as taking flags out does
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_stage", stage)
    assert cli.main(words.split()) == cli.INTERRUPTED
    said = f"videothinker: interrupted; the same command {does}\n"
    assert capsys.readouterr().err == said


def test_what_does_not_resume_keeps_no_run_folder() -> None:
    """A stage resumes by `open_run`, a hub's two verbs by what is there, a grid by its cells."""
    by_others = {"push", "pull", "demo", "reproduce"}
    for name, verb in VERBS.items():
        assert verb.resumes == ("open_run" in source_of(name) or name in by_others), name
