"""What the command line says of itself: help in groups, the word that was meant, completion.

Light: a verb's settings are imported, and no stage.
"""

import ast
import dataclasses
import difflib
import inspect
import re
import shutil
import textwrap
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videothinker.errors import UserError
from videothinker.recipes import RENAMED
from videothinker.verbs import SWITCHES, VERBS, Verb, load

BEYOND = {
    "help": "what a command does and its flags: videothinker help train grpo",
    "completion": "a script that completes commands and flags: bash, zsh or fish",
}
"""What the command line does beside its stages."""
GROUPS: dict[str, tuple[str, ...]] = {
    "what is read and written": (
        *("data", "list", "grid", "runs", "video", "question", "choice", "model", "bias", "probe"),
        *("verify", "merge", "benchmark", "data_root", "diagnosis", "compare", "out", "as_is"),
        *(
            "accept_guesses",
            "answers_from",
            "keep_going",
            "decode",
            "follow_links",
            "allow_self_bias",
        ),
        *("start", "pool_dir"),
    ),
    "what goes to others, and comes from them": (
        *("to", "folder", "address", "evaluations", "license", "public", "with_videos"),
        *("algorithm", "recipe"),
    ),
    "which questions": (
        *("rule", "split", "types", "label", "limit", "train_questions", "sampling"),
        *(
            "inferential_share",
            "sampling_floor",
            "sampling_rollouts",
            "success",
            "whole_families",
            "check",
        ),
        *("questions", "held_out", "simulate_share", "corrupted_share", "pair_share", "stages"),
    ),
    "what is shown": (
        *("protocol", "tier", "transcript", "miss_rate", "variants", "probes", "ways", "prefill"),
        *("size", "frames", "width", "height", "min_pixels", "max_pixels", "max_prompt_length"),
    ),
    "how it is answered": (
        *("num_generations", "samples", "temperature", "max_completion_length"),
        *("max_new_tokens", "max_refills"),
    ),
    "the scenes": (
        *("scenes", "validation_scenes", "observational_share", "give_aways", "family_share"),
        *("jitter", "jitter_draws"),
        *("objects_min", "objects_max", "collisions_min", "collisions_max", "descriptive"),
        *("plain_looks", "radius", "softest", "near_miss", "friction", "lanes", "late_share"),
        *("bystander_share", "length", "shades"),
    ),
    "the network": (
        *("family", "hidden", "layers", "probe_layer", "heads", "intermediate", "vision_hidden"),
        *("vision_layers", "vision_heads", "vision_intermediate", "patch_size", "vocab_size"),
    ),
    "rewards and objective": (
        *("reward_funcs", "reward_weights", "reward_timeout", "scale_rewards", "loss_type"),
        *("epsilon", "epsilon_high"),
    ),
    "the push from the bias model": (
        *("repulsion", "divergence", "direction", "schedule", "divergence_in"),
        *("divergence_target", "guard", "guard_valid", "guard_entropy", "guard_divergence"),
    ),
    "optimisation": (
        *("max_steps", "steps", "batch", "prompts_per_step", "num_iterations", "learning_rate"),
        *("adam_learning_rate", "warmup", "decay", "lr_scheduler_type", "weight_decay"),
        *("max_grad_norm", "max_bad_steps", "freeze_vision", "lora_rank", "lora_alpha"),
    ),
    "validation, and checkpoints": (
        *("eval_steps", "eval_questions", "save_steps", "save_total_limit", "log_with"),
        *("save_every", "measure_every"),
    ),
    "the page": (
        *("table", "title", "embed_videos", "video_roots", "embed_megabytes"),
        *("listed_questions", "text_megabytes"),
    ),
    "machine and chance": (
        *("seed", "device", "dtype", "precision", "rows", "jobs", "threads", "workers"),
        *("budget_minutes", "gradient_checkpointing", "optimizer_device", "offload_bias"),
        *("moments", "shard"),
    ),
    "videos that are slow or broken": ("deadline", "decode_megabytes", "on_bad_video"),
    "a model that a server has": (
        *("endpoint", "endpoint_input", "endpoint_requests", "endpoint_timeout"),
        *("endpoint_retries", "endpoint_key_variable"),
    ),
}
"""Title -> settings, in the order of the help; a setting stands in the first group it is in."""
OWN = "what this command alone has"
"""The title of settings in no group."""
EVERY = (
    ("--config RECIPE.yaml", "sets any of these flags; a flag beats it"),
    ("--json", "prints the result as one JSON object, for a program"),
)
TRAINING = (
    ("--dry-run", "prints tokens, time and memory, and writes nothing"),
    ("--gpus 2", "with --dry-run: how many GPUs the plan is for"),
    ("--gpu-memory 48GB", "with --dry-run: the memory that the plan is held against, of each GPU"),
)
FIRST = {"models": "--verify", "export": "--merge"}
"""By command, the flag that a bare word most likely belongs to."""
INDENT = 26
ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
"""A setting of a docstring's `Attributes:`, and its words."""


