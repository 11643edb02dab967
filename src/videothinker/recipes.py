"""Recipes: YAML settings of one verb. They become flags, so that one parser checks both.

Of YAML what a recipe needs is read: mappings, lists and plain values, with anchors and `<<`.
"""

import contextlib
import io
import re
import typing
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from videothinker.errors import UserError
from videothinker.files import border, opened
from videothinker.shipped import shipped

LARGEST = 1 << 18
"""Bytes of a recipe, and characters of it with its anchors written out; ours take up to 2^16."""
DEEPEST = 20
"""Lists and mappings inside each other; a grid needs 5."""
NAMES = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
"""What a key may be: text, or `<<`."""
ALIKE = re.compile(
    r"[-+]?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?|[-+]?\.\d+([eE][-+]?\d+)?|[-+]?\.inf|\.nan|true|false",
    re.IGNORECASE,
)
"""Numbers and truth values of YAML 1.1 that are the same in YAML 1.2."""
RULE = re.compile(r"^\s*-{4,}\s*$", re.MULTILINE)
"""Between title, sentence and advice of what tyro prints."""
FLAG = re.compile(r"--[a-z][a-z-]*")
RENAMED = {"watching": "probe_layer"}
"""Settings that had another name: recipes are told the new one, run folders are read by it."""


class _Loader(yaml.SafeLoader):
    """YAML without a name that comes twice; hyphens and underscores are one, as in flags."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in NAMES:
                raise ValueError(
                    f"{key.value!r} is no name; put it in quotes (line {key.start_mark.line + 1})"
                )
            name = str(key.value).replace("-", "_")
            if name in seen:
                raise ValueError(f"{key.value!r} stands twice (line {key.start_mark.line + 1})")
            seen.add(name)
        return node

    def construct_plain(self, node: Any) -> Any:
        """A number or a truth value that every YAML reads alike: no 010, 1:30, 1_000 or `yes`."""
        if not ALIKE.fullmatch(node.value):
            line = node.start_mark.line + 1
            raise ValueError(
                f"{node.value!r} is not the same in every YAML; write digits, true or false, or "
                f"put it in quotes (line {line})"
            )
        return getattr(self, f"construct_yaml_{node.tag.rpartition(':')[2]}")(node)


for _kind in ("int", "float", "bool"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_plain)


def read_recipe(path: Path) -> dict[str, Any]:
    """A YAML mapping of settings, hyphens read as underscores.

    `recipes/NAME.yaml` is the recipe that ships, unless a file of one's own lies there.

    Raises:
        UserError: the file is missing, not YAML, or not a mapping; it has tags, a name twice, or
            more than a recipe can mean.
    """
    try:
        with opened(shipped(path)) as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise UserError(f"recipe {path}: cannot be read ({error}); give a YAML file") from error
    if len(data) > LARGEST:
        raise UserError(
            f"recipe {path}: has more than {LARGEST:,} bytes; give a YAML file of fewer"
        )
    with border(f"recipe {path}: is not YAML as recipes have it", "see recipes/ for examples"):
        text = data.decode("utf-8-sig")
        _refuse_odd(text)
        found = yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    if not isinstance(found, dict):
        raise UserError(f"recipe {path}: holds no `name: value` lines; see recipes/ for examples")
    return {str(key).replace("-", "_"): value for key, value in found.items()}


def _refuse_odd(text: str) -> None:
    """Look at YAML's events, before anything is built of them.

    Raises:
        ValueError: a tag, too many levels, or more than it may hold with its anchors written out.
    """
    begun: list[tuple[str | None, int]] = []  # anchor, characters before it
    sizes: dict[str | None, int] = {}  # anchor -> characters behind it; all of it once it has ended
    total = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"the tag {event.tag!r} is not read (line {line})")
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            total += sizes.get(anchor, LARGEST + 1)  # one inside itself never ends
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = begun.pop()
            sizes[anchor] = total - before
        elif isinstance(event, yaml.CollectionStartEvent):
            begun.append((anchor, total))
            total += 1
        elif isinstance(event, yaml.ScalarEvent):
            total += 1 + len(event.value)
            sizes[anchor] = 1 + len(event.value)
        if len(begun) > DEEPEST:
            raise ValueError(f"is nested too deeply, {len(begun)} levels (line {line})")
        if total > LARGEST:
            raise ValueError(
                "its anchors (`*name`, `<<`) stand for more than "
                f"{LARGEST:,} characters (line {line})"
            )


def as_words(settings: Mapping[str, Any], where: str) -> list[str]:
    """Settings as command-line words: `{learning_rate: 1e-6}` -> `--learning-rate 1e-6`.

    Raises:
        UserError: a value that no flag can hold.
    """
    words: list[str] = []
    for key, value in settings.items():
        if isinstance(value, dict):
            raise UserError(f"{where}: {key} holds a mapping; give a value or a list of values")
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            values = value if isinstance(value, list) else [value]
            words += [f"--{flag}", *(str(one) for one in values)]
    return words


def spell_switches(kind: type, words: Sequence[str]) -> list[str]:
    """Words of a command line, with those of settings that may be neither on nor off as values."""
    hints = typing.get_type_hints(kind)
    spelled: dict[str, str] = {}
    for name in (name for name, annotation in hints.items() if annotation == bool | None):
        flag = f"--{name.replace('_', '-')}"
        spelled |= {flag: f"{flag}=True", f"--no{flag[1:]}": f"{flag}=False"}
    pairs = zip(words, [*words[1:], ""], strict=False)  # a recipe's null comes with its value
    return [
        word if after in ("True", "False", "None") else spelled.get(word, word)
        for word, after in pairs
    ]


class BadWords(Exception):
    """What tyro says of words that it does not take."""

    def __init__(self, printed: str) -> None:
        self.told = [*RULE.split(printed), printed][1]
        self.flags = FLAG.findall(self.told)
        super().__init__(self.told)


def from_words(kind: Any, words: Sequence[str], prog: str) -> Any:
    """An instance of a dataclass from a command's words; nothing is printed.

    Raises:
        BadWords: by the parser.
        ValueError: by the dataclass.
    """
    import tyro  # noqa: PLC0415 (heavy)

    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            return tyro.cli(kind, prog=prog, args=words)
    except SystemExit as stop:
        raise BadWords(printed.getvalue()) from stop


def check_keys(recipe: Mapping[str, Any], names: Collection[str], where: str) -> None:
    """Refuse a key that is none of the verb's settings.

    Raises:
        UserError: an unknown key, one by its old name, or TRL's `beta`, whose sign is the opposite
            of ours.
    """
    for key, value in recipe.items():
        if key == "beta" and "repulsion" in names:
            raise UserError(
                f"{where}: `beta: {value}` is TRL's name with TRL's sign; "
                "write `repulsion`, which stands for -beta and must be > 0"
            )
        if RENAMED.get(key) in names:
            raise UserError(f"{where}: {key!r} is called {RENAMED[key]!r} now; write that")
        if key not in names:
            raise UserError(f"{where}: unknown key {key!r}; allowed are {', '.join(sorted(names))}")
