"""Hostile text in every field of every record that a report reads: does any of it act?

Each trial puts markup, scripts and addresses, drawn at random, into questions, choices, answers,
thinking, groups, settings and names of videos, and writes the page. The page may hold no
tag and no attribute that the page of harmless text does not hold, and no script but its own, whose
hash its policy names. Where there is a Chromium it opens the page and everything in it: nothing may
run, nothing may be fetched, and the policy may have had nothing to forbid.
"""

import base64
import contextlib
import hashlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

from soak_record import Record

from videothinker.report.config import ReportConfig
from videothinker.report.stage import report

sys.path.append(str(Path(__file__).parents[1]))
from tests.report.devtools import Chromium
from tests.report.report_runs import whole_line

GOAL = 200
"""Pages."""
ACT = "window.hacked=1"
HOSTILE = (
    f"<script>{ACT}</script>", f"</script><script>{ACT}</script>", f"<img src=x onerror={ACT}>",
    f'"><svg onload={ACT}>', f"' onmouseover='{ACT}", f"javascript:{ACT}", f"</style><b>{ACT}",
    f'<iframe srcdoc="<script>parent.{ACT}</script>">', f'<a href="javascript:{ACT}">x</a>',
    "<style>*{background:url(http://evil.invalid/x)}</style>", "<!--", "]]>", "</template>", "\0",
    "<link rel=stylesheet href=http://evil.invalid/x>", "<base href=http://evil.invalid/>",
    '<meta http-equiv=refresh content="0;url=http://evil.invalid/">', "{{ 7 * 7 }}", "{% raw %}",
    "<form action=http://evil.invalid/><button>", f"<details open ontoggle={ACT}>", "&lt;b&gt;",
    "<video autoplay src=http://evil.invalid/x.mp4>", "<object data=http://evil.invalid/x>",
    "\u2028", "\u202e", "</details></main>", f"`${{{ACT}}}`", "%3Cscript%3E", "\U0001f600",
    f"<math><mtext></table><img src=x onerror={ACT}>", f"<noscript><p title='</noscript>{ACT}'>",
)  # fmt: skip
KEPT = ("stage", "status", "label", "verdict", "variant", "answer", "lenient", "name", "benchmark")
"""Entries whose values are not free text."""
NOT_IN_NAMES = "/\0"


class Tags(HTMLParser):
    """What a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.scripts: list[str] = []
        self.outside: list[str] = []
        self.policy = ""
        self._inside = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, its attributes, where they lead, and whether a script begins."""
        given = dict(attrs)
        self.found |= {(tag, ""), *((tag, name) for name in given)}
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        leads = [given.get(name) for name in ("href", "src", "action", "data", "srcset")]
        self.outside += [to for to in leads if to and not to.startswith("#")]
        self._inside = tag == "script" and given.get("type") is None
        self.scripts += [""] if self._inside else []

    def handle_endtag(self, tag: str) -> None:
        """Note that a script ends."""
        self._inside = self._inside and tag != "script"

    def handle_data(self, data: str) -> None:
        """Note what stands in a script."""
        if self._inside:
            self.scripts[-1] += data


def soak(record: Record) -> None:
    """Go on where the record stands, page by page."""
    with tempfile.TemporaryDirectory() as name, _browser(Path(name) / "profile") as browser:
        harmless = Path(name) / "harmless"
        whole_line(harmless, n=6, seeds=(0,))
        known = Tags(_page(harmless, Random(0))[0].read_text(encoding="utf-8"))
        while not record.late and record.came("pages", "pages") < (record.goal or GOAL):
            number = record.came("pages", "pages")
            runs = Path(name) / "runs"
            shutil.copytree(harmless, runs, ignore=shutil.ignore_patterns("*.html"))
            random = Random(f"page {number}")
            texts = _make_hostile(runs, random)
            try:
                page, embedded = _page(runs, random)
                _check(Tags(page.read_text(encoding="utf-8")), known)
                opened = _open(browser, page, runs) if browser else 0
            except BaseException:
                kept = Path(tempfile.mkdtemp(prefix="soak-page-"))
                shutil.copytree(runs, kept / "runs")
                sys.stderr.write(f"page {number}, kept in {kept}:\n")
                raise
            told = {"opened in Chromium": 1, "cards opened": opened} if browser else {}
            record.count("pages", pages=1, **{"hostile texts": texts, **told}, embedding=embedded)
            shutil.rmtree(runs)


