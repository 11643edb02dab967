"""The videos of a run: read for a prompt, and looked at, all of them, before step 1.

A look decodes exactly the frames that training will ask for, since a damaged file may decode in
part. What was seen to decode is remembered in the user's cache folder (`XDG_CACHE_HOME`, else
`~/.cache`) and not looked at again by any run, as long as the file keeps its size and time. Not in
the run folder, because every run on the data asks the same, and two identical runs must leave the
same bytes; not beside the videos, because a data folder is often read-only.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from videothinker import console
from videothinker.algorithms.base import TrainConfig
from videothinker.budget import limits
from videothinker.errors import UserError
from videothinker.processes import Processes
from videothinker.records import encode
from videothinker.training.data import Part, TrainingSet, leave_out, part_of, to_come
from videothinker.video import BadVideo, Clip, read_clip

PORTION = 16
"""Videos a process looks at before what was seen is written down."""
SHOWN = 20
"""Problems that are printed; the rest are counted."""


def read_frames(root: Path, part: Part, config: TrainConfig) -> Clip:
    """The frames that training shows of a video.

    Raises:
        BadVideo: it cannot give them.
    """
    return read_clip(root, part[0], config.frames, clip=part[1], **limits(config))


class DecodedVideo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A video that was seen to decode, and the state its file was in."""

    video: str
    clip: tuple[float, float] | None
    size: int
    """Bytes; of a folder of frames, all of them."""
    mtime_ns: int
    """When it was last changed; of a folder of frames, the latest."""
    short: bool = False
    """It has fewer frames than were asked for, and all of them are shown."""


class DecodedVideos:
    """What was seen to decode in one data folder with the same frames, budget and rule on links.

    Only what is good: a bad video may have been mended, and looking again takes no time.
    """

    def __init__(self, root: Path, config: TrainConfig) -> None:
        self.root = root
        name = hashlib.sha256(f"{root.resolve()}".encode()).hexdigest()[:12]
        budget = f"{config.deadline:g}s-{config.decode_megabytes}MB"
        read = f"{config.frames}-{budget}{'-links' if config.follow_links else ''}"
        self.path = _cache_folder() / "videos" / f"{root.resolve().name}-{name}-{read}.jsonl"
        self._seen: dict[DecodedVideo, bool] = {}
        decoder = msgspec.json.Decoder(DecodedVideo)
        for line in _lines(self.path):
            try:
                self._keep(decoder.decode(line))
            except msgspec.MsgspecError:  # torn by a kill: that video is looked at again
                continue

    def unknown(self, parts: Iterable[Part]) -> list[Part]:
        """Those that were never seen to decode as they are now."""
        return [part for part in parts if self._state(part) not in self._seen]

    def short(self, parts: Iterable[Part]) -> int:
        """How many of them have fewer frames than were asked for."""
        return sum(self._seen.get(state, False) for part in parts if (state := self._state(part)))

    def add(self, parts: Mapping[Part, bool]) -> None:
        """Remember videos that have just been seen to decode, for this run and for later ones.

        Args:
            parts: video -> whether it has fewer frames than were asked for.
        """
        states = {self._state(part): short for part, short in parts.items()}
        fresh = [
            replace(video, short=short) for video, short in states.items() if video is not None
        ]
        for video in fresh:
            self._keep(video)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(b"".join(map(encode, fresh)))
        except OSError:  # no home, or no room: the next run looks again, nothing else is lost
            return

    def _keep(self, video: DecodedVideo) -> None:
        self._seen[replace(video, short=False)] = video.short

    def _state(self, part: Part) -> DecodedVideo | None:
        path = self.root / part[0]
        try:
            files = list(path.iterdir()) if path.is_dir() else [path]
            stats = [file.stat() for file in files]
        except (OSError, ValueError):  # not there, or a name that no file has
            return None
        return DecodedVideo(
            video=part[0],
            clip=part[1],
            size=sum(stat.st_size for stat in stats),
            mtime_ns=max((stat.st_mtime_ns for stat in stats), default=0),
        )


def _cache_folder() -> Path:
    home = Path(os.environ.get("HOME", "/"))
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "videothinker"


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError:  # not there yet, or not ours to read: nothing is remembered
        return []


