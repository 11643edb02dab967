"""The videos that a process has in memory: those it looked at, used last, and will need next.

So no step waits for one. What is held at a time is at most `--decode-megabytes`.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread, main_thread

from videothinker.algorithms.base import TrainConfig
from videothinker.errors import UserError
from videothinker.models.base import Video
from videothinker.models.loaded import Policy
from videothinker.training.data import Part
from videothinker.training.videos import read_frames
from videothinker.video import Clip

READING = "videos to come"
"""Name of the thread that reads ahead."""


class KeptVideos:
    """Each video is decoded and prepared once, as long as there is room to keep it.

    Args:
        policy: prepares frames for its tower.
        root: the folder the videos lie in.
        config: the run's settings.
    """

    def __init__(self, policy: Policy, root: Path, config: TrainConfig) -> None:
        self.policy, self.root, self.config = policy, root, config
        self.most = config.decode_megabytes * 1_000_000
        """Bytes that may be kept, beside a video that is asked for."""
        self.waited = 0.0
        """Seconds in which a step stood still for a video."""
        self._kept: OrderedDict[Part, Video] = OrderedDict()
        self._bytes = 0
        self._reads = Lock()

    def get(self, part: Part) -> Video:
        """A video that a step needs now.

        Raises:
            UserError: it cannot be read.
        """
        began = time.monotonic()
        video = self._video(part)
        self.waited += time.monotonic() - began
        return video

    def offer(self, part: Part, clip: Clip) -> None:
        """Keep a clip that was looked at, where there is room without another's."""
        if self._bytes >= self.most:
            return
        with suppress(UserError):  # whoever asks for it meets the same, and says it
            video = self._prepare(clip)
            if self._bytes + video.nbytes <= self.most:
                self._keep(part, video)

    def read_ahead(self, parts: Iterable[Part]) -> None:
        """Read what comes next, in a thread of its own; nobody waits for it.

        Of more than may be kept, the first: videos of a run are of about one size.
        """
        wanted = list(dict.fromkeys(parts))
        if wanted:
            Thread(target=self._read_all, args=(wanted,), name=READING).start()

    def _read_all(self, wanted: list[Part]) -> None:
        room, last = self.most, 0
        for part in wanted:
            if room < last or not main_thread().is_alive():  # or the command has ended
                return
            try:
                last = self._video(part).nbytes
                room -= last
            except Exception:  # noqa: BLE001 (whoever asks for it meets the same, and says it)
                return

    def _video(self, part: Part) -> Video:
        with suppress(KeyError):  # what is there waits for no other that is read
            self._kept.move_to_end(part)
            return self._kept[part]
        with self._reads:
            found = self._kept.get(part)
            if found is None:
                found = self._prepare(read_frames(self.root, part, self.config))
                self._keep(part, found)
            return found

    def _prepare(self, clip: Clip) -> Video:
        return self.policy.to_video(
            clip.frames,
            clip.seconds,
            times=clip.times.tolist(),
            min_pixels=self.config.min_pixels,
            max_pixels=self.config.max_pixels,
        )

    def _keep(self, part: Part, video: Video) -> None:
        self._kept[part] = video
        self._bytes += video.nbytes
        while self._bytes > self.most:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