def _page(root: Path, random: Random) -> tuple[Path, bool]:
    """The page about the runs in a folder, and whether it holds their videos."""
    embed = random.random() < 0.3
    config = ReportConfig(
        out=root / "page.html", title=_spoilt("Report", random), embed_videos=embed
    )
    with contextlib.redirect_stderr(io.StringIO()):
        return report([root], config), embed


def _spoilt(text: str, random: Random) -> str:
    return text + " ".join(random.choices(HOSTILE, k=random.randint(1, 3)))


def _make_hostile(root: Path, random: Random) -> int:
    """Spoil every text in the records below a folder, and the names; how many texts that were.

    A text that stands in several records, as an id does, is the same in all of them.
    """
    known: dict[str, str] = {}

    def spoil(value: Any, *, key: str = "") -> Any:
        if isinstance(value, dict):
            return {spoil_key(k, inside=key): spoil(v, key=k) for k, v in value.items()}
        if isinstance(value, list):
            return [spoil(one, key=key) for one in value]
        if not isinstance(value, str) or key in KEPT or key == "data_root":
            return value
        if key in ("model", "bias", "video"):
            return known.get(value, value)
        return known.setdefault(value, _spoilt(value, random) if random.random() < 0.5 else value)

    def spoil_key(key: str, *, inside: str) -> str:
        free = inside in ("groups", "flags", "probes", "reward", "metrics", "versions", "inputs")
        return known.setdefault(key, _spoilt(key, random)) if free else key

    for video in sorted((root / "video").iterdir()):
        name = "".join(c for c in _spoilt("", random) if c not in NOT_IN_NAMES)[:120] + ".mp4"
        known[f"video/{video.name}"] = f"video/{video.stem}{name}"
        video.rename(video.with_name(f"{video.stem}{name}"))
    for path in sorted([*root.rglob("*.jsonl"), *root.rglob("run.json")]):
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [path.read_text(encoding="utf-8")] if path.name == "run.json" else lines
        text = "\n".join(json.dumps(spoil(json.loads(row))) for row in rows)
        path.write_text(text.replace(str(root.with_name("harmless")), str(root)), encoding="utf-8")
    return sum(value != was for was, value in known.items())


def _check(page: Tags, known: Tags) -> None:
    """Refuse a page that holds what the harmless one does not.

    Raises:
        AssertionError: a tag, an attribute, a script or an address too many.
    """
    if more := page.found - known.found:
        raise AssertionError(f"tags or attributes that come from the data: {sorted(more)}")
    if page.scripts != known.scripts or page.outside or page.policy != known.policy:
        raise AssertionError(f"another script, policy or address: {page.outside}")
    for script in page.scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        if f"'sha256-{digest}'" not in page.policy:
            raise AssertionError("a script that the policy does not name")


@contextmanager
def _browser(profile: Path) -> Iterator[Chromium | None]:
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        sys.stdout.write("page: no Chromium here; pages are only parsed\n")
        yield None
        return
    browser = Chromium(binary, profile)
    yield browser
    browser.close()


OPEN_ALL = """(async () => {
  const pause = () => new Promise(done => setTimeout(done, 30));
  let cards = 0;
  for (const fold of document.querySelectorAll('details')) { fold.open = true; }
  for (const root of document.querySelectorAll('.browser')) {
    while (!root.querySelector('.more').hidden) { root.querySelector('.more').click(); }
    for (const card of root.querySelectorAll('.card')) { card.open = true; cards += 1; }
    await pause();
    for (const inner of root.querySelectorAll('details')) { inner.open = true; }
    for (const node of root.querySelectorAll('*')) {
      for (const kind of ['mouseover', 'focus', 'toggle']) { node.dispatchEvent(new Event(kind)); }
    }
  }
  for (const button of document.querySelectorAll('[data-filter]')) { button.click(); }
  await pause();
  return cards;
})()"""


def _open(browser: Chromium, page: Path, root: Path) -> int:
    """Open a page and all that can be opened in it; how many cards that were.

    Raises:
        AssertionError: something ran, or was fetched, or had to be forbidden.
    """
    browser.messages.clear()
    browser.requests.clear()
    browser.open(page)
    cards = browser.js(OPEN_ALL)
    if browser.js("window.hacked !== undefined || document.images.length > 0 || frames.length"):
        raise AssertionError("something in the page ran")
    inside = (root.resolve().as_uri(), "data:", "blob:")
    if outside := [url for url in browser.requests if not url.startswith(inside)]:
        raise AssertionError(f"the page asked for {outside}")
    if browser.messages:
        raise AssertionError(f"the browser says {browser.messages}")
    return cards
