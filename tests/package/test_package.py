"""What is shipped: a wheel that works outside the checkout, its citation, its images."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import videothinker
from tests.warm import Warm, anew

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, unpacked as an installer does."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("SKIPPED, NO WHEEL WAS BUILT: no hatchling here; pip install -e '.[dev]'")
    out = tmp_path_factory.mktemp("wheel")
    words = ["-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    with zipfile.ZipFile(built) as file:
        file.extractall(out / "site")
    return out / "site"


COMMANDS = """
import json
from videothinker.cli import main
sys.exit(next((code for code in map(main, json.loads(sys.argv[1])) if code), 0))
"""


def test_a_wheel_holds_all_that_a_checkout_has(wheel: Path) -> None:
    inside = wheel / "videothinker"
    assert (inside / "py.typed").is_file()
    for folder, ending in (("recipes", "*.yaml"), ("models", "*/*.safetensors")):
        ours = {p.relative_to(ROOT) for p in (ROOT / folder).glob(ending)}
        theirs = {p.relative_to(inside / "share") for p in (inside / "share" / folder).glob(ending)}
        assert theirs == ours
    source = ROOT / "src" / "videothinker"
    wanted = {p.relative_to(source) for p in source.rglob("*") if p.suffix not in ("", ".pyc")}
    assert {p for p in wanted if not (inside / p).is_file()} == set()


def test_a_wheel_runs_the_first_cells_of_the_demo_elsewhere(
    warm: Warm, wheel: Path, tmp_path: Path
) -> None:
    """From a folder that holds nothing of the checkout, on a machine without git."""
    environment = os.environ | {"PYTHONPATH": str(wheel)}
    where = subprocess.run(
        [sys.executable, "-m", "videothinker.cli", "--version"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert where.stdout == f"videothinker {videothinker.__version__}\n"
    looks = ["--plain-looks", "--radius", "0.3", "--objects-max", "5", "--size", "64x48"]
    small = ["--scenes", "3", "--validation-scenes", "2", "--frames", "4", "--descriptive", "0"]
    asked = ["--protocol", "demo", "--frames", "4", "--max-new-tokens", "4", "--out", "e"]
    model = ["--model", "models/base-video"]
    commands = [
        ["world", "--out", "w", *looks, *small, "--family-share", "0"],
        ["diagnose", "w", "--out", "d"],
        ["evaluate", "--data", "d", *model, *asked, "--split", "all"],
        ["report", "w", "d", "e"],
    ]
    code, no_git = anew(wheel) + COMMANDS, os.environ | {"PATH": str(tmp_path)}
    done = warm.run("-c", code, json.dumps(commands), cwd=tmp_path, env=no_git)
    assert done.returncode == 0, done.stderr[-800:]
    assert "Observational and inferential accuracy" in (tmp_path / "report.html").read_text()


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == videothinker.__version__ == citation["version"]
    assert citation["license"] == PROJECT["license"]


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_an_image_copies_all_that_the_build_reads(name: str) -> None:
    text = (ROOT / name).read_text()
    copied = {word for line in re.findall(r"^COPY (.*)$", text, re.M) for word in line.split()}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    forced = build["targets"]["wheel"]["force-include"]
    needed = {"pyproject.toml", "src", PROJECT["readme"], *PROJECT["license-files"], *forced}
    assert needed <= copied
    assert all((ROOT / word).exists() for word in copied if word != "./")
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not copied & set(ignored)
