"""The page in a real headless Chromium: no error, right counts, videos play, three widths."""

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.report.devtools import Chromium
from tests.report.report_runs import probed_run
from videothinker.records import Sample, read_jsonl
from videothinker.report.browser import slug
from videothinker.report.config import ReportConfig
from videothinker.report.diagnoses import read_diagnoses
from videothinker.report.results import read_boards
from videothinker.report.sources import read_runs
from videothinker.report.stage import report
from videothinker.report.telling import choices

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(made_runs: list[Path]) -> Path:
    return report(made_runs, ReportConfig(out=made_runs[0].parent / "report.html"))


@pytest.fixture
def opened(chromium: Chromium, page: Path) -> Chromium:
    chromium.messages.clear()
    chromium.requests.clear()
    chromium.view(1280, 900)
    chromium.open(page)
    return chromium


def hits(runs: list[Path], name: str) -> dict[str, bool]:
    path = next(run for run in runs if run.name == f"evaluate-{name}") / "samples.jsonl"
    return {s.question_id: s.exact == 1.0 for s in read_jsonl(path, Sample)}


def filter_count(browser: Chromium, name: str) -> int:
    """Press a filter; the count on its button, the stated count and the cards must be one."""
    root = "#questions .browser"
    browser.js(f"document.querySelector('{root} [data-filter={name}]').click()")
    while browser.js(f"!document.querySelector('{root} .more').hidden"):
        browser.js(f"document.querySelector('{root} .more').click()")
    on_button = int(
        browser.js(f"document.querySelector('{root} [data-filter={name}] .muted').textContent")
    )
    cards = browser.js(f"document.querySelectorAll('{root} .card').length")
    stated = browser.js(f"document.querySelector('{root} [role=status]').textContent")
    assert cards == on_button == int(stated.split()[0])
    return on_button


def test_filters_count_what_the_records_hold(opened: Chromium, made_runs: list[Path]) -> None:
    for seed in (0, 1):
        grpo, cdpo = hits(made_runs, f"grpo-seed{seed}"), hits(made_runs, f"cdpo-seed{seed}")
        repaired = {q for q in grpo if not grpo[q] and cdpo[q]}
        broken = {q for q in grpo if grpo[q] and not cdpo[q]}
        assert repaired
        assert broken
        assert len(repaired) != len(broken)
        opened.js(
            "(() => { const box = [...document.querySelectorAll('#questions label')]"
            ".find(l => l.textContent.startsWith('seed')).querySelector('select');"
            f"box.value = '{seed}'; box.dispatchEvent(new Event('change')); }})()"
        )
        assert filter_count(opened, "repaired") == len(repaired)
        shown = opened.js(
            "[...document.querySelectorAll('#questions .card')].map(c => c.dataset.id)"
        )
        assert set(shown) == repaired
        assert filter_count(opened, "broken") == len(broken)
        assert filter_count(opened, "all") == len(grpo)
    assert opened.messages == []


def test_nothing_is_fetched_and_dataset_text_stays_text(opened: Chromium) -> None:
    opened.js("document.querySelector('#questions .card > summary').click()")
    opened.js("new Promise(done => setTimeout(done, 200))")
    asked = opened.js("document.querySelector('#questions .card .ask').textContent")
    assert asked.startswith('<img src=x onerror="window.hacked=1">')
    assert opened.js("window.hacked === undefined && document.images.length === 0")
    outside = [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))]
    assert outside == []
    assert opened.messages == []


def test_the_policy_blocks_a_script_put_into_the_page(opened: Chromium) -> None:
    opened.js(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 2';"
        "document.body.append(s); const i = document.createElement('img');"
        "i.src = 'https://example.org/x.png'; document.body.append(i); })()"
    )
    assert opened.js("window.hacked === undefined")
    assert any("Content Security Policy" in message for message in opened.messages)


