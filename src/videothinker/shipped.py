"""The recipes and small models that come with the package, wherever it is run from.

`recipes/demo.yaml` and `models/base-video` are written so in every command and page. They lie in
the checkout, or inside the installed package; a file of that name in the working folder comes
first.
"""

from pathlib import Path

FOLDERS = ("recipes", "models")
PACKAGE = Path(__file__).parent
PLACES = (PACKAGE / "share", PACKAGE.parents[1])
"""Inside a wheel, and above `src` in a checkout."""


def shipped(path: str | Path) -> Path:
    """`path` itself, or what ships under that name where nothing lies there."""
    given = Path(path)
    if given.parts[:1] and given.parts[0] in FOLDERS and ".." not in given.parts:
        for place in PLACES:
            if not given.exists() and (place / given).exists():
                return place / given
    return given
