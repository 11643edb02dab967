"""`hf://` addresses: models and question sets that lie on a Hugging Face hub, fetched once.

    hf://USER/NAME[@REVISION][/FOLDER]            a model
    hf://datasets/USER/NAME[@REVISION][/FOLDER]   a question set

What is fetched lies in the cache of the hub's own client, which goes by `HF_HOME`, `HF_ENDPOINT`
and `HF_TOKEN`, and answers from there when there is no network.
"""

import re
import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from videothinker.errors import UserError
from videothinker.files import border, not_there, reason

if TYPE_CHECKING:
    from huggingface_hub import HfUri

START = re.compile(r"hf:/{1,2}")
"""What an address begins with; a `Path` has lost one of the two slashes."""
MODEL = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model")
"""What is fetched of a model: never code, never pickles."""
NEVER = (
    *("*.py", "*.pyc", "*.pyd", "*.so", "*.dll", "*.dylib", "*.sh"),
    *("*.pkl", "*.pickle", "*.bin", "*.pt", "*.pth"),
)
"""What is not fetched of a question set: it is data alone."""
KINDS = {"model": "a model", "dataset": "a question set"}
FORMS = {"model": "hf://USER/NAME", "dataset": "hf://datasets/USER/NAME"}
FORM = " and ".join(f"{FORMS[kind]} for {KINDS[kind]}" for kind in KINDS)
CHECK = "check the name, log in with `hf auth login` if it is private, or give a folder"
EXAMPLE = "Qwen/Qwen2.5-VL-3B-Instruct"


def is_address(source: str | Path) -> bool:
    """Does it begin with `hf://`?"""
    return START.match(str(source)) is not None


def read_address(source: str | Path) -> "HfUri":
    """An address in its parts.

    Raises:
        UserError: it is none, or one of neither a model nor a data set.
    """
    from huggingface_hub import parse_hf_uri  # noqa: PLC0415 (an address is rare, `--help` is not)

    given = _spelled(source)
    with border(f"{given} is no address on a hub", f"allowed is {FORM}"):
        found = parse_hf_uri(given)
    if found.type not in KINDS:
        raise UserError(f"{given} is the address of a {found.type}; allowed is {FORM}")
    return found


def as_given(source: str | Path) -> str:
    """In the words of a command: an address with both its slashes, a path in quotes if need be."""
    return shlex.quote(_spelled(source))


def _spelled(source: str | Path) -> str:
    """An address with both its slashes, of which a path has lost one; anything else as it is."""
    return START.sub("hf://", str(source), count=1)


def local(source: Path) -> Path:
    """The folder of a question set that may be an address; any other path as it is.

    Raises:
        UserError: a path at which nothing lies, or see `fetch`.
    """
    if is_address(source):
        return fetch(str(source), "dataset")
    if not source.exists():
        raise UserError(
            f"{not_there(source)}; give a folder, a list of questions (JSON lines, a JSON array, "
            f"CSV, parquet), or {FORMS['dataset']} for a set on a hub"
        )
    return source


def at_hand(source: str) -> Path:
    """A model's address as the folder that was fetched; anything else as the path it may be.

    Raises:
        UserError: see `fetch`.
    """
    return fetch(source, "model") if is_address(source) else Path(source)


def fetch_id(
    name: str,
    files: Sequence[str] = MODEL,
    remedy: str = "check the path, or the name and the network",
) -> Path:
    """The folder in the client's cache of the model that a hub id names, as `USER/NAME`.

    Whoever wrote it may have meant a folder: where nothing is found both readings are told.

    Raises:
        UserError: no hub id, or one that cannot be fetched.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    if name.count("/") != 1 or name[0] in "./~":
        raise UserError(f"{not_there(name)}, and no hub id such as {EXAMPLE} either; {remedy}")
    with border(f"{not_there(name)}, and as a hub id it could not be fetched", remedy, _why):
        return Path(snapshot_download(name, allow_patterns=[*files], ignore_patterns=["*/*"]))


@cache
def fetch(address: str, kind: str) -> Path:
    """The folder in the client's cache that holds what lies at `address`, asked for once a process.

    Args:
        address: of any kind.
        kind: the one that is wanted, `model` or `dataset`.

    Raises:
        UserError: it is of the other kind, is not there, or may not be read.
    """
    uri = read_address(address)
    if uri.type != kind:
        raise UserError(
            f"{_spelled(address)} is the address of {KINDS[uri.type]}, where {KINDS[kind]} is "
            f"wanted; allowed is {FORMS[kind]}"
        )
    folder = _snapshot(uri, None) / uri.path_in_repo
    if not folder.exists():
        raise UserError(f"{address}: {uri.id} holds no {uri.path_in_repo}; check the folder's name")
    return folder


def download(address: str, folder: Path) -> None:
    """As `fetch`, into `folder`, as files of its own.

    Raises:
        UserError: as `fetch`; or the address names a part of what lies there.
    """
    uri = read_address(address)
    if uri.path_in_repo:
        raise UserError(f"{address} names a part; give {uri.id} whole, as {FORM}")
    _snapshot(uri, folder)


def name_of(address: str) -> str:
    """The shortest words for it that any tool reads: `hf://USER/NAME` as USER/NAME."""
    uri = read_address(address)
    return address if uri.revision or uri.path_in_repo else uri.id


def _snapshot(uri: "HfUri", folder: Path | None) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    start = f"{uri.path_in_repo}/" if uri.path_in_repo else ""
    if uri.type == "dataset":
        allowed, ignored = [f"{start}*", *([uri.path_in_repo] if start else [])], [*NEVER]
    else:
        allowed = [f"{start}{pattern}" for pattern in (*MODEL, "README.md")]
        ignored = [f"{start}*/*"]
    with border(f"{uri.id} could not be fetched", CHECK, _why):
        return Path(
            snapshot_download(
                uri.id,
                repo_type=uri.type,
                revision=uri.revision,
                local_dir=folder,
                allow_patterns=allowed,
                ignore_patterns=ignored,
            )
        )


def _why(error: BaseException) -> str:
    """What the hub's client raises for want of a network or a right, in plain words."""
    from huggingface_hub import errors  # noqa: PLC0415

    known = {
        errors.GatedRepoError: "its owner lets in who asks there first",
        errors.RepositoryNotFoundError: "the hub shows you nothing of that name",
        errors.RevisionNotFoundError: "it has no such revision",
        errors.LocalEntryNotFoundError: "the hub cannot be reached, and the cache does not hold it",
    }
    return next((told for kind, told in known.items() if isinstance(error, kind)), reason(error))