@dataclass(frozen=True)
class Flag:
    """One flag, or a word in its place, as the help shows it."""

    name: str
    spelled: str
    """`--frames INT`, `--guard, --no-guard`, or `LIST`."""
    about: str


def _docstrings(kind: type) -> dict[str, str]:
    """Setting -> the text below it in its class, or in the one it inherits it from.

    Or, where the class has them, in the `Attributes:` of its docstring.
    """
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(one):
            continue
        listed = (inspect.getdoc(one) or "").partition("Attributes:")[2]
        for name, text in ATTRIBUTE.findall(listed):
            found[name] = " ".join(text.split())
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                assert isinstance(field.target, ast.Name)
                if isinstance(text.value, ast.Constant):
                    found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def _shape(annotation: Any) -> str:
    """A type as a reader of the help wants it: `INT`, `{a,b}`, `PATH ...`."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _shape(inside[0])
    if origin is typing.Literal:
        return "{" + ",".join(map(str, inside)) + "}"
    if origin in (typing.Union, types.UnionType):
        return "|".join(_shape(one) for one in inside if one is not type(None))
    if origin is tuple:
        if Ellipsis in inside:
            return f"{_shape(inside[0])} ..."
        return " ".join(map(_shape, inside))
    return {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}.get(annotation, "VALUE")


def _default(field: Any) -> str:
    value = field.default
    if value is dataclasses.MISSING:
        return "required"
    if value is None:
        return ""
    plain = [str(one) for one in value] if isinstance(value, tuple) else [str(value)]
    return f"default {' '.join(plain)}" if plain and plain != [""] else ""


def flags_of(verb: Verb) -> list[Flag]:
    """Every flag of a verb and every word it takes, in the order of its settings."""
    found = []
    for name, (annotation, flag, about) in verb.inputs.items():
        word = name.replace("_", "-")
        optional = type(None) in typing.get_args(annotation)
        about = about if optional else f"{about} (required)"  # noqa: PLW2901
        spelled = f"--{word} {_shape(annotation)}" if flag else word.upper()
        found.append(Flag(name, spelled, about))
    return [*found, *_settings(load(verb.config))]


def _settings(kind: type) -> Iterator[Flag]:
    hints, told = typing.get_type_hints(kind), _docstrings(kind)
    for field in dataclasses.fields(kind):
        annotation, word = hints[field.name], field.name.replace("_", "-")
        if dataclasses.is_dataclass(annotation):
            yield from _settings(typing.cast("type", annotation))
            continue
        default = _default(field)
        about = told.get(field.name, "")
        spelled = f"--{word} {_shape(annotation)}"
        if annotation in SWITCHES:
            spelled = f"--{word}, --no-{word}"
            left = typing.cast("bool | None", field.default)
            default = "" if left is None else f"default {'on' if left else 'off'}"
        yield Flag(field.name, spelled, f"{about} ({default})" if default else about)


def group_of(name: str) -> str:
    """The title a setting stands under."""
    return next((title for title, names in GROUPS.items() if name in names), OWN)


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = min(100, shutil.get_terminal_size().columns)
    lines = []
    for head, text in rows:
        folded = textwrap.wrap(text, max(30, width - INDENT)) or [""]
        first = f"  {head}"
        if len(first) > INDENT - 2:
            lines.append(first)
            first, rest = " " * INDENT + folded[0], folded[1:]
        else:
            first, rest = first.ljust(INDENT) + folded[0], folded[1:]
        lines += [first.rstrip(), *(" " * INDENT + line for line in rest)]
    return lines


def help_of(name: str) -> str:
    """A verb's help: what it does, how it is called, its flags in groups."""
    verb = VERBS[name]
    flags = flags_of(verb)
    placed = [flag.spelled for flag in flags if not flag.spelled.startswith("-")]
    lines = [f"usage: {' '.join(['videothinker', name, *placed, '[FLAGS]'])}", "", verb.about]
    for title in (*GROUPS, OWN):
        rows = [(flag.spelled, flag.about) for flag in flags if group_of(flag.name) == title]
        if rows:
            lines += ["", f"{title}:", *_columns(rows)]
    beside = [*EVERY, *(TRAINING if name.startswith("train ") else ())]
    return "\n".join([*lines, "", "beside these:", *_columns(beside)])


