"""Interventions: what each takes away, and that it takes nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import videothinker
from tests.answering_toys import ask_about
from videothinker.answering.variants import OPTIONS_ONLY, PROBES, applies, apply, needs_video
from videothinker.errors import UserError
from videothinker.records import Variant
from videothinker.video import Clip

CLIP = Clip(
    np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1).repeat(3, 3), np.arange(6) / 2, seconds=3.0
)
TRANSCRIPT = (
    "Objects: a, b.\nFrame 0: a here.\nFrame 60: a there.\nFrame 127: a gone.\n"
    "Events (each is missing with probability 0):\nFrame 3: hit.\nFrame 9: miss.\nFrame 12: end."
)


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def test_frames_under_each_variant():
    question = ask_about(0, "a.mp4")
    order = {
        v: apply(question, v, CLIP if needs_video(question, v) else None, generator())
        for v in ("full", "struck", "blind", "one_frame", "shuffled", "options_only")
    }
    assert order["full"].clip is CLIP
    assert order["struck"].clip is CLIP
    assert order["struck"].text == question.question_struck
    assert order["blind"].clip is None
    assert order["blind"].text == question.question
    assert order["options_only"].text == OPTIONS_ONLY
    assert (order["one_frame"].clip.frames == 3).all()
    assert (order["one_frame"].clip.times == CLIP.times).all()
    assert order["one_frame"].clip.seconds == order["shuffled"].clip.seconds == CLIP.seconds
    drawn = order["shuffled"].clip.frames[:, 0, 0, 0]
    assert sorted(drawn) == list(range(6))
    assert list(drawn) != list(range(6))
    assert (order["shuffled"].clip.times == CLIP.times).all()


def test_a_transcript_under_each_variant():
    told = ask_about(0, None, context=TRANSCRIPT)
    assert not needs_video(told, "full")
    assert apply(told, "full", None, generator()).context == TRANSCRIPT
    assert apply(told, "blind", None, generator()).context is None
    one = apply(told, "one_frame", None, generator()).context
    assert one == "Objects: a, b.\nFrame 60: a there."
    mixed = apply(told, "shuffled", None, generator()).context
    head, _, events = mixed.partition("\nEvents")
    assert sorted(x.split(": ")[1] for x in head.split("\n")[1:]) == [
        "a gone.",
        "a here.",
        "a there.",
    ]
    assert [x.split(":")[0] for x in mixed.split("\n")] == [
        x.split(":")[0] for x in TRANSCRIPT.split("\n")
    ]
    assert mixed != TRANSCRIPT
    assert all(word in events for word in ("hit.", "miss.", "end."))


def test_the_events_of_a_compact_transcript_are_shuffled_too():
    lines = ("Frame 0: red aa.", "Frame 1: red bb.", "Events (4% missing): red enters, A collide.")
    seen: set[str] = set()
    for seed in range(8):
        told = ask_about(0, None, context="\n".join(lines))
        mixed = apply(told, "shuffled", None, np.random.default_rng(seed)).context.split("\n")
        assert sorted(line[9:] for line in mixed[:2]) == ["red aa.", "red bb."]
        seen.add(mixed[2])
    assert seen == {lines[2], "Events (4% missing): A collide, red enters."}
    one = apply(told, "one_frame", None, generator()).context
    assert one == "Frame 1: red bb."


def test_only_a_premise_can_be_struck():
    bare = ask_about(0, "a.mp4", question_struck=None)
    assert not applies(bare, "struck")
    assert applies(bare, "blind")
    with pytest.raises(UserError, match="no premise"):
        apply(bare, "struck", CLIP, generator())


def test_every_name_has_its_probe():
    assert PROBES.keys() == set(get_args(Variant))


TOY = '''

def no_words(question: Question, shown: Shown, generator: np.random.Generator) -> Shown:
    """The video alone."""
    return replace(shown, text="")


PROBES["no_words"] = Probe("the video alone", no_words, flag="survives_silence")
'''
FOLLOWED = """
from videothinker.answering.variants import PROBES
from videothinker.diagnosis.config import DiagnoseConfig
from videothinker.diagnosis.probes import FLAGS
from videothinker.evaluation.config import EvaluateConfig
from videothinker import cli
DiagnoseConfig(probes=("no_words",))
words = ["evaluate", "--data", "d", "--model", "m", "--variants", "no_words"]
_, (_, config), _ = cli.parse(words)
print(config.variants, FLAGS["no_words"])
"""


def test_a_new_one_is_a_word_and_a_function(tmp_path):
    copy = tmp_path / "videothinker"
    source = Path(videothinker.__file__).parent
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    records, probes = copy / "records.py", copy / "answering" / "variants.py"
    records.write_text(
        records.read_text().replace('Literal["full", ', 'Literal["full", "no_words", ')
    )
    probes.write_text(probes.read_text() + TOY)
    done = subprocess.run(
        [sys.executable, "-c", FOLLOWED],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout.split() == ["('no_words',)", "survives_silence"], done.stderr
