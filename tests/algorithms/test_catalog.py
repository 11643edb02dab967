"""The list of algorithms, and a new one added by the steps of CONTRIBUTING.md."""

import shutil
from pathlib import Path

import videothinker
from tests.warm import Warm, anew

TOY = '''
"""GRPO with a nudge."""

from dataclasses import dataclass
from typing import ClassVar

from videothinker.algorithms.base import TrainConfig


@dataclass(frozen=True, kw_only=True)
class ToyConfig(TrainConfig):
    """GRPO with a nudge."""

    stage: ClassVar[str] = "toy"
    about: ClassVar[str] = "train with a nudge"
    role: ClassVar[str] = "Toy"
    meaning: ClassVar[str] = "GRPO with a nudge"

    nudge: float = 0.5
    """How hard. Ours."""
'''
FOLLOWED = """
from videothinker import api, cli, helping
from videothinker.export.config import ExportConfig
from videothinker.publishing.model_card import STAGES
from videothinker.report import sources, terms
words = ["train", "toy", "--data", "d", "--model", "m", "--out", "o", "--nudge", "2"]
_, (_, config), _ = cli.parse(words)
assert isinstance(config, api.ToyConfig) and config.nudge == 2.0
assert "train with a nudge" in helping.usage() and "--nudge" in helping.help_of("train toy")
words = ["export", "--to", "ms-swift", "--algorithm", "toy", "--data", "d", "--out", "o"]
_, (config,), _ = cli.parse(words)
print(config.algorithm, sources.ROLES["train-toy"], sources.NEEDED["train-toy"])
print(sources.COMPARED, terms.METHODS["Toy"], STAGES["train_toy"], sep="; ")
"""


def test_a_new_one_is_one_file_and_its_place_in_the_list(warm: Warm, tmp_path: Path) -> None:
    source = Path(videothinker.__file__).parent
    copy = tmp_path / "src" / "videothinker"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "algorithms" / "toy.py").write_text(TOY)
    listed = copy / "algorithms" / "catalog.py"
    imported = "from videothinker.algorithms.toy import ToyConfig\n\nALGORITHMS"
    text = listed.read_text().replace("\nALGORITHMS", imported, 1)
    listed.write_text(text.replace("CdpoConfig)", "CdpoConfig, ToyConfig)"))

    done = warm.run("-c", anew(copy.parent) + FOLLOWED, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "toy Toy ('metrics.jsonl',)",
        "('GRPO', 'CDPO', 'Toy'); GRPO with a nudge; Toy: GRPO with a nudge",
    ]