def usage() -> str:
    """The help of the command line itself."""
    width = max(map(len, [*VERBS, *BEYOND]))
    shown = {**{name: verb.about for name, verb in VERBS.items()}, **BEYOND}
    return "\n".join(
        [
            "usage: videothinker COMMAND [FLAGS]   (videothinker help COMMAND lists its flags)",
            "",
            "Find the perceptual shortcuts in video QA and train a video LLM without them.",
            "world -> diagnose -> train bias -> train grpo | cdpo -> evaluate -> report",
            "",
            *(f"  {name:<{width}}  {about}" for name, about in shown.items()),
            "",
            "exit codes: 0 done, 1 done with recorded failures, 2 user error, 70 fault of ours,",
            "130 interrupted, 141 nobody read its output to the end",
        ]
    )


def help_beside(words: Sequence[str]) -> str | None:
    """Help of what is no verb: `help` and `completion`, and the first word of several verbs."""
    name = " ".join(words)
    shown = {verb: one.about for verb, one in VERBS.items() if verb.startswith(f"{name} ")}
    shown |= {name: BEYOND[name]} if name in BEYOND else {}
    if not shown:
        return None
    return "\n".join([f"usage: videothinker {name} ...", "", *_columns(list(shown.items()))])


def unknown_command(words: Sequence[str]) -> UserError:
    """What to say where no command begins with these words: the nearest ones, or all."""
    said = " ".join(words[:2])
    known = [*VERBS, *BEYOND, "--version"]
    firsts = [name.split()[0] for name in known]
    likely = [words[0]] if words[0] in firsts else nearest(words[0], firsts)[:1]
    begun = [name for name in known if name.split()[0] in likely]
    near = (nearest(said, begun) if len(words) > 1 else []) or begun
    if near:
        return UserError(f"unknown command {said!r}; did you mean {' or '.join(near)}?")
    return UserError(f"unknown command {said!r}; allowed are {', '.join(known)}; try --help")


def nearest(word: str, known: Sequence[str]) -> list[str]:
    """At most three of `known` that look like `word`, the most alike first."""
    return difflib.get_close_matches(word, known, n=3, cutoff=0.6)


