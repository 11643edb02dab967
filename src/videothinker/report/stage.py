"""Stage `report`: run folders -> one HTML page. Every figure is computed from their records.

The page is self-contained: style and script stand in it, under their own hashes.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from videothinker import __version__
from videothinker.console import count, say
from videothinker.errors import UserError
from videothinker.estimates import percent
from videothinker.giveaways import DEFINITION, UNKNOWN
from videothinker.records import write_alone
from videothinker.report import terms
from videothinker.report.browser import Pack, embed, pack
from videothinker.report.claim import make_claim
from videothinker.report.config import ReportConfig
from videothinker.report.curves import events, legend, panels, read_curves, sources
from videothinker.report.diagnoses import read_diagnoses
from videothinker.report.overview import chart, rows, sizes
from videothinker.report.provenance import duration, entries, whole_script
from videothinker.report.results import Board, read_boards
from videothinker.report.sources import NEEDED, RunFolder, read_runs
from videothinker.report.tables import differences_sheet, sheets
from videothinker.report.telling import RULE, choices
from videothinker.report.words import points
from videothinker.runs import prepare_out

TEMPLATES = Path(__file__).parent / "templates"


def _overview(boards: Sequence[Board]) -> list[dict[str, Any]]:
    found = []
    for board in boards:
        if board.labels:
            lines = rows(board)
            pictures = {narrow: chart(board, lines, narrow=narrow) for narrow in (False, True)}
            one = {"board": board, "rows": lines, "pictures": pictures, "sizes": sizes(lines)}
            roles = dict.fromkeys(m.role for m in board.methods if m.role in terms.METHODS)
            found.append({**one, "known": UNKNOWN not in board.by_part, "roles": roles})
    return found


def _notes(runs: Sequence[RunFolder], packed: Pack, linked: int) -> list[str]:
    notes = []
    if linked:
        what = count(linked, "video")
        verb = "is" if linked == 1 else "are"
        notes.append(
            f"{what} {verb} linked and not in the page: without room in it, unreadable, or in none "
            "of the folders given (--video-roots)."
        )
    if packed.without_text:
        what = count(packed.without_text, "question")
        notes.append(f"{what} show answers without thinking, to keep the page small.")
    if packed.lost_videos:
        what = count(packed.lost_videos, "question")
        notes.append(f"{what} have no video here: the file is not where the run recorded it.")
    for run in runs:
        if run.stage not in NEEDED:
            ended = "" if run.done else f" ({run.metadata.status})"
            notes.append(
                f"{run.path.name} is a run of {run.stage!r}{ended}: listed under provenance, "
                "nothing is drawn."
            )
    return notes


def _context(
    runs: Sequence[RunFolder], config: ReportConfig, given: Sequence[Path]
) -> dict[str, Any]:
    boards, diagnoses, curves = read_boards(runs), read_diagnoses(runs), read_curves(runs)
    packed = pack(
        boards,
        diagnoses,
        config.out,
        follow_links=config.follow_links,
        listed=config.listed_questions,
        megabytes=config.text_megabytes,
    )
    claim = make_claim(boards, runs, diagnoses)
    embedded = (
        embed(packed.videos, [*given, *config.video_roots], config.embed_megabytes)
        if config.embed_videos
        else {}
    )
    linked = len(packed.videos) - len(embedded) if config.embed_videos else 0
    return {
        "title": config.title,
        "version": __version__,
        "claim": claim,
        "differences": differences_sheet(claim.comparisons),
        "notes": [*claim.notes, *_notes(runs, packed, linked)],
        "overview": _overview(boards),
        "definition": DEFINITION,
        "terms": terms,
        "telling": RULE if any(choices(board) for board in boards) else "",
        "script_of_all": whole_script(runs),
        "boards": boards,
        "diagnoses": diagnoses,
        "curves": curves,
        "panels": panels(curves),
        "events": events(curves),
        "curve_sources": sources(curves),
        "legend": legend(curves),
        "sheets": sheets(boards, config.table),
        "entries": entries(runs),
        "pack": packed,
        "embedded": embedded,
    }


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def policy(style: str, script: str) -> str:
    """The content policy: nothing from outside, this style, this script, videos from disk only."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "media-src 'self' file: blob:",
            "img-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, points=points, count=count, duration=duration)
    return environment


def render(context: dict[str, Any]) -> str:
    """The page's HTML. Every value is escaped; only the package's own style and script are not."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = (TEMPLATES / "browse.js").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("page.html")
        .render(
            **context,
            style=Markup(style),  # noqa: S704  our own file
            script=Markup(script),  # noqa: S704  our own file
            policy=policy(style, script),
        )
    )


def report(runs: Sequence[Path], config: ReportConfig) -> Path:
    """Write one self-contained page about `runs` and return its path.

    Args:
        runs: run folders of any stages and seeds, or folders that hold them.
        config: see `ReportConfig`.

    Raises:
        UserError: no run, a run without its records, or an output that cannot be written.
    """
    if config.out.is_dir():
        raise UserError(f"{config.out}: is a folder; give an .html file to write")
    prepare_out(config.out.resolve().parent)
    folders = read_runs(runs)
    context = _context(folders, config, runs)
    write_alone(config.out, render(context).encode())
    size = config.out.stat().st_size / 1e6
    say(f"read {count(len(folders), 'run')}: {', '.join(folder.name for folder in folders)}")
    links = len(context["pack"].videos) - len(context["embedded"])
    told = "open it in a browser, or send it"
    if links:
        more = "--video-roots and --embed-megabytes let more" if config.embed_videos else ""
        told = (
            f"open it in a browser; {count(links, 'video')} in it are links to this disk, dead for "
            f"whoever gets the page: {more or '--embed-videos puts small ones'} into the page"
        )
    say(f"wrote {config.out} ({size:.1f} MB); {told}")
    return config.out
