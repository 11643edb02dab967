"""One self-contained page: templates filled, style and script inlined under their own hashes."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from videothinker.report.provenance import duration
from videothinker.report.words import count, percent, points

TEMPLATES = Path(__file__).parent / "templates"


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
