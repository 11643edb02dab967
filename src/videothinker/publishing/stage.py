"""The verbs `push` and `pull`: models and diagnosed question sets to a hub and back."""

import io
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from videothinker import hub
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.files import border, on_disk, writing
from videothinker.publishing.config import PullConfig, PushConfig
from videothinker.publishing.contents import Contents, contents_of, local_paths
from videothinker.publishing.model_card import model_card, read_evaluation
from videothinker.publishing.set_card import set_card
from videothinker.records import halves
from videothinker.runs import digest_path, prepare_out

CARD, BEGUN = "README.md", ".push"
"""The latter lies in a folder while it is written: the same command goes on after a kill."""
AT_ONCE = 500
"""Files in one commit: a hub refuses far larger ones."""


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `push` sent or wrote, and what `pull` fetched, for `--json`."""

    kind: str
    """model or dataset."""
    place: str
    """The address, or the folder."""
    files: dict[str, int]
    """Name -> bytes."""


def push(folder: Path, config: PushConfig) -> Published:
    """Publish a model or a diagnosed question set, with a card.

    Args:
        folder: a run folder with `model/`, a model folder, or a diagnose folder.
        config: where to, and what the card shows.

    Raises:
        UserError: see `contents_of` and `read_evaluation`; an address of the other kind, or one
            that cannot be written to.
    """
    sent = hub.is_address(config.to)
    contents = contents_of(folder, config)
    if sent:
        _check_address(config.to, contents.kind)
    card = _card(contents, config)
    for told in local_paths(contents.files.values()):
        say(f"warning: {told}, and whoever sees the files will read that")
    files = {name: contents.sent(name) for name in contents.files} | {CARD: card.encode()}
    if sent:
        _send(files, config)
    else:
        _write(files, Path(config.to))
    sizes = {name: _size(file) for name, file in files.items()}
    done = "pushed" if sent else "wrote"
    say(f"{done} {len(sizes):,} files, {sum(sizes.values()):,} bytes: {config.to}")
    if sent:
        use = "--model" if contents.kind == "model" else "--data"
        say(f"next: give it as {use} {config.to}")
    return Published(kind=contents.kind, place=config.to, files=sizes)


def pull(address: str, config: PullConfig) -> Published:
    """Fetch what lies at an address into a folder.

    Args:
        address: see `hub`.
        config: the folder.

    Raises:
        UserError: no address, nothing there, or a folder that is not empty.
    """
    kind = hub.read_address(address).type
    with on_disk(config.out), _nothing_left(config.out):
        prepare_out(config.out)
        begun = config.out / ".cache/huggingface"  # of the client: a killed pull goes on
        if any(config.out.iterdir()) and not begun.is_dir():
            raise UserError(f"{config.out}: is not empty; give a new folder")
        hub.download(address, config.out)
        shutil.rmtree(config.out / ".cache", ignore_errors=True)
        found = sorted(path for path in config.out.rglob("*") if path.is_file())
        sizes = {path.relative_to(config.out).as_posix(): path.stat().st_size for path in found}
        if not sizes:
            raise UserError(f"{address}: holds no file of {hub.KINDS[kind]}; check the name")
    say(f"fetched {len(sizes):,} files, {sum(sizes.values()):,} bytes: {config.out}")
    return Published(kind=kind, place=str(config.out), files=sizes)


@contextmanager
def _nothing_left(folder: Path) -> Iterator[None]:
    """Inside, a failure before anything is fetched takes away the folders that were made."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except UserError:
        with suppress(OSError):  # what came before the network broke stays, to be gone on with
            for path in new:
                path.rmdir()
        raise


def _card(contents: Contents, config: PushConfig) -> str:
    address, terms = config.to, config.license or ""
    if contents.kind == "model":
        digest = digest_path(contents.folder)
        measured = [read_evaluation(path, digest) for path in config.evaluations]
        return model_card(address, contents, measured, terms)
    if config.evaluations:
        raise UserError("--evaluations belong to a model, and a question set came; leave them out")
    return set_card(address, contents, terms)


def _check_address(address: str, kind: str) -> None:
    uri = hub.read_address(address)
    if uri.type != kind:
        given, sent = hub.KINDS[uri.type], hub.KINDS[kind]
        raise UserError(
            f"to is {address}, the address of {given}; {sent} goes to {hub.FORMS[kind]}"
        )
    if uri.path_in_repo:
        raise UserError(f"to is {address}; give the whole repository, without a folder")


def _send(files: Mapping[str, bytes | Path], config: PushConfig) -> None:
    from huggingface_hub import CommitOperationAdd, HfApi  # noqa: PLC0415

    uri, api = hub.read_address(config.to), HfApi()
    # large files first: who sees the records, and last the card, finds all that they name
    names = sorted(files, key=lambda name: (name == CARD, name.endswith((".json", ".jsonl"))))
    made = [CommitOperationAdd(name, files[name]) for name in names]
    with border(
        f"{config.to} could not be written to",
        "log in with a token that may write (`hf auth login`), check the name, and push again",
    ):
        api.create_repo(uri.id, repo_type=uri.type, private=not config.public, exist_ok=True)
        for start in range(0, len(made), AT_ONCE):
            api.create_commit(
                uri.id,
                made[start : start + AT_ONCE],
                repo_type=uri.type,
                revision=uri.revision,
                commit_message="Push by VideoThinker",
            )


def _size(file: bytes | Path) -> int:
    return len(file) if isinstance(file, bytes) else file.stat().st_size


def _write(files: Mapping[str, bytes | Path], folder: Path) -> None:
    with on_disk(folder):
        prepare_out(folder)
        begun = folder / BEGUN
        if any(folder.iterdir()) and not begun.is_file():
            raise UserError(f"{folder}: is not empty; give a new folder")
        begun.touch()
        for left in halves(folder):
            left.unlink()
        for name, given in files.items():
            with (
                io.BytesIO(given) if isinstance(given, bytes) else given.open("rb") as from_file,
                writing(folder / name) as file,
            ):
                shutil.copyfileobj(from_file, file)
        begun.unlink()
