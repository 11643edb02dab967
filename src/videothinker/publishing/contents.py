"""What is published of a folder: the files of a model, or of a diagnosed question set."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from videothinker import hub
from videothinker.benchmarks import jsonl
from videothinker.errors import UserError
from videothinker.files import border, load_json
from videothinker.models.folders import ADAPTER_CONFIG, find_model, merging, read_base
from videothinker.publishing.config import PushConfig
from videothinker.records import Question, encode, iter_jsonl, read_jsonl
from videothinker.run_file import QUESTIONS, SIMULATED, RunFile, read_run_file
from videothinker.video.paths import locate

RECORDS = (
    QUESTIONS, "diagnosis.jsonl", "bias.jsonl", "bias_as_is.jsonl", "minimal_pairs.jsonl",
    "natural_pairs.jsonl", "audit.jsonl", "samples.jsonl",
)  # fmt: skip
"""Of a diagnose folder. A run.json is never published: it names the machine it was made on."""
OF_QUESTIONS = frozenset(RECORDS) - {"diagnosis.jsonl", "audit.jsonl", "samples.jsonl"}
RepositoryKind = Literal["model", "dataset"]


@dataclass(frozen=True)
class Contents:
    """What is published: name in the repository -> file here."""

    kind: RepositoryKind
    folder: Path
    """Where the files lie."""
    run: RunFile | None
    """The run that made them."""
    files: dict[str, Path] = field(default_factory=dict[str, Path])
    base: str | None = None
    """Of an adapter: the complete model it was trained on."""

    def sent(self, name: str) -> bytes | Path:
        """A file, or its bytes: questions about a world of ours say so where no run.json does."""
        path = self.files[name]
        if name not in OF_QUESTIONS or self.run is None or not self.run.known.of_world:
            return path
        questions = (replace(one, dataset=SIMULATED) for one in iter_jsonl(path, Question))
        return b"".join(map(encode, questions))


def contents_of(folder: Path, config: PushConfig) -> Contents:
    """What `folder` is, with all that belongs to it.

    Raises:
        UserError: neither a model nor a question set; an adapter on a model that nobody else has;
            a run that is not done; or a video that cannot be sent.
    """
    at = Path(find_model(folder).files)
    if (at / "config.json").is_file() or (at / ADAPTER_CONFIG).is_file():
        return _model(at)
    run = _run_of(folder)
    if (folder / QUESTIONS).is_file() and (run is None or run.stage == "diagnose"):
        return _question_set(folder, run, config)
    kind = f"the folder of a run of {run.stage}" if run else "no such folder"
    raise UserError(
        f"{folder}: is {kind}; allowed are a run folder with model/, a model folder, and a "
        "diagnose folder (an evaluate run goes with its model, as --evaluations)"
    )


def _run_of(folder: Path) -> RunFile | None:
    path = folder / "run.json"
    run = read_run_file(path) if path.is_file() else None
    if run is not None and run.status != "done":
        raise UserError(f"{folder}: its run is {run.status!r}, not done; finish it, then push")
    return run


def _model(at: Path) -> Contents:
    run = _run_of(at) or (_run_of(at.parent) if at.name == "model" else None)
    files = {
        path.name: path
        for path in sorted(at.iterdir())
        if path.is_file()
        and path.name != "run.json"
        and any(fnmatch(path.name, pattern) for pattern in hub.MODEL)
    }
    base = read_base(at).model if ADAPTER_CONFIG in files else None
    if base is not None and Path(base).is_absolute():
        raise UserError(
            f"{at} is a LoRA adapter on {base}, which nobody else has; push that model first and "
            f"train on its address, or make one complete model: {merging(at)}"
        )
    return Contents("model", at, run, files, base)


def sources(questions: Iterable[Question], run: RunFile | None) -> str:
    """What the questions are about: their datasets, or a world of ours, whatever its layout."""
    if run is not None and run.known.of_world:
        return SIMULATED
    return ", ".join(sorted({question.dataset for question in questions}))


def local_paths(files: Iterable[Path]) -> list[str]:
    """`config.json names /home/...`: what the files would tell of this machine."""
    found: list[str] = []
    for path in files:
        if path.suffix != ".json" or path.stat().st_size > 1 << 20:
            continue
        with border(f"{path}: is no JSON", "give a whole model folder"):
            content = load_json(path.read_bytes())
        values = content.values() if isinstance(content, dict) else ()
        paths = [v for v in values if isinstance(v, str) and v.startswith("/") and v.count("/") > 1]
        found += [f"{path.name} names {value}" for value in paths]
    return found


def _question_set(folder: Path, run: RunFile | None, config: PushConfig) -> Contents:
    files = {name: folder / name for name in RECORDS if (folder / name).is_file()}
    if config.with_videos:
        for listed in [files[n] for n in (QUESTIONS, "minimal_pairs.jsonl") if n in files]:
            root = config.data_root or jsonl.data_root(listed)
            asked = {q.video for q in read_jsonl(listed, Question) if q.video is not None}
            for video in sorted(asked):
                files |= _files_of(root, video, follow_links=config.follow_links)
    return Contents("dataset", folder, run, files)


def _files_of(root: Path, video: str, *, follow_links: bool) -> dict[str, Path]:
    """A video's file, or those of its folder of images."""
    at = locate(root, video, follow_links=follow_links)
    if at.is_file():
        return {video: at}
    return {f"{video}/{path.name}": path for path in sorted(at.iterdir()) if path.is_file()}
