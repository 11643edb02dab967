"""Prose that can be read aloud: no paragraph has more than three numbers; those stand in tables."""

import re
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
PLACES = ("*.md", "docs/**/*.md", "models/*/*.md", "benchmarks/**/*.md")
PAGES = sorted(page for place in PLACES for page in REPO.glob(place))
MOST = 3
APART = re.compile(
    r"^ *```.*?^ *```$"  # code
    r"|<!-- \w+: begin -->.*?<!-- \w+: end -->",  # written by a script
    re.MULTILINE | re.DOTALL,
)
LEFT_OUT = re.compile(r"`[^`]*`|\[[^\]]*\]\([^)]*\)|https?://\S+|arXiv[ :]*[\d.]+")
SIZE = re.compile(r"\d[\d,.]*(?: ?x ?\d[\d,.]*)+")
NUMBER = re.compile(r"(?<![\w.])[-+]?\.?\d+(?:[.,:]\d+)*")
WORD = (
    r"(?:three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred"
    r"|thousand|million)"
)
IN_WORDS = re.compile(rf"(?<![\w-]){WORD}(?:[- ]{WORD})*(?!\w)", re.IGNORECASE)
ITEM = r"\s*(?:[-*]|\d+\.) "


def paragraphs(text: str) -> list[str]:
    """Paragraphs and list items, without headings, tables and code."""
    lines = APART.sub("", text).splitlines()
    plain = ["" if line.lstrip().startswith(("|", "#")) else line for line in lines]
    parts = re.split(rf"\n\s*\n|\n(?={ITEM})", "\n".join(plain))
    return [re.sub(rf"^{ITEM}", "", part) for part in parts if part.strip()]


def numbers(paragraph: str) -> list[str]:
    """Numbers that a reader has to hold, in words from three on; a size such as 64x48 is one."""
    told = SIZE.sub("0", LEFT_OUT.sub("", paragraph))
    return NUMBER.findall(told) + IN_WORDS.findall(told)


def test_what_counts_as_a_number_of_a_paragraph() -> None:
    text = """# 1 2 3 4

First 1, then +2.5 % of 64x48, in `5 6 7 8` ([9 10](https://a/11)), arXiv 2605.01324.

| 1 | 2 | 3 | 4 |

```
1 2 3 4
```

1. one: 1,234 and .5
2. two: 1 to 2

One or both, three of twenty-four, often.
"""
    assert [len(numbers(one)) for one in paragraphs(text)] == [3, 2, 2, 2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_no_paragraph_has_more_numbers_than_can_be_read_aloud(page: Path) -> None:
    dense = [one for one in paragraphs(page.read_text("utf-8")) if len(numbers(one)) > MOST]
    assert not dense, f"put these numbers in a table: {[' '.join(one.split()) for one in dense]}"


def test_the_pages_are_found() -> None:
    assert len(PAGES) > 20
