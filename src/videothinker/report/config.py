"""What a report is told; the rest comes from the records."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videothinker.errors import UserError

TableName = Literal["all", "main", "ablation", "diagnostic"]


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Settings of `report`. Every default is ours; a report has no recipe to follow."""

    out: Path = Path("report.html")
    """The HTML file to write."""
    table: TableName = "all"
    """Which tables to show: main (models by benchmark), ablation (CDPO's variants), diagnostic
    (observational against inferential), or all."""
    embed_videos: bool = False
    """Put small videos into the page instead of linking them (the page may then exceed 5 MB)."""
    video_roots: tuple[Path, ...] = ()
    """With embed_videos: folders whose videos may go into the page, besides the folders of runs
    that are given. Where a run says that its videos lie is not enough: it may be a stranger's."""
    embed_megabytes: float = 40.0
    """With embed_videos: room for the videos, in MB of page; those beyond it stay links."""
    follow_links: bool = False
    """Show videos behind symbolic links that lead out of their data folder, as a hub cache has."""
    listed_questions: int = 200
    """Questions of a diagnosis shown one by one; its shares always count every question."""
    text_megabytes: float = 3.5
    """Room for the models' texts, in MB of page; questions beyond it keep their answers and lose
    their thinking, and the page says how many."""
    title: str = "VideoThinker"
    """The page's title."""

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in (".html", ".htm"):
            raise UserError(f"--out is {str(self.out)!r}; a report is one file ending in .html")
        if self.listed_questions < 0:
            raise UserError(f"listed_questions is {self.listed_questions}; give 0 or more")
        gone = [str(root) for root in self.video_roots if not root.is_dir()]
        if gone:
            raise UserError(f"video_roots holds {gone[0]!r}, which is not a folder; give folders")
        if self.video_roots and not self.embed_videos:
            raise UserError("video_roots says what may be embedded; add --embed-videos")
        for name in ("text_megabytes", "embed_megabytes"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} is {getattr(self, name)}; give a number above 0")