def check_flags(name: str, words: Sequence[str]) -> None:
    """Refuse a flag that the verb does not have, and one of several values that came with none.

    Raises:
        UserError: it names the flag, and those that look like an unknown one.
    """
    known = [*(f"--{flag}" for flag in words_of(name)), "--help"]
    takes = VERBS[name].inputs.values()
    if words and not words[0].startswith("-") and all(flag for _, flag, _ in takes):
        meant = FIRST.get(name, "--data" if takes else "--out")
        raise UserError(
            f"{name}: {words[0]!r} came without a flag; did you mean "
            f"`{name} {meant} {words[0]}`? (videothinker help {name} lists its flags)"
        )
    for word in words:
        flag = word.split("=")[0].replace("_", "-")
        if not flag.startswith("--") or flag == "--" or flag in known:
            continue
        renamed = f"--{RENAMED.get(flag[2:].replace('-', '_'), '')}".replace("_", "-")
        near = [renamed] if renamed in known else nearest(flag, known)
        meant = f"did you mean {' or '.join(near)}?" if near else "it has no such flag"
        raise UserError(
            f"{name}: unknown flag {flag!r}; {meant} (videothinker help {name} lists its flags)"
        )
    settings = dataclasses.fields(load(VERBS[name].config))
    several = {f"--{one.name}".replace("_", "-") for one in settings if one.default == ()}
    for word, after in zip(words, [*words[1:], "--"], strict=False):
        if word.replace("_", "-") in several and after.startswith("--"):
            raise UserError(f"{name}: {word} came with nothing; give it a value or leave it out")


def words_of(name: str) -> list[str]:
    """A verb's flags without their hyphens, `no-` forms included."""
    found = []
    for flag in flags_of(VERBS[name]):
        found += [
            one.split()[0].removeprefix("--")
            for one in flag.spelled.split(", ")
            if one.startswith("--")
        ]
    training = ("dry-run", "gpus", "gpu-memory") if name.startswith("train ") else ()
    beside = ["config", "json", *training]
    return [*found, *beside]


SHELLS = ("bash", "zsh", "fish")
ZSH = """(( $+functions[compdef] )) || { autoload -U +X compinit && compinit; }
autoload -U +X bashcompinit && bashcompinit
"""
"""Before what bash would read; of files it completes the names itself, spaces and all."""


def completion(shell: str) -> str:
    """A script for `shell` that completes commands and their flags.

    Raises:
        UserError: another shell than bash, zsh or fish.
    """
    if shell not in SHELLS:
        raise UserError(f"completion for {shell!r} is not known; allowed are {', '.join(SHELLS)}")
    flags = {name: " ".join(f"--{word}" for word in words_of(name)) for name in VERBS}
    firsts = list(dict.fromkeys(name.split()[0] for name in [*VERBS, *BEYOND]))
    trained = [name.split()[1] for name in VERBS if name.startswith("train ")]
    after = {"help": " ".join(firsts + trained), "completion": " ".join(SHELLS)}
    if shell == "fish":
        lines = [f"complete -c videothinker -n __fish_use_subcommand -a '{' '.join(firsts)}' -f"]
        seen = "__fish_seen_subcommand_from"
        lines.append(f"complete -c videothinker -n '{seen} train' -a '{' '.join(trained)}'")
        lines += [f"complete -c videothinker -n '{seen} {x}' -a '{after[x]}' -f" for x in after]
        for name, all_of_it in flags.items():
            test = "; and ".join(f"{seen} {word}" for word in name.split())
            lines += [
                f"complete -c videothinker -n '{test}' -l {flag.removeprefix('--')}"
                for flag in all_of_it.split()
            ]
        return "\n".join(lines)
    cases = "\n".join(f'    "{name}") flags="{told}";;' for name, told in flags.items())
    cases += "".join(f'\n    "{name}") words="{told}";;' for name, told in after.items())
    head = ZSH if shell == "zsh" else ""
    return f"""{head}_videothinker() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" verb="${{COMP_WORDS[1]}}" flags="" words=""
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(firsts)}" -- "$word")); return
  fi
  if [ "$verb" = train ]; then
    if [ "$COMP_CWORD" = 2 ]; then
      COMPREPLY=($(compgen -W "{" ".join(trained)}" -- "$word")); return
    fi
    verb="train ${{COMP_WORDS[2]}}"
  fi
  case "$verb" in
{cases}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$word"));;
    *) COMPREPLY=($(compgen -W "$words" -- "$word"));;
  esac
}}
complete -o default -F _videothinker videothinker"""