def play(browser: Chromium) -> float:
    """Seconds the first opened video has played."""
    browser.js("document.querySelector('#questions .card > summary').click()")
    video = "document.querySelector('#questions video')"
    browser.js(f"{video}.muted = true, {video}.play()")
    browser.until(f"{video}.currentTime > 0.2", 10)
    assert browser.js(f"{video}.error === null && {video}.videoWidth === 96")
    return float(browser.js(f"{video}.currentTime"))


def test_linked_videos_play(opened: Chromium) -> None:
    assert play(opened) > 0.2
    assert opened.messages == []


def test_embedded_videos_play_without_their_files(
    chromium: Chromium, made_runs: list[Path], tmp_path: Path
) -> None:
    page = report(
        made_runs,
        ReportConfig(
            out=tmp_path / "with.html", embed_videos=True, video_roots=(made_runs[0].parent,)
        ),
    )
    chromium.messages.clear()
    chromium.requests.clear()
    chromium.open(page)
    assert play(chromium) > 0.2
    assert not any(".mp4" in url for url in chromium.requests)
    assert chromium.messages == []


def test_keyboard_walks_and_opens(opened: Chromium) -> None:
    opened.js("document.querySelector('#questions').scrollIntoView()")
    for key in ("j", "j", "k", "Enter"):
        opened.key(key)
    opened.until("document.querySelectorAll('#questions .card')[0].open")
    assert not opened.js("document.querySelectorAll('#questions .card')[1].open")
    assert opened.js("document.activeElement.closest('.card').dataset.id") == "made/validation/0000"


def contrast(browser: Chromium) -> list[str]:
    """Texts whose contrast with the page is below WCAG's 4.5."""
    return browser.js((Path(__file__).parent / "contrast.js").read_text())


def keep(drawn: Path, name: str) -> None:
    """Copy a picture of the page to where it can be looked at."""
    kept = os.environ.get("VIDEOTHINKER_PICTURES")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        (Path(kept) / f"{name}.png").write_bytes(drawn.read_bytes())


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (768, True), (360, False)])
def test_three_widths_fit_and_read(
    opened: Chromium, tmp_path: Path, width: int, dark: bool
) -> None:
    opened.view(width, 900, dark=dark)
    for head in (
        "#diagnosis .fold > summary",
        "#diagnosis .card > summary",
        "#questions .card > summary",
    ):
        opened.js(f"document.querySelector('{head}').click()")
    opened.js("new Promise(done => setTimeout(done, 200))")
    assert opened.js("document.documentElement.scrollWidth") <= width
    assert contrast(opened) == []
    drawn = opened.picture(tmp_path / f"{width}.png")
    assert drawn.stat().st_size > 30_000
    keep(drawn, f"report-{width}{'-dark' if dark else ''}")


TABLES_THAT_DO_NOT_FIT = """
[...document.querySelectorAll('table')].filter(t => t.checkVisibility())
    .filter(t => t.scrollWidth > t.parentElement.clientWidth + 1
        || t.getBoundingClientRect().right > innerWidth
        || [...t.querySelectorAll('td')].some(d => parseFloat(getComputedStyle(d).fontSize) < 11
            || d.getBoundingClientRect().height > 120))
    .map(t => t.caption ? t.caption.textContent : t.className)"""


def test_every_table_reads_on_a_phone(
    chromium: Chromium, made_runs: list[Path], tmp_path: Path
) -> None:
    page = report([*made_runs, probed_run(tmp_path)], ReportConfig(out=tmp_path / "all.html"))
    chromium.messages.clear()
    chromium.view(390, 844)
    chromium.open(page)
    chromium.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    chromium.js("new Promise(done => setTimeout(done, 300))")
    assert chromium.js("document.querySelectorAll('table').length") > 12
    assert chromium.js(TABLES_THAT_DO_NOT_FIT) == []
    assert chromium.js("document.documentElement.scrollWidth") <= 390
    keep(chromium.picture(tmp_path / "phone.png"), "report-390")
    chromium.view(1280, 900)


