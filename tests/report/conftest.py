"""One whole line of hand-made runs, and one browser, for all tests of the report."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.devtools import Chromium
from tests.report.report_runs import whole_line


@pytest.fixture(scope="session")
def made_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return whole_line(tmp_path_factory.mktemp("line"), n=48, seeds=(0, 1))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        pytest.skip("SKIPPED, THE PAGE WAS NOT LOOKED AT: no chromium on the PATH; install it")
    browser = Chromium(binary, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