def check_videos(
    data: TrainingSet,
    config: TrainConfig,
    processes: Processes,
    *,
    step: int = 0,
    position: int = 0,
    refusal: Callable[[TrainingSet], str | None] = lambda _: None,
    keep: Callable[[Part, Clip], None] = lambda _part, _clip: None,
) -> TrainingSet:
    """Decode every video the run may still ask for; under `drop` leave out those that are bad.

    What is dropped is dropped from the list before the draw, so the run is the one that the list
    without these questions gives.

    Args:
        data: the run's questions.
        config: its settings.
        processes: they share the work.
        step: steps done.
        position: questions they drew.
        refusal: why a resumed run cannot go on with other questions; null where it can.
        keep: is given every clip that was decoded.

    Raises:
        UserError: bad videos under `stop`, or such that the run cannot do without; all in one list.
    """
    memory = DecodedVideos(data.data_root, config)
    while True:
        asked = to_come(data, config, step=step, position=position)
        parts = list(dict.fromkeys(part for q in asked if (part := part_of(q))))
        bad = decode_unknown(parts, config, processes, memory, keep)
        if not bad:
            short = memory.short(parts)
            if short and processes.main:
                console.say(
                    f"{short} of {len(parts)} videos have fewer than {config.frames} frames; all "
                    "they have are shown"
                )
            return data
        lost = sum(part_of(question) in bad for question in asked)
        told = problems(list(bad.values()), len(parts), f"{lost} of {len(asked)} questions")
        if all(part_of(question) in data.bad | bad for question in data.pool):
            raise UserError(f"{told}\n{_none_is_left(data)}")
        rest = leave_out(data, bad, config)
        needed = refusal(rest)
        if needed is not None:
            raise UserError(
                f"{told}\nmend them and give the same command again; without them the run cannot "
                f"go on: {needed}"
            )
        if config.on_bad_video == "stop":
            raise UserError(
                f"{told}\nmend them, or take their questions out of {data.source}, and give the "
                "same command again; or add --on-bad-video drop to train without them"
            )
        if processes.main:
            console.say(f"warning: {told}\nleft out, as on_bad_video is 'drop'")
        data = rest


def decode_unknown(
    parts: Sequence[Part],
    config: TrainConfig,
    processes: Processes,
    memory: DecodedVideos,
    keep: Callable[[Part, Clip], None],
) -> dict[Part, str]:
    """Decode what `memory` does not know; video -> what is wrong with it, in the order given."""
    pending = processes.say(memory.unknown(parts))
    portion, bad = PORTION * processes.size, dict[Part, str]()
    if not pending:
        return bad
    if processes.main:
        known = len(parts) - len(pending)
        console.say(
            f"looking at the videos, {config.frames} frames each: {len(pending)} to decode, "
            f"{known} seen before"
        )
    with console.progress("videos", len(parts), done=len(parts) - len(pending)) as bar:
        for start in range(0, len(pending), portion):
            chunk = pending[start : start + portion]
            found: list[tuple[int, str | bool]] = []
            for place in (i for i in range(len(chunk)) if processes.mine(i)):
                try:
                    clip = read_frames(memory.root, chunk[place], config)
                    keep(chunk[place], clip)
                    found.append((place, len(clip.frames) < config.frames))
                except BadVideo as error:
                    found.append((place, str(error)))
                bar.advance(processes.size)
            told = dict(processes.gather(found))
            for place, part in enumerate(chunk):
                if isinstance(reason := told[place], str):
                    bad[part] = reason
            if processes.main:
                good = {chunk[place]: short for place, short in told.items()}
                memory.add({part: one for part, one in good.items() if isinstance(one, bool)})
    return bad


def problems(reasons: Sequence[str], videos: int, questions: str) -> str:
    """What is wrong with each bad video; from the 21st on they are counted."""
    lines = [f"{len(reasons)} of {videos} videos cannot be read ({questions} are about them):"]
    lines += [f"  {reason}" for reason in reasons[:SHOWN]]
    more = [f"  and {len(reasons) - SHOWN} more"] if len(reasons) > SHOWN else []
    return "\n".join(lines + more)


def _none_is_left(data: TrainingSet) -> str:
    if any(os.path.exists(data.data_root / q.video) for q in data.pool if q.video):  # noqa: PTH110 (takes any name)
        return "no question is left to train on; mend them, or give another --data"
    return (
        f"no video is there: do their paths start from {data.data_root}? If not, give the folder "
        "that they start from as --data-root"
    )