def test_show_me_draws_the_telling_questions_in_their_order(
    opened: Chromium, made_runs: list[Path]
) -> None:
    (board,) = read_boards(read_runs(made_runs))
    for i, (method, other, ids) in enumerate(choices(board)):
        button = f"document.querySelector('#questions [data-filter=show-{i}]')"
        told = opened.js(f"{button}.textContent")
        assert told == f"Show me: {method.name} against {other.name} {len(ids)}"
        opened.js(f"{button}.click()")
        shown = "[...document.querySelectorAll('#questions .card')].map(c => c.dataset.id)"
        assert opened.js(shown) == list(ids)
    assert opened.messages == []


def test_a_link_opens_one_card(opened: Chromium, made_runs: list[Path]) -> None:
    (board,) = read_boards(read_runs(made_runs))
    name = f"{slug(board.title)}-made%2Fvalidation%2F0037"
    opened.js(f"location.hash = '#{name}'")
    opened.until(f"document.getElementById('{name}')?.open")
    card = f"document.getElementById('{name}')"
    assert opened.js(f"{card}.dataset.id") == "made/validation/0037"
    assert opened.js(f"{card}.querySelector('a').getAttribute('href')") == f"#{name}"
    opened.until(f"Math.abs({card}.getBoundingClientRect().top) < 60")
    found = read_diagnoses(read_runs(made_runs))[0]
    name = f"diagnosis-{slug(found.run.name)}-{quote(found.rows[3].question_id, safe='')}"
    opened.js(f"location.hash = '#{name}'")
    opened.until(f"document.getElementById('{name}')?.open")
    assert opened.js(f"document.getElementById('{name}').checkVisibility()")
    assert opened.messages == []


def test_questions_stand_before_the_curves(opened: Chromium) -> None:
    sections = opened.js("[...document.querySelectorAll('main > section')].map(s => s.id)")
    assert sections.index("accuracy") < sections.index("questions") < sections.index("training")


@pytest.mark.parametrize("width", [1280, 360])
def test_what_probing_found_fits_and_reads(chromium: Chromium, tmp_path: Path, width: int) -> None:
    page = report([probed_run(tmp_path)], ReportConfig(out=tmp_path / "probed.html"))
    chromium.messages.clear()
    chromium.view(width, 900)
    chromium.open(page)
    heads = chromium.js(
        "[...document.querySelectorAll('#diagnosis [data-sheet] caption')].map(c => c.textContent)"
    )
    assert len(set(heads)) == 4
    assert chromium.js("document.documentElement.scrollWidth") <= width
    assert contrast(chromium) == []
    assert chromium.messages == []
    keep(chromium.picture(tmp_path / f"{width}.png"), f"probed-{width}")


def test_every_picture_and_control_has_words(opened: Chromium) -> None:
    nameless = opened.js(
        """[...document.querySelectorAll('svg, video, button, select, input, summary, a')]
        .filter(n => n.getAttribute('aria-hidden') !== 'true')
        .filter(n => !(n.getAttribute('aria-label') || n.textContent.trim() || n.closest('label')))
        .map(n => n.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    ids = opened.js("[...document.querySelectorAll('[id]')].map(n => n.id)")
    assert len(ids) == len(set(ids))
    broken = opened.js(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href'))"
        ".filter(h => !document.getElementById(h.slice(1)))"
    )
    assert broken == []


def test_it_prints(opened: Chromium) -> None:
    pages = opened.call("Page.printToPDF", printBackground=False)["data"]
    assert len(pages) > 20_000


def test_the_timeline_marks_the_removed_object(opened: Chromium) -> None:
    opened.js("document.querySelector('#questions .card > summary').click()")
    marks = "[...document.querySelectorAll('#questions .timeline circle')]"
    assert opened.js(f"{marks}.map(c => c.getAttribute('class') === 'touched')") == [True, False]
    assert opened.js(f"{marks}[1].textContent") == "frame 61: tan ball collides with green cone"
    phrase = "names('rubber sphere', 'red rubber sphere collides with metal cube')"
    assert opened.js(phrase)
    assert not opened.js("names('metal sphere', 'red rubber sphere collides with metal cube')")
